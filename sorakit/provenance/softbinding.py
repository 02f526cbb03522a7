"""The `c2pa.soft-binding` assertion: names the watermark so that a stripped file finds its manifest again.

In: algorithm and value. Out: the assertion, and back. C2PA 2.4, section 18.10; the algorithms' names are
reverse-DNS because they are not on the C2PA list of soft-binding algorithms. A second such assertion carries
the fingerprint of the picture: whoever gets the manifest from somewhere can then tell, without asking the
one who gave it, whether it belongs to the video at hand or the mark was copied onto another.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Any

from sorakit.errors import ProvenanceError

__all__ = ["LABEL", "SoftBinding", "fingerprint_binding", "parse_soft_bindings", "soft_binding"]

LABEL = "c2pa.soft-binding"
MAX_BINDINGS = 64
MAX_TEXT = 255
MAX_VALUE = 8192
"""Characters of a value: a fingerprint of 4 KB in base64 fits."""

SoftBinding = tuple[str, str]
"""(algorithm, value)."""


def soft_binding(algorithm: str, value: str) -> dict[str, Any]:
    """The assertion for one mark that lies on the whole video; `value` is the payload in lower-case hex.

    >>> soft_binding("io.github.sorakit.lattice.1", "1f00000000000001")["data"]["blocks"][0]["value"]
    '1f00000000000001'
    """
    if not re.fullmatch(r"([0-9a-f]{2}){1,64}", value):
        raise ProvenanceError(f"`value` must be lower-case hex of 1 to 64 bytes, got {value!r}")
    return _assertion(algorithm, value)


def fingerprint_binding(algorithm: str, value: str) -> dict[str, Any]:
    """The assertion for a perceptual fingerprint of the whole video; `value` is base64.

    >>> fingerprint_binding("io.github.sorakit.fingerprint.1", "AAEC")["data"]["blocks"][0]["value"]
    'AAEC'
    """
    try:
        size = len(base64.b64decode(value, validate=True))
    except binascii.Error as e:
        raise ProvenanceError(f"a fingerprint must be base64, got {value!r:.80}") from e
    if not size or len(value) > MAX_VALUE:
        raise ProvenanceError(f"a fingerprint must have 1 to {MAX_VALUE * 3 // 4} bytes, got {size}")
    return _assertion(algorithm, value)


def _assertion(algorithm: str, value: str) -> dict[str, Any]:
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+){2,}", algorithm):
        raise ProvenanceError(f"`algorithm` must be a reverse-DNS name, got {algorithm!r}")
    return {
        "label": LABEL,
        "created": True,
        "data": {"alg": algorithm, "blocks": [{"scope": {}, "value": value}]},
    }


def parse_soft_bindings(assertions: Iterable[Any]) -> list[SoftBinding]:
    """All well-formed (algorithm, value) pairs in a foreign manifest's assertions, at most 64."""
    found: list[SoftBinding] = []
    for assertion in assertions:
        if not isinstance(assertion, dict) or not str(assertion.get("label", "")).startswith(LABEL):
            continue
        data = assertion.get("data")
        if not isinstance(data, dict):
            continue
        algorithm, blocks = data.get("alg"), data.get("blocks")
        if not _short(algorithm) or not isinstance(blocks, list):
            continue
        values = (b.get("value") for b in blocks[:MAX_BINDINGS] if isinstance(b, dict))
        found += [(str(algorithm), str(v)) for v in values if _short(v, MAX_VALUE)]
    return found[:MAX_BINDINGS]


def _short(text: Any, most: int = MAX_TEXT) -> bool:
    return isinstance(text, str) and 0 < len(text) <= most
