"""Cuts a picture into overlapping tiles and blends them together again, so that memory has a bound.

A tile's outermost quarter of the overlap is dropped (its convolutions saw padding there) and the middle half
is a straight cross-fade: the weights of all tiles add up to one everywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sorakit.errors import UsageError

__all__ = ["Tiling", "ramp"]


@dataclass(frozen=True, slots=True)
class Tiling:
    """Tiles of `tile` cells a side; neighbours share `overlap` cells.

    >>> [(s.start, s.stop) for s in Tiling(8, 2).cuts(13)]
    [(0, 8), (6, 13)]
    """

    tile: int = 32
    overlap: int = 4

    def __post_init__(self) -> None:
        """Refuse tiles that are all overlap."""
        if not 0 <= 2 * self.overlap <= self.tile or self.tile < 1:
            raise UsageError(
                f"`tile` must be at least 1 and twice `overlap`, got tile {self.tile}, overlap {self.overlap}"
            )

    def cuts(self, length: int) -> Iterator[slice]:
        """The tiles along a side of `length` cells, in order."""
        for start in range(0, max(1, length - self.overlap), self.tile - self.overlap):
            yield slice(start, min(start + self.tile, length))


def ramp(cut: slice, length: int, overlap: int, scale: int) -> Tensor:
    """Weights `((stop - start)·scale,)` of one tile along a side; `scale` pixels a cell, float32."""
    weight = torch.ones((cut.stop - cut.start) * scale)
    shared = overlap * scale
    rise = (2 * (torch.arange(shared) + 0.5) / max(shared, 1) - 0.5).clamp(0, 1)
    if cut.start > 0:
        weight[:shared] *= rise
    if cut.stop < length:
        weight[len(weight) - shared :] *= rise.flip(0)
    return weight
