"""Answers to notebook 10."""

import hashlib

from sorakit.nb.exercises.nb10 import AI
from sorakit.types import Decision, Evidence, ProvenanceEvidence, RecoveryEvidence, Verdict, WatermarkEvidence


def _verdict(**layers: object) -> Verdict:
    return Verdict(Decision.NO_EVIDENCE, Evidence("clip.mp4", None, **layers), [], "default@1", 1)  # type: ignore[arg-type]


_MARK = WatermarkEvidence(True, "a.b.c", "00" * 8, -50.0)
_VERDICTS = {
    "A": _verdict(provenance=ProvenanceEvidence("trusted")),
    "B": _verdict(provenance=ProvenanceEvidence("valid_untrusted"), watermark=_MARK),
    "C": _verdict(provenance=ProvenanceEvidence("tampered"), watermark=_MARK),
    "D": _verdict(watermark=_MARK, recovery=RecoveryEvidence("recovered", "urn:1")),
    "E": _verdict(watermark=_MARK, recovery=RecoveryEvidence("unavailable")),
    "F": _verdict(),
    "G": _verdict(error="the file is cut off"),
}
_STATES = dict(
    zip("ABCDEFG", ("trusted", "untrusted", "tampered", "recovered", "marked", "none", "error"), strict=True)
)


def _binding(data: bytes, left_out: list[dict[str, int]]) -> str:
    kept, at = b"", 0
    for gap in left_out:
        kept += data[at : gap["start"]]
        at = gap["start"] + gap["length"]
    return hashlib.sha256(kept + data[at:]).hexdigest()


def _zeroed(data: bytes, left_out: list[dict[str, int]]) -> str:
    changed = bytearray(data)
    for gap in left_out:
        changed[gap["start"] : gap["start"] + gap["length"]] = bytes(gap["length"])
    return hashlib.sha256(changed).hexdigest()


def _length_as_end(data: bytes, left_out: list[dict[str, int]]) -> str:
    fixed = [{"start": g["start"], "length": max(0, g["length"] - g["start"])} for g in left_out]
    return _binding(data, fixed)


def _walk(value: object) -> bool:
    if isinstance(value, list):
        return any(map(_walk, value))
    if not isinstance(value, dict):
        return False
    return str(value.get("digitalSourceType")).endswith(AI) or any(map(_walk, value.values()))


def _flat(assertions: dict[str, dict[str, object]]) -> list[str]:
    return [k for k, v in assertions.items() if str(v.get("digitalSourceType")).endswith(AI)]


RIGHT = {
    "10.1": (_binding,),
    "10.2": (_STATES, _VERDICTS),
    "10.3": (lambda assertions: [k for k, v in assertions.items() if _walk(v)],),
}

WRONG = {
    "10.1": [
        (lambda data, left_out: hashlib.sha256(data).hexdigest(),),
        (_zeroed,),
        (_length_as_end,),
        (lambda data, left_out: _binding(data, left_out[:1]),),
        (lambda data, left_out: bytes.fromhex(_binding(data, left_out)),),
    ],
    "10.2": [
        (_STATES | {"B": "trusted"}, _VERDICTS),
        (_STATES | {"E": "none"}, _VERDICTS),
        (_STATES | {"C": "untrusted"}, _VERDICTS),
        (_STATES | {"D": "trusted"}, _VERDICTS),
        (_STATES | {"G": "none"}, _VERDICTS),
        (_STATES | {"A": "valid"}, _VERDICTS),
        ({"A": "trusted"}, _VERDICTS),
    ],
    "10.3": [
        (_flat,),
        (lambda assertions: [k for k, v in assertions.items() if AI[0] in str(v)],),
        (lambda assertions: [k for k, v in assertions.items() if "digitalSourceType" in str(v)],),
        (lambda assertions: list(assertions.values()),),
        (lambda assertions: "org.example.s0",),
    ],
}
