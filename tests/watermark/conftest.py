"""Luma clips that the watermark's tests make for themselves, as functions."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

Plane = npt.NDArray[np.uint8]


def _textured(n: int = 12, size: tuple[int, int] = (270, 480), seed: int = 0) -> list[Plane]:
    rng = np.random.default_rng(seed)
    h, w = size
    picture = np.full((h + 64, w + 64), 120, np.float32)
    for sigma in (1, 2, 4, 8, 16, 32):
        noise = rng.standard_normal(picture.shape).astype(np.float32)
        picture += cv2.GaussianBlur(noise, (0, 0), sigma) * sigma * 12
    cv2.rectangle(picture, (w // 3, h // 3), (w // 2, h // 2), 200.0, -1)
    whole = np.clip(picture, 16, 235).astype(np.uint8)
    return [np.ascontiguousarray(whole[2 * t % 64 :, 3 * t % 64 :][:h, :w]) for t in range(n)]


def _sprites(n: int = 24, side: int = 256, seed: int = 0) -> list[Plane]:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    ground = 120 + 8.0 * (x // 32 % 2)
    start, speed = rng.uniform(80, 170, 2), rng.uniform(-3, 3, 2)
    frames = []
    for t in range(n):
        centre = start + speed * t
        disc = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < 35**2
        frames.append(np.where(disc, 200, ground).astype(np.uint8))
    return frames


@pytest.fixture
def textured() -> Callable[..., list[Plane]]:
    """`textured(n, size, seed)`: a panning 1/f picture with hard edges, like a photograph to a watermark."""
    return _textured


@pytest.fixture
def sprites() -> Callable[..., list[Plane]]:
    """`sprites(n, side, seed)`: a flat, faintly striped ground and a moving disc, as the kit draws them."""
    return _sprites
