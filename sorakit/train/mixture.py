"""Batches for the autoencoder: the whole sprite world and, where there is some, real footage beside it.

Batch `i` of seed `s` is a pure function of `(s, i)`. All clips of a batch have one shape; the shapes take
turns at random, so that the network meets small and large sprites, both aspects, and single images.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sorakit.train.footage import Footage
from sorakit.types import Rgb
from sorakit.world.render import render
from sorakit.world.scene import Space, sample_scene

__all__ = ["WORLD", "Bucket", "Mixed", "mixed_batch"]

WORLD = Space(sizes=("small", "medium", "big"), two=0.5, camera=0.5, cut=0.1)
"""Everything the world can show."""

_LEAST_FRAMES = 8
"""The fewest that the world draws with a cut."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One shape (T, H, W) of clips, how many make a batch, and how often it is drawn.

    T = 1: single images, shown as four equal frames.
    """

    shape: tuple[int, int, int]
    size: int
    weight: float


@dataclass(frozen=True, slots=True, eq=False)
class Mixed:
    """`clips`: `uint8 (B, T, H, W, 3)`, T a multiple of 4; `masks`: `(B, T, H, W)`, 1 on sprites."""

    clips: Rgb
    masks: npt.NDArray[np.float32]


def mixed_batch(
    seed: int, index: int, buckets: tuple[Bucket, ...], footage: Footage | None = None, share: float = 0.25
) -> Mixed:
    """Batch `index` of stream `seed`; `share` of its clips are real where there is `footage`.

    >>> mixed_batch(0, 0, (Bucket((4, 32, 32), 2, 1.0),)).clips.shape
    (2, 4, 32, 32, 3)
    """
    rng = np.random.default_rng([seed, index])
    odds = np.array([b.weight for b in buckets])
    bucket = buckets[int(rng.choice(len(buckets), p=odds / odds.sum()))]
    T, H, W = bucket.shape
    clips = np.empty((bucket.size, T, H, W, 3), np.uint8)
    masks = np.zeros((bucket.size, T, H, W), np.float32)
    real = round(share * bucket.size) if footage is not None else 0
    for i in range(bucket.size):
        if footage is not None and i < real:
            clips[i] = footage.crop(rng, bucket.shape)
        else:
            clips[i], masks[i] = _sprites(rng, bucket.shape)
    if T == 1:
        return Mixed(np.repeat(clips, 4, 1), np.repeat(masks, 4, 1))
    return Mixed(clips, masks)


def _sprites(rng: np.random.Generator, shape: tuple[int, int, int]) -> tuple[Rgb, npt.NDArray[np.float32]]:
    """A clip of the world `(T, H, W, 3)` and where its sprites are, `(T, H, W)`."""
    T, H, W = shape
    length = max(T, _LEAST_FRAMES)
    out = render(sample_scene(rng, WORLD), int(rng.integers(1 << 62)), length, H, W)
    mask = np.zeros((length, H, W), np.float32)
    for track in out.tracks:
        part = mask[track.first : track.first + len(track.mask)]
        np.maximum(part, track.mask, out=part)
    first = int(rng.integers(length - T + 1))
    return out.frames[first : first + T], mask[first : first + T]
