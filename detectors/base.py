"""The protocol of a detector, and how the kit finds one.

A distribution offers a detector by an entry point in the group `sorakit.detectors` whose object, called
without arguments, returns a `Detector`. None is installed yet, so `check` reports its detector as null.
"""

from pathlib import Path
from typing import Protocol

from sorakit.types import DetectorEvidence

__all__ = ["Detector"]


class Detector(Protocol):
    """A calibrated classifier of synthetic clips."""

    @property
    def name(self) -> str:
        """`name@version`, as it stands in the evidence."""
        ...

    def detect(self, path: Path) -> DetectorEvidence:
        """Judge one video file that has passed the guard; abstains rather than guesses."""
        ...
