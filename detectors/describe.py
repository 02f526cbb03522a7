"""From a canonical clip to the vector that the models see, and to the maps that say where.

In: `Canonical`. Out: `Description`: 1688 numbers with fixed names, in blocks: hand-made families, the
network's last maps, its late ones. Raising `VERSION` makes old caches and models unusable.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from detectors.backbone import run_backbone
from detectors.clip import SIDE, Canonical
from detectors.features import hand_features
from detectors.features.shared import Floats

__all__ = ["BLOCKS", "VERSION", "Description", "describe", "names"]

VERSION = "1"

_NET_SIDE, _EVERY = 224, 3
_TOP, _LATE = 1280, 112


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """`values` `(1688,)`; `top` `(1280, 7, 7)` and `late` `(112, 14, 14)`: the maps, mean over time."""

    values: npt.NDArray[np.float32]
    top: Floats
    late: Floats


def describe(clip: Canonical) -> Description:
    """All numbers of a clip.

    >>> black = Canonical(np.zeros((4, 256, 256), np.uint8), np.zeros((4, 2, 128, 128), np.uint8))
    >>> describe(black).values.shape
    (1688,)
    """
    hand = np.array(list(hand_features(clip).values()), np.float32)
    depths = run_backbone(clip, _NET_SIDE, _EVERY)
    late = depths.late
    values = [hand, depths.top.mean((0, 2, 3)), late.mean((0, 2, 3)), late.std((2, 3)).mean(0)]
    return Description(np.concatenate(values).astype(np.float32), depths.top.mean(0), late.mean(0))


@cache
def names() -> tuple[str, ...]:
    """The names of the numbers, in order."""
    blank = Canonical(np.zeros((4, SIDE, SIDE), np.uint8), np.zeros((4, 2, SIDE // 2, SIDE // 2), np.uint8))
    network = [f"network_top_{i}" for i in range(_TOP)]
    network += [f"network_late_{kind}_{i}" for kind in ("mean", "spread") for i in range(_LATE)]
    return (*hand_features(blank), *network)


BLOCKS = {"hand": (0, 184), "top": (184, 1464), "late": (1464, 1688)}
"""Columns of each block: (start, end)."""
