"""Settle the rows that a kill between rename and confirm left pending.

In: an open registry and the folders where published files may stand. Out: what was done with each row. A
pending row recovers its video like any other from here, but a server does not give it out, since nobody can
tell whether its file ever appeared. Here somebody can: the row holds the final file's hash.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from sorakit.errors import InputError
from sorakit.registry.record import Record, file_sha256
from sorakit.registry.repo import Registry
from sorakit.types import Progress

__all__ = ["MIN_AGE", "Settled", "tidy"]

MIN_AGE = timedelta(hours=1)
"""Younger rows may belong to a file that is being published right now."""

ENDINGS = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif"})


@dataclass(frozen=True, slots=True)
class Settled:
    """One pending row. `file`: where its file stands, if it was found."""

    manifest_id: str
    title: str | None
    outcome: Literal["confirmed", "discarded", "pending"]
    file: Path | None = None


def tidy(
    registry: Registry,
    folders: Iterable[Path] = (),
    *,
    discard: bool = False,
    min_age: timedelta = MIN_AGE,
    progress: Progress | None = None,
) -> list[Settled]:
    """Confirm pending rows whose file stands in `folders`; with `discard` forget the others.

    Files count by their SHA-256, whatever their name. A discarded row cannot be brought back: its video,
    if it did get out, is never recovered again, so look through all folders first.
    Raises `InputError` for a folder that is none.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as d, Registry(f"sqlite:///{d}/r.db") as registry:
    ...     tidy(registry, [Path(d)])
    []
    """
    waiting = registry.pending(datetime.now(UTC) - min_age)
    found = _locate({r.file_sha256 for r in waiting}, folders, progress) if waiting else {}
    return [_settle(registry, row, found.get(row.file_sha256), discard=discard) for row in waiting]


def _settle(registry: Registry, row: Record, file: Path | None, *, discard: bool) -> Settled:
    if file is not None:
        registry.confirm(row.manifest_id)
        return Settled(row.manifest_id, row.title, "confirmed", file)
    if discard:
        registry.discard(row.manifest_id)
        return Settled(row.manifest_id, row.title, "discarded")
    return Settled(row.manifest_id, row.title, "pending")


def _locate(wanted: set[str], folders: Iterable[Path], progress: Progress | None) -> dict[str, Path]:
    found: dict[str, Path] = {}
    files = sorted(set(_files(folders)))
    for k, path in enumerate(files):
        if progress:
            progress(path.name, k / len(files))
        try:
            digest = file_sha256(path)
        except OSError as e:
            raise InputError(f"cannot read {path}: {e.strerror}; no row was settled") from e
        if digest in wanted:
            found[digest] = path
    return found


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder; name the folders where published files stand")
        yield from (p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
