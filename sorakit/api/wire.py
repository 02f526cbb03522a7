"""The C2PA Soft Binding Resolution API's words: parameters and answers as they cross the wire.

In and out: JSON and query strings. C2PA 2.2, `c2pa_soft_binding_resolution_openapi`; the schema's names are
kept. Where that file leaves a string open, a pattern here says what can be one, so that nonsense gets 400.
"""

import base64
import binascii
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "MAX_RESULTS",
    "MAX_VALUE",
    "Algorithm",
    "AlgorithmName",
    "Algorithms",
    "Flag",
    "Health",
    "ManifestId",
    "Match",
    "Matches",
    "MaxResults",
    "Problem",
    "Query",
    "Responses",
    "Value",
    "Watermark",
    "payload_of",
    "refusals",
]

MAX_RESULTS = 100
"""A larger `maxResults` counts as this."""

MAX_VALUE = 8192
"""Characters of a value in a URL; beyond it 414 asks for POST."""

_BASE64 = r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


def _digits(value: Any) -> Any:
    """Query strings only: pydantic alone would take `1.0` and `+1` for integers."""
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) <= 1000):
        raise ValueError("must be a whole number")
    return value


def _true_or_false(value: Any) -> Any:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value


AlgorithmName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9._-]{1,255}$", examples=["io.github.sorakit.lattice.1"])
]
Value = Annotated[str, Field(pattern=_BASE64, min_length=1, max_length=MAX_VALUE, examples=["HwAAAAAAAAE="])]
ManifestId = Annotated[str, Field(pattern=r"^[\x21-\x2e\x30-\x7e]{1,255}$")]
MaxResults = Annotated[int, Field(ge=1), BeforeValidator(_digits)]  # this order, or the schema loses `ge`
Flag = Annotated[bool, BeforeValidator(_true_or_false)]


class Query(BaseModel):
    """`c2pa.softBindingQuery`."""

    model_config = ConfigDict(strict=True)
    alg: AlgorithmName
    value: Annotated[str, Field(pattern=_BASE64, min_length=1)]


class Match(BaseModel):
    """A manifest that matches. `similarityScore`: 0 to 100, only where content was compared."""

    manifestId: str  # noqa: N815  the schema's name
    similarityScore: Annotated[int, Field(ge=0, le=100)] | None = None  # noqa: N815


class Matches(BaseModel):
    """`c2pa.softBindingQueryResult`; no `endpoint`, since every manifest is here."""

    matches: list[Match] = []


class Algorithm(BaseModel):
    """An entry of `c2pa.softBindingAlgList`."""

    alg: str


class Watermark(Algorithm):
    """The same for a watermark.

    C2PA's file asks each of these items for a property `watermarks` or `fingerprints` (a `oneOf` that was
    meant for the list around them); one more property is allowed, so both readings are met.
    """

    watermarks: bool = True


class Algorithms(BaseModel):
    """`c2pa.softBindingAlgList`."""

    watermarks: list[Watermark]
    fingerprints: list[Algorithm] = []


class Problem(BaseModel):
    """Any refusal, in words; never a path, a host or a trace."""

    error: str


Responses = dict[int | str, dict[str, Any]]
"""As FastAPI takes them: what stands behind a status."""


def refusals(meanings: dict[int, str]) -> Responses:
    """The description of statuses besides 200, in their order."""
    return {status: {"description": said, "model": Problem} for status, said in sorted(meanings.items())}


class Health(BaseModel):
    """`ok` when the registry answers."""

    status: str


def payload_of(value: str) -> str | None:
    """Lower-case hex of a mark's 64-bit payload from a query value, or None when it is none.

    The value is the base64 of the 8 bytes; the base64 of their 16 hex digits, as a manifest's soft binding
    shows them, is taken too.

    >>> payload_of("HwAAAAAAAAE="), payload_of("MWYwMDAwMDAwMDAwMDAwMQ=="), payload_of("AA==")
    ('1f00000000000001', '1f00000000000001', None)
    """
    try:
        raw = base64.b64decode(value, validate=True)
        if len(raw) == 8:
            return raw.hex()
        return bytes.fromhex(raw.decode("ascii")).hex() if len(raw) == 16 else None
    except (binascii.Error, ValueError):
        return None
