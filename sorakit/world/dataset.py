"""Endless training batches from the sprite world: no files, and no clip is ever seen twice.

Batch `i` of seed `s` is a pure function of `(s, i)`, so a resumed run goes on exactly where it stopped and
several workers can share one stream by taking every n-th batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from sorakit.types import Rgb
from sorakit.world.caption import MAX_TOKENS, caption, encode
from sorakit.world.frames import Given, sample_given
from sorakit.world.render import Rendered, render
from sorakit.world.scene import (
    BACKGROUNDS,
    CAMERAS,
    COLOURS,
    MOTIONS,
    SHAPES,
    SIZES,
    TEXTURES,
    Scene,
    Shot,
    Space,
    cameras_for,
    sample_scene,
)

__all__ = ["MAKEUP", "Batch", "Draw", "batches", "make_batch", "with_other_looks"]

Floats = npt.NDArray[np.float32]
Size = tuple[int, int, int]

_WORDS: tuple[tuple[str, ...], ...] = (tuple(COLOURS), SHAPES, tuple(SIZES), MOTIONS)
_BACKDROP: tuple[tuple[str, ...], ...] = (TEXTURES, tuple(CAMERAS), tuple(BACKGROUNDS))
_OF_SPRITES = sum(len(words) for words in _WORDS)

MAKEUP = _OF_SPRITES + sum(len(words) for words in _BACKDROP)
"""Features of `Batch.makeup`: one for each word that a sprite or a backdrop can have."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """`clips`, `decoys`: `uint8 (B, T, H, W, 3)`; `tokens`: `int64 (B, L)`; `masks`: `(B, T, H, W)`.

    A decoy shows its clip with other looks on the same tracks (the clip itself where none was
    drawn). The mask, 0 to 1, covers the sprites of both, grown by a pixel. `given` `bool (B, T)`: frames that
    the model is shown clean. `makeup` `(B, N, MAKEUP)`: how much of each patch shows a sprite or backdrop of
    each word. `textured` `(B, T)`: 1 where the backdrop is not plain.
    """

    scenes: tuple[Scene, ...]
    clips: Rgb
    decoys: Rgb
    tokens: npt.NDArray[np.int64]
    masks: Floats
    given: npt.NDArray[np.bool_]
    makeup: Floats
    textured: Floats


@dataclass(frozen=True, slots=True)
class Draw:
    """How batches are drawn: `size` clips of one of `shapes` (T, H, W), picked with the odds `odds`.

    Larger shapes get fewer clips, so that each batch costs about the same. Captions have at most `length`
    words; `decoy` is the share of clips that get one, `given` the share of clips with given frames; `patch`
    is the model's, in pixels.
    """

    space: Space
    size: int
    shapes: tuple[Size, ...] = ((16, 32, 32),)
    odds: tuple[float, ...] = (1.0,)
    length: int = MAX_TOKENS
    decoy: float = 0.0
    given: float = 0.0
    patch: Size = field(default=(4, 8, 8))

    def shape_of(self, rng: np.random.Generator) -> tuple[int, Size]:
        """Clips and shape of a batch."""
        shape = self.shapes[int(rng.choice(len(self.shapes), p=self.odds))]
        cost = float(np.prod(shape)) / float(np.prod(self.shapes[0]))
        return max(1, round(self.size / cost)), shape


def make_batch(seed: int, index: int, draw: Draw) -> Batch:
    """Batch `index` of the stream `seed`.

    >>> make_batch(0, 0, Draw(Space(two=0.0), 2)).clips.shape
    (2, 16, 32, 32, 3)
    """
    rng = np.random.default_rng([seed, index])
    size, shape = draw.shape_of(rng)
    scenes = tuple(sample_scene(rng, draw.space) for _ in range(size))
    clips = np.empty((size, *shape, 3), np.uint8)
    decoys = np.empty_like(clips)
    masks = np.zeros((size, *shape), np.float32)
    given = np.zeros((size, shape[0]), bool)
    textured = np.zeros((size, shape[0]), np.float32)
    makeup = []
    for i, scene in enumerate(scenes):
        shown = sample_given(rng, shape[0], len(scene.shots)) if rng.random() < draw.given else Given()
        given[i, list(shown.frames)] = True
        place = int(rng.integers(1 << 62))
        versions = [scene, with_other_looks(scene, rng)] if rng.random() < draw.decoy else [scene]
        for version in versions:
            out = render(version, place, *shape, start=shown.start, span=shown.span)
            decoys[i] = out.frames
            for track in out.tracks:
                part = masks[i, track.first : track.first + len(track.mask)]
                np.maximum(part, track.mask, out=part)
            if version is scene:
                clips[i] = out.frames
                makeup.append(_makeup(scene, out, draw.patch, shape))
                for shot, first in zip(scene.shots, out.cuts, strict=True):
                    textured[i, first:] = shot.texture != "plain"
    tokens = np.stack([encode(caption(s), draw.length) for s in scenes])
    return Batch(scenes, clips, decoys, tokens, _grown(masks), given, np.stack(makeup), textured)


def batches(seed: int, draw: Draw, *, first: int = 0, step: int = 1) -> Iterator[Batch]:
    """Batches `first`, `first + step`, … of the stream `seed`, without end."""
    index = first
    while True:
        yield make_batch(seed, index, draw)
        index += step


def with_other_looks(scene: Scene, rng: np.random.Generator) -> Scene:
    """`scene` with other shapes or, in half of the shots of two sprites, their colours exchanged.

    Half of the textured shots also get another texture or camera move. In half of the scenes with a cut the
    two backgrounds are exchanged instead. Drawn from the same seed, the tracks agree: only the words can tell
    which look belongs where.
    """
    if len(scene.shots) == 2 and rng.random() < 0.5:
        first, second = scene.shots
        return Scene(
            (replace(first, background=second.background), replace(second, background=first.background))
        )

    def change(shot: Shot) -> Shot:
        if shot.texture != "plain" and rng.random() < 0.5:
            ways = [(t, c) for t in TEXTURES[1:] for c in ("", *cameras_for(t))]
            ways.remove((shot.texture, shot.camera))
            texture, camera = ways[int(rng.integers(len(ways)))]
            shot = replace(shot, texture=texture, camera=camera)
        if len(shot.sprites) == 2 and rng.random() < 0.5:
            a, b = shot.sprites
            return replace(shot, sprites=(replace(a, colour=b.colour), replace(b, colour=a.colour)))
        others = [[x for x in SHAPES if x != s.shape] for s in shot.sprites]
        sprites = (
            replace(s, shape=str(rng.choice(names))) for s, names in zip(shot.sprites, others, strict=True)
        )
        return replace(shot, sprites=tuple(sprites))

    return Scene(tuple(change(s) for s in scene.shots))


def _makeup(scene: Scene, out: Rendered, patch: Size, shape: Size) -> Floats:
    """`(N, MAKEUP)`: share of each patch that a visible sprite or backdrop of each word covers."""
    grid = [s // p for s, p in zip(shape, patch, strict=True)]
    total = np.zeros((*grid, MAKEUP), np.float32)
    hidden = np.zeros(shape, np.float32)
    for track in reversed(out.tracks):  # nearest first
        seen = np.zeros(shape, np.float32)
        where = slice(track.first, track.first + len(track.mask))
        seen[where] = track.mask * (1 - hidden[where])
        hidden[where] = np.maximum(hidden[where], track.mask)
        blocks = seen.reshape(grid[0], patch[0], grid[1], patch[1], grid[2], patch[2])
        s = track.sprite
        share = blocks.mean((1, 3, 5))[..., None]
        total[..., :_OF_SPRITES] += share * _one_hot(_WORDS, (s.colour, s.shape, s.size, s.motion))
    bare = 1 - total[..., : len(COLOURS)].sum(-1, keepdims=True)
    for shot, first in zip(scene.shots, out.cuts, strict=True):
        where = slice(first // patch[0], None)
        total[where, ..., _OF_SPRITES:] = bare[where] * _one_hot(
            _BACKDROP, (shot.texture, shot.camera, shot.background)
        )
    return total.reshape(-1, MAKEUP)


def _one_hot(known: tuple[tuple[str, ...], ...], named: tuple[str, ...]) -> Floats:
    rows = [np.asarray(words) == word for words, word in zip(known, named, strict=True)]
    return np.concatenate(rows).astype(np.float32)


def _grown(masks: Floats) -> Floats:
    """`masks` `(B, T, H, W)` with each pixel the largest of its 3 × 3 neighbourhood."""
    wide = masks.copy()
    np.maximum(wide[..., 1:], masks[..., :-1], out=wide[..., 1:])
    np.maximum(wide[..., :-1], masks[..., 1:], out=wide[..., :-1])
    tall = wide.copy()
    np.maximum(tall[..., 1:, :], wide[..., :-1, :], out=tall[..., 1:, :])
    np.maximum(tall[..., :-1, :], wide[..., 1:, :], out=tall[..., :-1, :])
    return tall
