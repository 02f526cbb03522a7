"""Ask one installed detector about files, each in a guarded child of its own.

In: paths and a detector's name in the entry-point group `sorakit.detectors`. Out: `DetectorEvidence` at the
wanted prior. This is the detector's layer of `sorakit.check`, alone.
"""

import re
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path

from sorakit.config import Limits, Settings
from sorakit.errors import InputError, SorakitError, UsageError
from sorakit.prior import at_prior
from sorakit.types import DetectorEvidence
from sorakit.video.guard import prescan, run_guarded

__all__ = ["OFF", "choose", "detect", "failed", "installed", "videos_in"]

OFF = "none"
"""The setting `detector` that switches the layer off."""

_MAX_REASON = 300
_FOLDERS = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?[\\/](?:[^\s'\"\\/]+[\\/])*(?=[^\s'\"\\/])")
"""The folders of an absolute path, up to the file's own name."""

_MAX_FILES = 100_000
_VIDEO = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".gif", ".ts", ".mpg", ".flv"})


def installed() -> list[str]:
    """The names of the installed detectors, sorted."""
    return sorted({point.name for point in entry_points(group="sorakit.detectors")})


def choose(name: str) -> str | None:
    """The detector that `name` means, None for `none`.

    Raises `UsageError` for one that is not installed.
    """
    if name == OFF:
        return None
    names = installed()
    if name not in names:
        raise UsageError(
            f"no detector named {name!r} is installed, there are: {', '.join(names) or 'none'}; "
            "set SORAKIT_DETECTOR to one of them, or to none"
        )
    return name


def detect(
    path: Path, *, settings: Settings, name: str | None = None, prior: float | None = None
) -> DetectorEvidence:
    """One detector's opinion of one file. `name`: by default the setting; `prior`: by default the detector's.

    Raises the kit's errors for a file that is missing, no video, or hostile, and `UsageError` for a detector
    that is not installed.

    >>> detect(Path("clip.mp4"), settings=Settings()).label  # doctest: +SKIP
    'uncertain'
    """
    chosen = choose(name or settings.detector)
    if chosen is None:
        raise UsageError("the setting `detector` is none; name one with --detector")
    prescan(path, settings.limits)
    return opinion(path, chosen, settings.limits, prior)


def opinion(path: Path, name: str, limits: Limits, prior: float | None = None) -> DetectorEvidence:
    """As `detect`, for a file that has passed the guard and a detector that is installed."""
    from sorakit.inspect_file import opinion_from_json  # noqa: PLC0415 - loads the codecs

    answer = run_guarded(
        "sorakit.inspect_file:run_detector",
        {"path": str(path.absolute()), "name": name},
        timeout=limits.check_seconds,
        memory_bytes=limits.memory_bytes,
    )
    evidence = opinion_from_json(answer)
    return evidence if prior is None else at_prior(evidence, prior)


def failed(path: Path, name: str, error: SorakitError) -> DetectorEvidence:
    r"""What stands for the opinion of a detector that ended with `error`: an abstention, marked as failed.

    The reason is one line and holds no path, for it may be a foreign package's text and goes into reports.

    >>> failed(Path("clips/a.mp4"), "sure", InputError("cannot use clips/a.mp4:\n bad")).reasons
    ['cannot use a.mp4: bad']
    """
    text = str(error).replace(str(path.absolute().parent), "").replace(str(path.parent.resolve()), "")
    text = " ".join("".join(c if c.isprintable() else " " for c in _FOLDERS.sub("", text)).split())
    reasons = [text[:_MAX_REASON] or type(error).__name__]
    return DetectorEvidence(None, "abstain", name, reasons=reasons, failed=True)


def videos_in(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and the videos in the folders named, sorted; at most 100,000.

    Raises `InputError` for a folder without any.
    """
    count = 0
    for path in paths:
        found = [path]
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix.lower() in _VIDEO and p.is_file())
            if not found:
                raise InputError(f"no videos in {path}; name files, or another folder")
        for file in found:
            count += 1
            if count > _MAX_FILES:
                raise InputError(f"more than {_MAX_FILES} files; use `sorakit scan`, which can resume")
            yield file
