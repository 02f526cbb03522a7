"""What became of each file, one row a file, in an order that no timing changes.

In: settled files and the verdicts of their contents. Out: `Row`s sorted by name. Of files with the same bytes
the first by name is the original, whichever was judged.
"""

from dataclasses import dataclass
from typing import Any, Literal

from sorakit.moderation.policy import Policy, judge
from sorakit.moderation.queue import verdict_of
from sorakit.scan.source import Entry, printable
from sorakit.types import Evidence, Verdict

__all__ = ["Row", "make_rows"]

State = Literal["judged", "resumed", "duplicate", "failed"]


@dataclass(frozen=True, slots=True)
class Row:
    """One file. `key`: names its stills; `said`: as `sorakit check --json` prints it, with the name here."""

    file: str
    size: int
    state: State
    key: str | None
    duplicate_of: str | None
    said: dict[str, Any]

    @property
    def decision(self) -> str:
        """What the policy decided."""
        return str(self.said["decision"])

    @property
    def error(self) -> str | None:
        """Why it could not be judged."""
        reason = self.said["error"]
        return None if reason is None else str(reason)

    def verdict(self) -> Verdict:
        """The typed form."""
        return verdict_of(self.said)

    def to_json(self) -> dict[str, Any]:
        """One line of `sorakit-scan.jsonl`: the verdict and what the scan adds."""
        return self.said | {"size": self.size, "state": self.state, "duplicate_of": self.duplicate_of}


def make_rows(
    settled: list[tuple[Entry, dict[str, Any]]],
    verdicts: dict[str, dict[str, Any]],
    fresh: set[str],
    policy: Policy,
) -> list[Row]:
    """`settled`: files with `key` and `sha256`, or `failed`; `fresh`: the keys that this run judged.

    `policy`: what follows for a file that could not even be read, and so has no verdict.
    """
    rows: list[Row] = []
    first: dict[str, str] = {}
    for entry, state in sorted(settled, key=lambda pair: pair[0].name):
        name, key = printable(entry.name), state.get("key")
        said = verdicts.get(key) if key is not None else None
        if said is None:
            reason = state.get("failed", "its verdict is missing; run the scan again")
            rows.append(Row(name, entry.size, "failed", None, None, _unread(name, str(reason), policy)))
            continue
        original = first.setdefault(str(key), name)
        twin = original if original != name else None
        kind: State = "judged" if key in fresh else "resumed"
        if said["error"] is not None:
            kind = "failed"
        elif twin:
            kind = "duplicate"
        said = said | {"file": name, "sha256": state["sha256"]}
        rows.append(Row(name, entry.size, kind, str(key), twin, said))
    return rows


def _unread(name: str, reason: str, policy: Policy) -> dict[str, Any]:
    """A file that could not even be read, in the shape of all others and with what follows from an error."""
    evidence = Evidence(file=name, sha256=None, error=reason)
    found = judge(evidence, policy)
    follow = found.follow
    return Verdict(
        found.decision, evidence, found.reasons, policy.label, 0, follow.action, follow.review
    ).to_json()
