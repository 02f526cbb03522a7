"""Exercises of notebook 10: bind bytes by a hash, tell files apart by their evidence, walk a manifest."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sorakit.config import Settings
from sorakit.nb.credential_lab import CredentialLab
from sorakit.nb.exercise import Exercise, call
from sorakit.provenance.keys import create_dev_identity
from sorakit.publish import publish
from sorakit.types import Clip, Verdict
from sorakit.watermark import attacks

__all__ = ["AI", "EXERCISES", "STATES", "eight_files"]

STATES = ("trusted", "untrusted", "tampered", "recovered", "marked", "none", "error")
"""What exercise 10.2 tells apart."""

AI = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia")
"""IPTC's source types that exercise 10.3 looks for."""

_IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def eight_files(clip: Clip, folder: Path, studio: Settings, you: Settings) -> dict[str, Path]:
    """Eight files for exercise 10.2, named A to H in an order of their own; makes `folder`.

    `studio` publishes with a root that the reader trusts, `you` checks, and a stranger is made here.
    """
    folder.mkdir()
    stranger = studio.model_copy(update={"home": folder / "stranger"})
    for settings in (stranger, you):
        if not settings.keys_dir.exists():
            create_dev_identity(settings.keys_dir)
    signed = {
        who: publish(clip, folder / f".{who}.mp4", settings=settings).path
        for who, settings in (("studio", studio), ("stranger", stranger), ("own", you))
    }
    lab = CredentialLab(signed["studio"], settings=you)
    made = [
        signed["studio"].read_bytes(),
        signed["stranger"].read_bytes(),
        lab.changed("picture").read_bytes(),
        lab.changed("assertion").read_bytes(),
        _attacked(signed["own"], "remux"),
        _attacked(signed["studio"], "remux"),
        _attacked(signed["own"], "h264_crf40", 51),
        signed["stranger"].read_bytes()[:-9000],
    ]
    random.Random(10).shuffle(made)  # noqa: S311 - an order that the notebook does not tell
    files = {}
    for letter, data in zip("ABCDEFGH", made, strict=True):
        files[letter] = folder / f"{letter}.mp4"
        files[letter].write_bytes(data)
    return files


def _attacked(path: Path, name: str, strength: float | None = None) -> bytes:
    out = path.with_name(f".{path.stem}.{name}.mp4")
    attacks.apply(name, path, out, strength)
    return out.read_bytes()


def _binding(answer: Any) -> str | None:
    dice = random.Random()  # noqa: S311 - fresh inputs, no secrets
    for count in (0, 1, 1, 2, 3):
        data = dice.randbytes(dice.randint(200, 600))
        ends = sorted(dice.sample(range(1, 190), 2 * count))
        left_out = [{"start": a, "length": b - a} for a, b in zip(ends[::2], ends[1::2], strict=True)]
        if hint := _binding_hint(call(answer, data, left_out), data, left_out):
            return hint
    return None


def _binding_hint(got: Any, data: bytes, left_out: list[dict[str, int]]) -> str | None:
    if isinstance(got, bytes):
        return "the digest is right in kind, but hexadecimal text was asked for: hexdigest()"
    if not isinstance(got, str):
        return f"hexadecimal text was expected, got {type(got).__name__}"
    places = [(x["start"], x["start"] + x["length"]) for x in left_out]
    zeroed = bytearray(data)
    for start, stop in places:
        zeroed[start:stop] = bytes(stop - start)
    mistakes = {
        _hex(data): "that is the hash of all bytes; nothing was left out",
        _hex(bytes(zeroed)): "bytes that are left out are not hashed at all, not even as zeros",
        _hex(b"".join(data[a:b] for a, b in places)): "that is the hash of what should be left out",
        _hex(_without(data, [(x["start"], x["length"]) for x in left_out])): "a range is given by its start "
        "and its length; where does it end?",
        _hex(_without(data, places[:1])): "there may be more than one range; only the first was left out",
    }
    if got == _hex(_without(data, places)):
        return None
    told = mistakes.get(got, f"it does not fit for {len(left_out)} ranges in {len(data)} bytes")
    return f"{told}; try b'0123456789' without start 2, length 3: b'0156789' is hashed"


def _without(data: bytes, places: Sequence[tuple[int, int]]) -> bytes:
    kept, at = b"", 0
    for start, stop in places:
        kept += data[at:start]
        at = max(stop, at)
    return kept + data[at:]


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _states(answer: Any, verdicts: Mapping[str, Verdict]) -> str | None:
    if not isinstance(answer, Mapping):
        return f"a dict from letter to state was expected, got {type(answer).__name__}"
    if missing := sorted(set(verdicts) - set(answer)):
        return f"there is no state yet for {', '.join(missing)}"
    if odd := sorted({str(v) for v in answer.values()} - set(STATES)):
        return f"{odd[0]!r} is none of the states; they are {', '.join(STATES)}"
    for name, verdict in verdicts.items():
        if (got := answer[name]) != (right := _state_of(verdict)):
            return f"{name}: {_doubt(str(got), right)}"
    return None


def _state_of(verdict: Verdict) -> str:
    evidence = verdict.evidence
    if evidence.error is not None:
        return "error"
    state = evidence.provenance.state
    if state != "none":
        return "untrusted" if state == "valid_untrusted" else state
    if evidence.recovery.state == "recovered":
        return "recovered"
    return "marked" if evidence.watermark.found else "none"


def _doubt(got: str, right: str) -> str:
    """What to look at again, for one mistake; it names no state."""
    if right == "error":
        return "a check that could not read the file has found neither something nor nothing; read its reason"
    if {got, right} == {"trusted", "untrusted"}:
        return "that every hash fits is one thing, who signed is another; read the line “Credential” again"
    if "tampered" in (got, right):
        return "does the credential fit the file? The first line of the card, and the reasons, say so"
    if got in ("trusted", "untrusted"):
        return "is there a credential in the file itself? Read the line “Credential”"
    if {got, right} <= {"recovered", "marked", "none"}:
        return "the credential is gone, so two lines are left to read: “Watermark” and “Registry”"
    return "go through the card's lines from the top; the first that speaks decides"


def _declares(answer: Any) -> str | None:
    dice = random.Random()  # noqa: S311 - fresh inputs, no secrets
    for count in (0, 1, 2, 3):
        assertions, wanted = _manifest(dice, count)
        got = call(answer, assertions)
        if isinstance(got, str) or not isinstance(got, list | tuple | set | frozenset):
            return f"a list of labels was expected, got {type(got).__name__}"
        if hint := _declared_hint({str(g) for g in got}, wanted, assertions):
            return hint
    return None


def _manifest(dice: random.Random, count: int) -> tuple[dict[str, Any], set[str]]:
    """Statements, `count` of which declare AI at some depth, among others that only look like it."""
    here = {f"org.example.s{i}": _nested(dice, _IPTC + dice.choice(AI)) for i in range(count)}
    decoys = {
        "org.example.camera": _nested(dice, _IPTC + "digitalCapture"),
        "org.example.text": {"note": f"see {_IPTC}{AI[0]}", "list": [AI[0]]},
        "org.example.empty": {},
    }
    both = list((here | decoys).items())
    dice.shuffle(both)
    return dict(both), set(here)


def _nested(dice: random.Random, value: str) -> dict[str, Any]:
    data: Any = {"digitalSourceType": value, "action": "c2pa.created"}
    for level in range(dice.randint(0, 3)):
        data = {f"level{level}": [{"other": 1}, data]} if dice.random() < 0.6 else {f"level{level}": data}
    return dict(data)


def _declared_hint(got: set[str], wanted: set[str], assertions: Mapping[str, Any]) -> str | None:
    if got == wanted:
        return None
    if strange := got - set(assertions):
        return f"{sorted(strange)[0]!r} is no label of the given assertions; return their labels, not values"
    if extra := got - wanted:
        return (
            f"{sorted(extra)[0]} does not declare AI: {str(assertions[sorted(extra)[0]])[:160]}; only the "
            "value of a key `digitalSourceType` counts, and only some values"
        )
    missed = sorted(wanted - got)[0]
    return f"{missed} declares AI, further down: {str(assertions[missed])[:220]}; go into dicts and lists"


EXERCISES = (
    Exercise("10.1", "Compute a hard-binding hash: SHA-256 over a file without given ranges.", _binding),
    Exercise("10.2", "Tell eight files apart by what the check shows.", _states),
    Exercise("10.3", "Find the assertions that declare AI, at any depth of the manifest.", _declares),
)
