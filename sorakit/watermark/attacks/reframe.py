"""Another frame around the picture: vertical cut, bars, blurred sides, an inset in a larger scene.

In: a picture `uint8 (H, W, 3)`. Out: a frame that shows it, or a part of it, in another shape.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from sorakit.types import Rgb
from sorakit.video.convert import resize
from sorakit.watermark.attacks.base import Strength
from sorakit.watermark.attacks.crop import centre
from sorakit.watermark.attacks.scale import times
from sorakit.watermark.attacks.stream import Change, even, picture_attack

__all__ = ["ATTACKS", "detail"]


def _vertical(height: float, _rng: np.random.Generator) -> Change:
    """The middle 9:16 of the picture, `height` px high."""
    tall, wide = round(height), round(height * 9 / 16)

    def change(rgb: Rgb) -> Rgb:
        h, w = rgb.shape[:2]
        return resize(centre(rgb, min(h, w * 16 // 9), min(w, h * 9 // 16)), wide, tall)

    return change


def _bars(share: float, axis: int) -> Change:
    """Black bars on both ends of an axis that take `share` of it together; the picture keeps its size."""

    def change(rgb: Rgb) -> Rgb:
        bar = round(rgb.shape[axis] * share / (1 - share) / 2)
        pad = [(0, 0), (0, 0), (0, 0)]
        pad[axis] = (bar, bar)
        return np.pad(rgb, pad)

    return change


def _blurred_sides(height: float, _rng: np.random.Generator) -> Change:
    """The whole picture across a vertical 9:16 frame, over an enlarged and blurred copy of itself."""
    tall, wide = round(height), round(height * 9 / 16)

    def change(rgb: Rgb) -> Rgb:
        scale = min(wide / rgb.shape[1], tall / rgb.shape[0])
        small = times(rgb, scale + 1e-9)
        fill = times(rgb, max(wide / rgb.shape[1], tall / rgb.shape[0]) + 1e-6)
        frame = cv2.GaussianBlur(resize(centre(fill, tall, wide), wide // 8, tall // 8), (0, 0), 4)
        out = resize(np.asarray(frame, dtype=np.uint8), wide, tall)
        y, x = (tall - small.shape[0]) // 2, (wide - small.shape[1]) // 2
        out[y : y + small.shape[0], x : x + small.shape[1]] = small
        return out

    return change


def _inset(share: float, rng: np.random.Generator) -> Change:
    """The picture at `share` of its size, somewhere in a frame of its old size that shows something else."""
    y, x = rng.uniform(0.1, 0.9, 2)
    seed = int(rng.integers(1 << 31))
    scene: list[Rgb] = []

    def change(rgb: Rgb) -> Rgb:
        if not scene:
            scene.append(_room(rgb.shape[0], rgb.shape[1], seed))
        out, small = scene[0].copy(), even(times(rgb, share))
        top, left = int((out.shape[0] - small.shape[0]) * y), int((out.shape[1] - small.shape[1]) * x)
        out[top : top + small.shape[0], left : left + small.shape[1]] = small
        return out

    return change


def _room(height: int, width: int, seed: int) -> Rgb:
    """A soft 1/f wall, as a still that somebody else's frame could be."""
    total = detail(height, width, np.random.default_rng(seed), (2, 4, 8, 16, 32))
    return np.clip(120 + 30 * total, 0, 255).astype(np.uint8)


def detail(
    height: int, width: int, rng: np.random.Generator, grids: Sequence[int]
) -> npt.NDArray[np.float32]:
    """A drawn picture `(H, W, 3)` around 0: blobs on `grids` × `grids`, the finer the fainter, as 1/f."""
    total = np.zeros((height, width, 3), np.float32)
    for n in grids:
        grid = rng.standard_normal((n, n, 3)).astype(np.float32)
        wide = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        total += np.asarray(wide, np.float32) / np.float32(n**0.7)
    return total


_HEIGHT = Strength(320, 640, 1920, "px high")

ATTACKS = (
    picture_attack(
        "vertical_reframe", "reframe", "the middle 9:16 at 360 × 640", _vertical, _HEIGHT, crf=26
    ),
    picture_attack(
        "letterbox", "reframe", "bars above and below", lambda s, _: _bars(s, 0),
        Strength(0.05, 0.25, 0.6, "of the height"), crf=23,
    ),
    picture_attack(
        "pillarbox", "reframe", "bars left and right", lambda s, _: _bars(s, 1),
        Strength(0.05, 0.25, 0.6, "of the width"), crf=23,
    ),
    picture_attack(
        "blurred_sides", "reframe", "whole in a vertical frame over a blurred copy", _blurred_sides,
        Strength(480, 960, 1920, "px high"), crf=26,
    ),
    picture_attack(
        "inset", "reframe", "at 60 % inside another scene", _inset, Strength(0.3, 0.6, 0.95, "of a side"),
        crf=23,
    ),
)  # fmt: skip
