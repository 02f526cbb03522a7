"""Which files of a folder are marked, and how each is called in the folder that mirrors it.

In: two folders and a pattern. Out: `Item`s, sorted, no two with the same output on any file system.
"""

import fnmatch
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePosixPath

from sorakit.errors import OutputError, UsageError
from sorakit.place import check_output
from sorakit.provenance.session import EMBEDS

__all__ = ["VIDEOS", "Item", "check_place", "find", "walk", "wanted"]

VIDEOS = frozenset(
    f".{kind}"
    for kind in ("mp4", "m4v", "mov", "mkv", "webm", "avi", "gif", "mpg", "mpeg", "ts", "m2ts", "flv", "ogv")
) | {".3gp", ".wmv", ".mxf"}


@dataclass(frozen=True, slots=True)
class Item:
    """One input and where its marked twin goes; both relative to their folders, with `/`."""

    source: str
    output: str


def find(folder: Path, out: Path, pattern: str | None = None) -> list[Item]:
    """The videos below `folder`, by suffix or by `pattern` (on the relative path: `*.mov`, `day1/*`).

    Hidden files and folders, symbolic links and `out` itself are passed over. An input of a kind that cannot
    hold its credential becomes an MP4: `a.mkv` goes to `a.mp4`, or to `a.mkv.mp4` where another input takes
    that name. Raises `UsageError` (no folder, or both are one), `OutputError` (`out` cannot be a folder).
    """
    if not folder.is_dir():
        raise UsageError(f"`--batch` takes a folder, got {folder}")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; name a folder to write into")
    if out.exists() and out.samefile(folder):
        raise UsageError(f"the output must be another folder than the input, got {folder} for both")
    names = sorted(n for n in walk(folder, out) if wanted(n, pattern))
    taken = {n.casefold(): n for n in names if PurePosixPath(n).suffix.lower() in EMBEDS}
    outputs = {n: n for n in taken.values()}
    for name in names:
        if name not in outputs:
            outputs[name] = _free(name, taken)
            taken[outputs[name].casefold()] = name
    return [Item(n, outputs[n]) for n in names]


def walk(folder: Path, out: Path) -> Iterator[str]:
    """Relative names, with `/`, of the files below `folder`: none hidden, no link, nothing below `out`."""
    apart = out.resolve()
    for base, folders, files in os.walk(folder):
        here = Path(base)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and (here / f).resolve() != apart)
        for name in files:
            path = here / name
            if not name.startswith(".") and not path.is_symlink() and path.is_file():
                yield path.relative_to(folder).as_posix()


def wanted(name: str, pattern: str | None) -> bool:
    """Whether a relative name is a video's by its suffix, or fits the pattern.

    >>> wanted("day1/a.mov", None), wanted("day1/a.mov", "day2/*")
    (True, False)
    """
    if pattern is None:
        return PurePosixPath(name).suffix.lower() in VIDEOS
    return fnmatch.fnmatch(name, pattern) or fnmatch.fnmatch(PurePosixPath(name).name, pattern)


def _free(name: str, taken: dict[str, str]) -> str:
    """A name that no other output has, small and capital letters taken as the same."""
    path = PurePosixPath(name)
    if path.suffix.lower() in EMBEDS:  # another name differs from it in small and capital letters alone
        options, suffix = [], path.suffix
    else:
        options, suffix = [path.with_suffix(".mp4"), path.with_name(f"{path.name}.mp4")], ".mp4"
    numbered = (path.with_name(f"{path.stem}~{i}{suffix}") for i in count(2))
    return next(str(o) for o in chain(options, numbered) if str(o).casefold() not in taken)


def check_place(output: Path, *, overwrite: bool, source: Path) -> None:
    """Make the output's folder, and refuse an output that could not be written."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OutputError(f"cannot make the folder {output.parent}: {e.strerror}") from e
    check_output(output, overwrite=overwrite, source=source)
