"""Brightness, contrast, gamma, and what changes colours alone.

In: a picture `uint8 (H, W, 3)` RGB. Out: the same with other values; nothing moves.
"""

import cv2
import numpy as np
import numpy.typing as npt

from sorakit.types import Rgb
from sorakit.watermark.attacks.base import Strength
from sorakit.watermark.attacks.stream import Change, picture_attack

__all__ = ["ATTACKS", "gamma"]

_LEVELS = np.arange(256, dtype=np.float64)


def _table(values: npt.NDArray[np.float64]) -> Change:
    """Each value looked up; `values` `(256,)`, or `(256, 3)` for one table a channel."""
    table = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    table = table[None] if table.ndim > 1 else table
    return lambda rgb: np.asarray(cv2.LUT(rgb, table), dtype=np.uint8)


def gamma(power: float) -> Change:
    """Values to the power of `power`; above 1 darkens."""
    return _table(255 * (_LEVELS / 255) ** power)


def _saturate(factor: float) -> Change:
    def change(rgb: Rgb) -> Rgb:
        gray = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        return np.asarray(cv2.addWeighted(rgb, factor, gray, 1 - factor, 0), dtype=np.uint8)

    return change


def _turn_hue(degrees: float) -> Change:
    def change(rgb: Rgb) -> Rgb:
        hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + round(degrees / 2)) % 180
        return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), dtype=np.uint8)

    return change


def _balance(warmth: float) -> Change:
    return _table(_LEVELS[:, None] * np.array([1 + warmth, 1.0, 1 - warmth]))


def _posterise(levels: float) -> Change:
    step = 255 / (round(levels) - 1)
    return _table(np.rint(_LEVELS / step) * step)


ATTACKS = (
    picture_attack(
        "brightness", "colour", "30 levels brighter", lambda s, _: _table(_LEVELS + s),
        Strength(-80, 30, 80, "levels"), crf=23,
    ),
    picture_attack(
        "contrast", "colour", "contrast times 1.4", lambda s, _: _table((_LEVELS - 128) * s + 128),
        Strength(0.4, 1.4, 2.5, "times"), crf=23,
    ),
    picture_attack(
        "gamma", "colour", "gamma 1.5", lambda s, _: gamma(s), Strength(0.4, 1.5, 2.5, "power"), crf=23
    ),
    picture_attack(
        "gray", "colour", "no colour", lambda s, _: _saturate(1 - s), Strength(0, 1, 1, "of the colour gone"),
        crf=23,
    ),
    picture_attack(
        "saturation", "colour", "colours 1.5 times as strong", lambda s, _: _saturate(s),
        Strength(0, 1.5, 3, "times"), crf=23,
    ),
    picture_attack(
        "hue", "colour", "hues turned by 30°", lambda s, _: _turn_hue(s), Strength(-180, 30, 180, "°"), crf=23
    ),
    picture_attack(
        "white_balance", "colour", "15 % warmer", lambda s, _: _balance(s),
        Strength(-0.4, 0.15, 0.4, "warmer"), crf=23,
    ),
    picture_attack(
        "posterise", "colour", "32 levels a channel", lambda s, _: _posterise(s),
        Strength(4, 32, 255, "levels"), crf=23,
    ),
)  # fmt: skip
