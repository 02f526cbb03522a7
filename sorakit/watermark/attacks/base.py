"""What an attack is: a name, a family, a range of strengths, and a function from file to file.

In: a `Job`. Out: the attacked file. An attack names what happens to videos between maker and viewer, so that
a mark's robustness can be measured; strength and seed fix it, so that a measurement can be repeated.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sorakit.errors import UsageError
from sorakit.types import Progress

__all__ = ["FAMILIES", "Attack", "Job", "Strength"]

FAMILIES = (
    "file", "codec", "scale", "crop", "reframe", "geometry", "colour", "filter", "noise", "overlay", "time",
    "palette", "chain", "forgery", "model",
)  # fmt: skip
"""Kinds of attack in the order in which they are listed."""


@dataclass(frozen=True, slots=True)
class Strength:
    """The range of an attack's one dial, and where it stands if nothing is said.

    >>> Strength(18, 28, 51, "CRF").checked(None)
    28
    """

    low: float
    default: float
    high: float
    unit: str

    def checked(self, value: float | None) -> float:
        """`value`, or the default for None; raises `UsageError` beyond the range."""
        if value is None:
            return self.default
        if not self.low <= value <= self.high:
            raise UsageError(
                f"`strength` must be {self.low:g} to {self.high:g} {self.unit}, got {value:g}; "
                f"leave it out for {self.default:g}"
            )
        return value


@dataclass(frozen=True, slots=True)
class Job:
    """One run: from `src` to `dst`. `others`: further videos that the attack takes; `seed`: its dice."""

    name: str
    src: Path
    dst: Path
    strength: float = 0.0
    seed: int = 0
    others: tuple[Path, ...] = ()
    progress: Progress | None = None

    def rng(self) -> np.random.Generator:
        """A fresh generator: equal for equal name and seed."""
        return np.random.default_rng([self.seed, zlib.crc32(self.name.encode())])


@dataclass(frozen=True, slots=True)
class Attack:
    """`run(job)` writes the attacked file; `summary` says in a few words what it does.

    `strength`: None where there is nothing to turn. `others`: what further videos it takes, in words, and
    `needs_others` how many at least. `keeps_credential`: the file's metadata and credential stay in it.
    """

    name: str
    family: str
    summary: str
    run: Callable[[Job], None] = field(repr=False, compare=False)
    strength: Strength | None = None
    others: str | None = None
    needs_others: int = 0
    keeps_credential: bool = False

    def __post_init__(self) -> None:
        """Refuse a family that nobody would find."""
        if self.family not in FAMILIES:
            raise UsageError(f"`family` must be one of {', '.join(FAMILIES)}, got {self.family!r}")
