"""Which registered videos is this one? Content first, then the mark: a mark alone borrows nothing.

In: what was read from a foreign file, and an open registry. Out: manifest ids with a similarity. The mark
proposes, the fingerprint decides, so that a mark copied onto another video leads nowhere.
"""

from dataclasses import dataclass

from sorakit.registry.fingerprint import Fingerprint
from sorakit.registry.match import MATCH_THRESHOLD, similarity
from sorakit.registry.repo import Registry

__all__ = ["Candidate", "by_content"]

MAX_COMPARED = 32
"""Candidates whose fingerprint is compared, newest first; each costs some 50 ms."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A published manifest whose picture is this one. `similarity`: 0 to 1, at least `MATCH_THRESHOLD`."""

    manifest_id: str
    similarity: float


def by_content(registry: Registry, marks: list[tuple[str, str]], seen: Fingerprint) -> list[Candidate]:
    """The published manifests that one of `marks` (algorithm, hex) leads to and that look like `seen`.

    Best first. Raises `RegistryError` when the registry cannot be read or `seen` is malformed.
    """
    rows = {r.manifest_id: r for mark in dict.fromkeys(marks) for r in registry.prints_by_binding(*mark)}
    prints = [
        (r.manifest_id, r.fingerprint)
        for r in rows.values()
        if r.state == "published" and r.fingerprint is not None
    ]
    scored = [Candidate(i, similarity(kept, seen)) for i, kept in prints[:MAX_COMPARED]]
    return sorted((c for c in scored if c.similarity >= MATCH_THRESHOLD), key=lambda c: -c.similarity)
