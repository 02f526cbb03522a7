"""Features of clips in a child process: what a decoder does with a hostile clip ends the child alone.

In: clips, and the variants that each lacks. Out: a feature file a clip and variant, and why clips were left
out. One child reads many clips and says which it has begun; where it dies, that clip is named and a new child
reads the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from detectors.clip import unpack
from detectors.describe import describe
from detectors.variants import make_variant
from sorakit.errors import InputError, OutputError
from sorakit.types import Progress
from sorakit.video.guard import run_guarded

__all__ = ["Bounds", "Job", "read_clips", "read_task"]

_A_CHILD = 100
"""Clips that one child reads, at most: its start takes as long as a few clips."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What reading may cost: `seconds` of wall time a variant, `memory_bytes` beyond a child's start."""

    seconds: float = 120.0
    memory_bytes: int = 3 << 30


@dataclass(frozen=True, slots=True)
class Job:
    """A clip to read. `files`: where the features of each variant that it lacks are to lie."""

    path: str
    sha256: str
    files: dict[str, str]


def read_clips(jobs: Sequence[Job], bounds: Bounds, report: Callable[[int], None]) -> dict[str, str]:
    """Write the feature files of all jobs; answers why clips were left out, by path.

    `report` is told the number of each clip begun. Raises what is no clip's fault: a missing backbone
    (`ModelError`), an unknown variant (`UsageError`), a full disk (`OutputError`), a child that dies before
    its first clip (`InputError`).
    """
    failed: dict[str, str] = {}
    start = 0
    while start < len(jobs):
        part = jobs[start : start + _A_CHILD]
        begun = -1

        def told(step: str, _share: float, start: int = start) -> None:
            nonlocal begun
            begun = int(step)
            report(start + begun)

        try:
            run_guarded(
                "detectors.reading:read_task",
                {"jobs": [asdict(job) | {"path": str(Path(job.path).absolute())} for job in part]},
                timeout=bounds.seconds * (1 + sum(len(job.files) for job in part)),
                stall=bounds.seconds,
                memory_bytes=bounds.memory_bytes,
                on_progress=told,
                package="detectors",
            )
            start += len(part)
        except InputError as error:
            if begun < 0:
                raise
            failed[part[begun].path] = str(error)
            start += begun + 1
    return failed


def read_task(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The child's side: each clip's features, one file a variant, written whole or not at all."""
    cv2.setNumThreads(1)
    jobs = request["jobs"]
    for i, job in enumerate(jobs):
        for variant, file in job["files"].items():
            progress(str(i), i / len(jobs))
            values = describe(unpack(make_variant(Path(job["path"]), job["sha256"], variant))).values
            _write(Path(file), values)
    return {}


def _write(path: Path, values: npt.NDArray[np.float32]) -> None:
    part = path.with_name(f".{path.stem}.part.npz")
    try:
        np.savez(part, values=values)
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"cannot write features to {path.parent}: {error.strerror}; check space and permissions"
        ) from error
