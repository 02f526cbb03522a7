"""Plain metadata labels: the `AIGC` key of GB 45438-2025 (China), annex E.

In: who produced which content. Out: the JSON text that stands in the container's metadata, and back.
A label is easily removed and easily forged; it is written because the law asks for it and read as a hint.
A file that carries a label already keeps it: who marks it then enters as the one that propagates it.
"""

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["AIGC_KEY", "aigc_label", "read_aigc"]

AIGC_KEY = "AIGC"
_FIELDS = (
    "Label",
    "ContentProducer",
    "ProduceID",
    "ReservedCode1",
    "ContentPropagator",
    "PropagateID",
    "ReservedCode2",
)
_MAX_LABEL = 8192

LABELS = ("1", "2", "3")
"""AI-generated; possibly; suspected to be."""


def aigc_label(producer: str, produce_id: str, *, earlier: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Container metadata that says "this is generated" (Label 1).

    `earlier`: the label that the file carries already, from `read_aigc`. Its producer, id and codes stay, and
    `producer` and `produce_id` become the propagator's; without a producer it is no label to keep.

    >>> aigc_label("sorakit", "0123")["AIGC"][:12]
    '{"Label":"1"'
    """
    values = dict.fromkeys(_FIELDS, "")
    if earlier and earlier.get("Label") in LABELS and earlier.get("ContentProducer"):
        values |= {k: str(v) for k, v in earlier.items() if k in _FIELDS}
        values |= {"ContentPropagator": producer, "PropagateID": produce_id}
    else:
        values |= {"Label": "1", "ContentProducer": producer, "ProduceID": produce_id}
    return {AIGC_KEY: json.dumps(values, separators=(",", ":"), ensure_ascii=False)}


def read_aigc(metadata: Mapping[str, str]) -> dict[str, Any] | None:
    """The label in a container's metadata, or None where there is none that can be read.

    Unknown keys are dropped and values cut at 512 characters: the bytes are foreign.

    >>> read_aigc(aigc_label("sorakit", "0123"))["ProduceID"]
    '0123'
    """
    text = next((v for k, v in metadata.items() if k.upper() == AIGC_KEY), None)
    if text is None or len(text) > _MAX_LABEL:
        return None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    return {k: str(values[k])[:512] for k in _FIELDS if k in values} or None
