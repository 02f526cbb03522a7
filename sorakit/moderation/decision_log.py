"""A log of decisions that can be defended later: what was seen, which policy decided, and what followed.

In: verdicts. Out: one JSON object a line, each with the digest of the one before it, in a file that only this
user may read. Changed, inserted and removed lines show; a log cut off at its end shows only against a digest
noted elsewhere. The evidence stands in it whole, so that a log can be decided again under another policy.
"""

import contextlib
import fcntl
import hashlib
import json
import math
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import TypeAdapter, ValidationError

from sorakit import __version__
from sorakit.errors import InputError, OutputError
from sorakit.moderation.policy import Policy, judge
from sorakit.types import Evidence, Verdict

__all__ = ["EVIDENCE", "Change", "Replay", "append", "entries", "replay"]

EVIDENCE = 1
"""Version of the evidence's form, counted up when a field changes its meaning."""

START = "0" * 64
MAX_LINE = 64 << 20
_TAIL = 1 << 16
_EVIDENCE = TypeAdapter(Evidence)


def append(path: Path, verdict: Verdict, policy: Policy) -> None:
    """Add one decision, on the disk before this returns; several processes may write one log.

    Raises `OutputError`, also where the log's last line is torn or no part of a chain, where others may read
    the log, and for evidence so long that the log could not be read again.

    >>> append(Path("decisions.jsonl"), verdict, policy)  # doctest: +SKIP
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "r+b") as file:
            _refuse_open(file, path)
            fcntl.flock(file, fcntl.LOCK_EX)
            seq, previous = _head(file, path)
            body = _body(verdict, policy) | {"seq": seq + 1, "previous": previous}
            line = json.dumps(body | {"digest": _digest(body)}, allow_nan=False)
            if len(line) >= MAX_LINE:
                raise OutputError(
                    f"this decision's evidence takes {len(line)} bytes, a log's line at most {MAX_LINE}"
                )
            file.seek(0, os.SEEK_END)
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as e:
        raise OutputError(
            f"cannot write the log {path}: {e.strerror or e}; check the folder and free space"
        ) from e
    except ValueError as e:
        raise OutputError(f"this decision cannot be logged as JSON: {e}") from e


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log, oldest first.

    Raises `InputError` at the first line that is changed, missing or out of place.

    >>> [e["decision"] for e in entries(Path("decisions.jsonl"))]  # doctest: +SKIP
    ['ai_declared']
    """
    expected, previous = 1, START
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), 1):
                entry = _parsed(line)
                digest = entry.pop("digest", None)
                sound = entry.get("seq") == expected and entry.get("previous") == previous
                if not sound or digest != _digest(entry):
                    raise InputError(
                        f"{path}: line {number} does not follow the one before it: the log was changed or "
                        "cut, or is none"
                    )
                yield entry
                expected, previous = expected + 1, str(digest)
    except OSError as e:
        raise InputError(f"cannot read the log {path}: {e.strerror}") from e


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that another policy would have taken otherwise.

    `before`, `after`: decision, action, review.
    """

    seq: int
    file: str
    before: tuple[str, str, str | None]
    after: tuple[str, str, str | None]
    reason: str


@dataclass(frozen=True, slots=True)
class Replay:
    """What a log becomes under another policy: how many decisions there are, and which change."""

    policy: str
    count: int
    moves: dict[tuple[str, str], int] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready form."""
        moves = [{"before": a, "after": b, "count": n} for (a, b), n in self.moves.items()]
        names = ("decision", "action", "review")
        changes = [
            {
                "seq": c.seq,
                "file": c.file,
                "before": dict(zip(names, c.before, strict=True)),
                "after": dict(zip(names, c.after, strict=True)),
                "reason": c.reason,
            }
            for c in self.changes
        ]
        return {"policy": self.policy, "count": self.count, "moves": moves, "changes": changes}


def replay(path: Path, policy: Policy) -> Replay:
    """Decide every entry of a log again under `policy`. Raises `InputError` as `entries` does.

    >>> replay(Path("decisions.jsonl"), policy).count  # doctest: +SKIP
    1
    """
    moves: Counter[tuple[str, str]] = Counter()
    changes: list[Change] = []
    count = 0
    for entry in entries(path):
        count += 1
        if entry.get("evidence_version") != EVIDENCE:
            raise InputError(
                f"{path}: entry {count} holds evidence of version {entry.get('evidence_version')}, "
                f"and this program reads {EVIDENCE}"
            )
        try:
            evidence = _EVIDENCE.validate_python(entry["evidence"])
            before = str(entry["decision"]), str(entry["action"]), _text(entry["review"])
        except (ValidationError, KeyError) as e:
            raise InputError(f"{path}: entry {count} cannot be read") from e
        outcome = judge(evidence, policy)
        after = str(outcome.decision), str(outcome.follow.action), outcome.follow.review
        moves[_said(before), _said(after)] += 1
        if before != after:
            changes.append(Change(count, evidence.file, before, after, outcome.reasons[0]))
    return Replay(policy.label, count, dict(moves.most_common()), changes)


def _said(what: tuple[str, str, str | None]) -> str:
    decision, action, review = what
    return f"{decision}: {action}" + (f", {review}" if review else "")


def _body(v: Verdict, policy: Policy) -> dict[str, Any]:
    detector = v.evidence.detector
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "file": v.evidence.file,
        "sha256": v.evidence.sha256,
        "decision": str(v.decision),
        "action": v.action,
        "review": v.review,
        "reasons": v.reasons,
        "policy": {"name": policy.name, "version": policy.version, "sha256": policy.digest},
        "model": detector.model if detector else None,
        "kit": __version__,
        "evidence_version": EVIDENCE,
        "evidence": _finite(_EVIDENCE.dump_python(v.evidence, mode="json")),
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _finite(value: Any) -> Any:
    """JSON knows no NaN and no infinity: as words they come back as what they were."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _digest(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _head(file: BinaryIO, path: Path) -> tuple[int, str]:
    """(number, digest) of the last line."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return 0, START
    entry = _parsed(_last_line(file, size))
    with contextlib.suppress(KeyError, TypeError, ValueError):
        return int(entry["seq"]), str(entry["digest"])
    raise OutputError(f"the last line of {path} is torn, or it is no log of decisions; move it away")


def _last_line(file: BinaryIO, size: int) -> bytes:
    """The last line with its end, read backwards in pieces that double; all that is there if it has none."""
    piece = _TAIL
    while True:
        file.seek(max(0, size - piece))
        tail = file.read(piece)
        start = tail.rfind(b"\n", 0, -1) + 1
        if start or piece >= min(size, MAX_LINE):
            return tail[start:]
        piece = min(2 * piece, MAX_LINE)


def _refuse_open(file: BinaryIO, path: Path) -> None:
    state = os.fstat(file.fileno())
    if stat.S_IMODE(state.st_mode) & 0o077:
        raise OutputError(
            f"the log must be closed to others (mode 0600), got {stat.S_IMODE(state.st_mode):04o} on {path}; "
            f"run: chmod 600 {path}"
        )


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if line.endswith(b"\n") and isinstance(entry, dict) else {}
