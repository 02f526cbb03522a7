"""Noise: Gaussian as from a sensor, and single wrong pixels.

In: a picture `uint8 (H, W, 3)`. Out: one of the same size. One field of noise is drawn a clip and shifted at
random from picture to picture, which is as good as fresh noise here and ten times as quick.
"""

import cv2
import numpy as np
import numpy.typing as npt

from sorakit.types import Rgb
from sorakit.watermark.attacks.base import Strength
from sorakit.watermark.attacks.stream import Change, picture_attack

__all__ = ["ATTACKS", "gaussian"]

_ROOM = 64


def gaussian(sigma: float, rng: np.random.Generator) -> Change:
    """Adds noise of `sigma` levels, its own in each channel."""
    field: list[npt.NDArray[np.int16]] = []

    def change(rgb: Rgb) -> Rgb:
        h, w = rgb.shape[:2]
        if not field:
            values = rng.standard_normal((h + _ROOM, w + _ROOM, 3), dtype=np.float32) * np.float32(sigma)
            field.append(np.rint(values).astype(np.int16))
        y, x = rng.integers(0, _ROOM, 2)
        noisy = cv2.add(rgb, np.ascontiguousarray(field[0][y : y + h, x : x + w]), dtype=cv2.CV_8U)
        return np.asarray(noisy, dtype=np.uint8)

    return change


def _salt_and_pepper(share: float, rng: np.random.Generator) -> Change:
    drawn: list[npt.NDArray[np.float32]] = []

    def change(rgb: Rgb) -> Rgb:
        h, w = rgb.shape[:2]
        if not drawn:
            drawn.append(rng.random((h + _ROOM, w + _ROOM), dtype=np.float32))
        y, x = rng.integers(0, _ROOM, 2)
        dice = drawn[0][y : y + h, x : x + w]
        out = rgb.copy()
        out[dice < share / 2] = 0
        out[dice > 1 - share / 2] = 255
        return out

    return change


ATTACKS = (
    picture_attack(
        "noise", "noise", "Gaussian, σ 10 levels", gaussian, Strength(1, 10, 40, "levels"), crf=23
    ),
    picture_attack(
        "salt_and_pepper", "noise", "1 % of the pixels black or white", _salt_and_pepper,
        Strength(0.001, 0.01, 0.1, "of the pixels"), crf=23,
    ),
)  # fmt: skip
