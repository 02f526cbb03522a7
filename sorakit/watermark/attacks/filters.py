"""Filters over each picture, or over neighbouring ones: blur, median, sharpen, denoise, averaging in time.

In: a picture `uint8 (H, W, 3)`. Out: one of the same size.
"""

from collections import deque

import cv2
import numpy as np

from sorakit.types import Rgb
from sorakit.watermark.attacks.base import Strength
from sorakit.watermark.attacks.stream import Change, picture_attack

__all__ = ["ATTACKS"]


def _blur(sigma: float) -> Change:
    return lambda rgb: np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), dtype=np.uint8)


def _median(size: float) -> Change:
    side = round(size) // 2 * 2 + 1
    return lambda rgb: np.asarray(cv2.medianBlur(rgb, side), dtype=np.uint8)


def _sharpen(amount: float) -> Change:
    def change(rgb: Rgb) -> Rgb:
        soft = cv2.GaussianBlur(rgb, (0, 0), 1.5)
        return np.asarray(cv2.addWeighted(rgb, 1 + amount, soft, -amount, 0), dtype=np.uint8)

    return change


def _denoise(sigma: float) -> Change:
    """An edge-keeping filter (Tomasi & Manduchi 1998), as phones and players run it."""
    return lambda rgb: np.asarray(cv2.bilateralFilter(rgb, 5, sigma, 2.0), dtype=np.uint8)


def _over_time(count: float) -> Change:
    """The mean of the last `count` pictures."""
    last: deque[Rgb] = deque(maxlen=round(count))

    def change(rgb: Rgb) -> Rgb:
        last.append(rgb)
        return np.rint(np.mean(np.stack(last), 0, dtype=np.float32)).astype(np.uint8)

    return change


ATTACKS = (
    picture_attack(
        "blur", "filter", "Gaussian, σ 2", lambda s, _: _blur(s), Strength(0.3, 2, 6, "px"), crf=23
    ),
    picture_attack(
        "median", "filter", "median of 5 × 5", lambda s, _: _median(s), Strength(3, 5, 11, "px"), crf=23
    ),
    picture_attack(
        "sharpen", "filter", "unsharp mask, amount 1", lambda s, _: _sharpen(s), Strength(0.1, 1, 4, "times"),
        crf=23,
    ),
    picture_attack(
        "denoise", "filter", "edge-keeping, σ 30 levels", lambda s, _: _denoise(s),
        Strength(5, 30, 120, "levels"), crf=23,
    ),
    picture_attack(
        "temporal_average", "filter", "mean of 3 frames", lambda s, _: _over_time(s),
        Strength(2, 3, 8, "frames"), crf=23,
    ),
)  # fmt: skip
