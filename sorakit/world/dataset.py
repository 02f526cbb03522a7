"""Endless training batches from the sprite world: no files, and no clip is ever seen twice.

Batch `i` of seed `s` is a pure function of `(s, i)`, so a resumed run goes on exactly where it stopped and
several workers can share one stream by taking every n-th batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sorakit.types import Rgb
from sorakit.world.caption import MAX_TOKENS, caption, encode
from sorakit.world.render import render
from sorakit.world.scene import SHAPES, Scene, Shot, Space, sample_scene

__all__ = ["Batch", "batches", "make_batch", "with_other_shapes"]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """`clips`, `decoys`: `uint8 (B, T, H, W, 3)`; `tokens`: `int64 (B, L)`; `masks`: `(B, T, H, W)`.

    A decoy shows its clip with other shapes on the same tracks (the clip itself where none was drawn).
    The mask, 0 to 1, covers the sprites of both.
    """

    scenes: tuple[Scene, ...]
    clips: Rgb
    decoys: Rgb
    tokens: npt.NDArray[np.int64]
    masks: npt.NDArray[np.float32]


def make_batch(
    seed: int,
    index: int,
    size: int,
    space: Space,
    shape: tuple[int, int, int] = (16, 32, 32),
    *,
    length: int = MAX_TOKENS,
    decoy: float = 0.0,
) -> Batch:
    """Batch `index` of the stream `seed`: `size` clips of `shape` (T, H, W).

    Captions have at most `length` words; `decoy` is the share of clips that get one.

    >>> make_batch(0, 0, 2, Space(two=0.0)).clips.shape
    (2, 16, 32, 32, 3)
    """
    rng = np.random.default_rng([seed, index])
    scenes = tuple(sample_scene(rng, space) for _ in range(size))
    clips = np.empty((size, *shape, 3), np.uint8)
    decoys = np.empty_like(clips)
    masks = np.zeros((size, *shape), np.float32)
    for i, scene in enumerate(scenes):
        draw = int(rng.integers(1 << 62))
        versions = [scene, with_other_shapes(scene, rng)] if rng.random() < decoy else [scene]
        for version in versions:
            out = render(version, draw, *shape)
            decoys[i] = out.frames
            for track in out.tracks:
                part = masks[i, track.first : track.first + len(track.mask)]
                np.maximum(part, track.mask, out=part)
            if version is scene:
                clips[i] = out.frames
    tokens = np.stack([encode(caption(s), length) for s in scenes])
    return Batch(scenes, clips, decoys, tokens, masks)


def batches(
    seed: int,
    size: int,
    space: Space,
    shape: tuple[int, int, int] = (16, 32, 32),
    *,
    length: int = MAX_TOKENS,
    decoy: float = 0.0,
    first: int = 0,
    step: int = 1,
) -> Iterator[Batch]:
    """Batches `first`, `first + step`, … of the stream `seed`, without end."""
    index = first
    while True:
        yield make_batch(seed, index, size, space, shape, length=length, decoy=decoy)
        index += step


def with_other_shapes(scene: Scene, rng: np.random.Generator) -> Scene:
    """`scene` with every sprite's shape replaced by another one; drawn from the same seed, tracks agree."""

    def swap(shot: Shot) -> Shot:
        sprites = tuple(
            replace(s, shape=str(rng.choice([x for x in SHAPES if x != s.shape]))) for s in shot.sprites
        )
        return replace(shot, sprites=sprites)

    return Scene(tuple(swap(s) for s in scene.shots))
