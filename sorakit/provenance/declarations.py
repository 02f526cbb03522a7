"""What a manifest says about how its content came to be: AI, a camera, or neither.

In: one manifest of c2pa-python's JSON, from a foreign file. Out: bounded, printable facts. The values are
IPTC's digital source types and C2PA's own (C2PA 2.4, section 18.15; `digitalSourceType` is not checked by
readers, so anything may stand there).
"""

from typing import Any

__all__ = [
    "AI_TYPES",
    "CAPTURE_TYPES",
    "actions_of",
    "clean",
    "disclosed",
    "generator_of",
    "items",
    "signer_of",
    "source_types",
    "time_stamp_of",
]

AI_TYPES = frozenset(
    {
        "trainedAlgorithmicMedia",
        "compositeWithTrainedAlgorithmicMedia",
        "compositeSynthetic",
        "trainedAlgorithmicData",
    }
)
"""Made or partly made by a trained model. IPTC's `composite` may hold AI or not, so it is not among them."""

CAPTURE_TYPES = frozenset({"digitalCapture", "computationalCapture", "compositeCapture", "negativeFilm"})

METADATA = ("c2pa.metadata", "stds.iptc", "stds.schema-org.CreativeWork", "cawg.metadata")
_SOURCE = "digitalSourceType"
MAX_ITEMS = 200
MAX_TEXT = 300


def clean(text: Any) -> str | None:
    """Printable text of at most 300 characters, or None when there is none."""
    if not isinstance(text, str):
        return None
    return "".join(c for c in text[:MAX_TEXT] if c.isprintable()) or None


def items(value: Any, most: int | None = MAX_ITEMS) -> list[dict[str, Any]]:
    """The objects of a list, among its first `most` (None: all); nothing for anything else."""
    return [v for v in value[:most] if isinstance(v, dict)] if isinstance(value, list) else []


def actions_of(manifest: dict[str, Any], *, attested: bool = False) -> list[dict[str, Any]]:
    """The first 200 actions; `attested`: only what the signer vouches for (in claims v2: `created`)."""
    return _all_actions(manifest, attested=attested)[:MAX_ITEMS]


def source_types(manifest: dict[str, Any], *, attested: bool = False) -> list[str]:
    """Short names of the declared source types: those of actions first, then of metadata assertions.

    All are read, however many there are: AI that is declared late is declared.

    >>> m = {"assertions": [{"label": "c2pa.actions", "data": {"actions": [
    ...     {"digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"}]}}]}
    >>> source_types(m)
    ['digitalCapture']
    """
    uris = [a.get(_SOURCE) for a in _all_actions(manifest, attested=attested)]
    for assertion in _assertions(manifest, METADATA, attested=attested):
        data = assertion.get("data")
        if isinstance(data, dict):
            uris += [v for k, v in data.items() if str(k).lower().endswith("digitalsourcetype")]
    names = (clean(u.rstrip("/").rsplit("/", 1)[-1]) for u in uris if isinstance(u, str))
    return list(dict.fromkeys(n for n in names if n))


def disclosed(manifest: dict[str, Any]) -> bool:
    """Whether the manifest holds a disclosure of AI (C2PA 2.4, `c2pa.ai-disclosure`)."""
    return any(
        str(a.get("label", "")).startswith("c2pa.ai-disclosure")
        for a in items(manifest.get("assertions"), None)
    )


def signer_of(manifest: dict[str, Any]) -> str | None:
    """The name in the signer's certificate and its organisation."""
    info = manifest.get("signature_info")
    if not isinstance(info, dict):
        return None
    name, organisation = clean(info.get("common_name")), clean(info.get("issuer"))
    return (
        f"{name} ({organisation})" if name and organisation and name != organisation else name or organisation
    )


def time_stamp_of(manifest: dict[str, Any], results: dict[str, Any]) -> str | None:
    """When the claim was signed, by a time stamp that was found to fit it; None without one."""
    info, active = manifest.get("signature_info"), results.get("activeManifest")
    if not isinstance(info, dict) or not isinstance(active, dict):
        return None
    fits = any(s.get("code") == "timeStamp.validated" for s in items(active.get("success")))
    return clean(info.get("time")) if fits else None


def generator_of(manifest: dict[str, Any]) -> str | None:
    """Name and version of the program that made the claim."""
    for info in items(manifest.get("claim_generator_info")):
        if name := clean(info.get("name")):
            return f"{name} {clean(info.get('version')) or ''}".strip()
    return clean(manifest.get("claim_generator"))


def _all_actions(manifest: dict[str, Any], *, attested: bool) -> list[dict[str, Any]]:
    """Each action, with the source type of its template where it gives none itself (actions v2)."""
    found: list[dict[str, Any]] = []
    for assertion in _assertions(manifest, ("c2pa.actions",), attested=attested):
        data = assertion.get("data")
        if not isinstance(data, dict):
            continue
        kinds = {str(t.get("action")): t.get(_SOURCE) for t in items(data.get("templates"), None)}
        for action in items(data.get("actions"), None):
            kind = kinds.get(str(action.get("action"))) or kinds.get("*")
            found.append({_SOURCE: kind} | action if kind else action)
    return found


def _assertions(manifest: dict[str, Any], labels: tuple[str, ...], *, attested: bool) -> list[dict[str, Any]]:
    # Claims of version 1 knew no difference: all their assertions count as the signer's.
    strict = attested and isinstance(v := manifest.get("claim_version"), int) and v >= 2
    return [
        a
        for a in items(manifest.get("assertions"), None)
        if str(a.get("label", "")).startswith(labels) and (not strict or a.get("created") is True)
    ]
