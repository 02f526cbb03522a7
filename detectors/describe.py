"""From a canonical clip to the vector that the models see, and to the maps that say where.

In: `Canonical`. Out: `Description`: 1688 numbers with fixed names, in blocks: hand-made families, the
network's last maps, its late ones. Raising `VERSION` makes old caches and models unusable.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from detectors.backbone import run_backbone
from detectors.clip import SIDE, Canonical
from detectors.features import hand_features
from detectors.features.shared import Floats

__all__ = ["BLOCKS", "VERSION", "Description", "describe", "names", "reencoded"]

VERSION = "3"

_NET_SIDE, _EVERY = 224, 4
_SEEN = ("late", "top")
_TOP, _LATE = 1280, 112

_PAIRED = (1, 2)
"""Of the network's four frames, those that are looked at again."""


@dataclass(frozen=True, slots=True, eq=False)
class Description:
    """`values` `(1688,)`; `top` `(1280, 7, 7)` and `late` `(112, 14, 14)`: the maps, mean over time.

    `frames` `(F, 1504)`: the network's numbers of each frame that it saw: means of the last maps, means and
    deviations of the late ones.
    """

    values: npt.NDArray[np.float32]
    top: Floats
    late: Floats
    frames: Floats


def describe(clip: Canonical) -> Description:
    """All numbers of a clip.

    >>> black = Canonical(np.zeros((4, 256, 256), np.uint8), np.zeros((4, 2, 128, 128), np.uint8))
    >>> describe(black).values.shape
    (1688,)
    """
    hand = np.array(list(hand_features(clip).values()), np.float32)
    late, top = run_backbone(clip, _NET_SIDE, _EVERY, _SEEN)
    frames = _by_frame(late, top)
    spread = frames[:, -_LATE:].mean(0)
    joined = np.concatenate([hand, top.mean((0, 2, 3)), late.mean((0, 2, 3)), spread])
    return Description(joined.astype(np.float32), top.mean(0), late.mean(0), frames)


def reencoded(before: Description, clip: Canonical) -> Description:
    """About what `describe` would say of `clip`, a re-encoded copy of what `before` describes.

    The network's numbers move by what two of its frames move; the rest stays as it was. That gets 0.4 of the
    change's variance, but as much of what a social platform's encoder does as all numbers get.
    """
    values = before.values.copy()
    seen = sorted({min(i, len(before.frames) - 1) for i in _PAIRED})
    rows = [_EVERY * i for i in seen]
    after = _by_frame(*run_backbone(Canonical(clip.luma[rows], clip.chroma[rows]), _NET_SIDE, 1, _SEEN))
    values[BLOCKS["top"][0] :] += (after - before.frames[seen]).mean(0)
    return replace(before, values=values)


def _by_frame(late: Floats, top: Floats) -> Floats:
    """Means of the last maps, means and deviations of the late ones, a row a frame."""
    return np.concatenate([top.mean((2, 3)), late.mean((2, 3)), late.std((2, 3))], 1)


@cache
def names() -> tuple[str, ...]:
    """The names of the numbers, in order."""
    blank = Canonical(np.zeros((4, SIDE, SIDE), np.uint8), np.zeros((4, 2, SIDE // 2, SIDE // 2), np.uint8))
    network = [f"network_top_{i}" for i in range(_TOP)]
    network += [f"network_late_{kind}_{i}" for kind in ("mean", "spread") for i in range(_LATE)]
    return (*hand_features(blank), *network)


BLOCKS = {"hand": (0, 184), "top": (184, 1464), "late": (1464, 1688)}
"""Columns of each block: (start, end)."""
