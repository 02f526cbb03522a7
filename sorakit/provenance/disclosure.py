"""The `c2pa.ai-disclosure` assertion: which model made the content, and how far a person watched over it.

In: what is known of the model. Out: the assertion, or an error. C2PA 2.4, section 18.28: `modelType` (table
12) must be there, all else may be. C2PA's own library does not check these fields, so they are checked here.
"""

import re
from typing import Any, Literal, get_args
from urllib.parse import quote

from sorakit.errors import ProvenanceError

__all__ = ["LABEL", "Oversight", "ai_disclosure", "check_disclosure", "model_identifier"]

LABEL = "c2pa.ai-disclosure"

Oversight = Literal["fully_autonomous", "prompt_guided", "human_validated"]
"""Nobody saw to it; somebody gave the prompt, but nobody approved the result; somebody approved it."""

_TYPE = re.compile(r"c2pa\.types\.model(\.[a-z0-9_]+)*")
_MAX_TEXT = 300
_KEYS = {"modelType", "modelName", "modelIdentifier", "contentProfile", "scientificDomain"}


def ai_disclosure(
    model_type: str = "c2pa.types.model",
    *,
    name: str | None = None,
    identifier: str | None = None,
    oversight: Oversight | None = None,
) -> dict[str, Any]:
    """The assertion; `model_type` is the model's format as in table 12, or the general one.

    Raises `ProvenanceError` for values that the schema does not know.

    >>> ai_disclosure(name="sorakit-one-object", oversight="prompt_guided")["data"]["modelName"]
    'sorakit-one-object'
    """
    data: dict[str, Any] = {"modelType": model_type}
    if name:
        data["modelName"] = name[:_MAX_TEXT]
    if identifier:
        data["modelIdentifier"] = identifier[:_MAX_TEXT]
    if oversight is not None:
        data["contentProfile"] = {"humanOversightLevel": oversight}
    check_disclosure(data)
    return {"label": LABEL, "created": True, "data": data}


def check_disclosure(data: dict[str, Any]) -> None:
    """Raise `ProvenanceError` unless `data` is a disclosure as the schema has it."""
    if extra := set(data) - _KEYS:
        raise ProvenanceError(f"an AI disclosure has no field {sorted(extra)[0]!r}")
    if not isinstance(data.get("modelType"), str) or not _TYPE.fullmatch(data["modelType"]):
        raise ProvenanceError(f"`modelType` must be c2pa.types.model or below, got {data.get('modelType')!r}")
    for key in ("modelName", "modelIdentifier"):
        if key in data and (not isinstance(data[key], str) or not 0 < len(data[key]) <= _MAX_TEXT):
            raise ProvenanceError(f"`{key}` must be text of 1 to {_MAX_TEXT} characters")
    profile = data.get("contentProfile", {})
    level = profile.get("humanOversightLevel") if isinstance(profile, dict) else None
    if "contentProfile" in data and level not in get_args(Oversight):
        raise ProvenanceError(
            f"`humanOversightLevel` must be one of {', '.join(get_args(Oversight))}, got {level!r}"
        )


def model_identifier(name: str, version: str) -> str:
    """A package URL for a model: of the hub for `owner/name`, else of no registry.

    >>> model_identifier("sorakit-one-object", "2")
    'pkg:generic/sorakit-one-object@2'
    """
    kind = "huggingface" if name.count("/") == 1 else "generic"
    path = "/".join(quote(part, safe="") for part in name.split("/"))
    return f"pkg:{kind}/{path}" + (f"@{quote(version, safe='')}" if version != "unknown" else "")
