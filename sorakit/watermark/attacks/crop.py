"""Parts of the picture: the middle, half of the area, a corner.

In: a picture `uint8 (H, W, 3)`. Out: a rectangle of it. Strength is the share of each side that is kept.
"""

import numpy as np

from sorakit.types import Rgb
from sorakit.watermark.attacks.base import Strength
from sorakit.watermark.attacks.stream import Change, picture_attack

__all__ = ["ATTACKS", "centre", "middle"]


def centre(rgb: Rgb, height: int, width: int) -> Rgb:
    """The middle `height` × `width` of a picture."""
    y, x = (rgb.shape[0] - height) // 2, (rgb.shape[1] - width) // 2
    return rgb[y : y + height, x : x + width]


def middle(share: float) -> Change:
    """The middle `share` of each side."""
    return lambda rgb: centre(rgb, int(rgb.shape[0] * share), int(rgb.shape[1] * share))


def _middle(share: float, _rng: np.random.Generator) -> Change:
    return middle(share)


def _anywhere(share: float, rng: np.random.Generator) -> Change:
    """A rectangle that does not hold the middle's middle: drawn once a clip, near an edge."""
    y, x = (float(rng.choice([rng.uniform(0, 0.15), rng.uniform(0.85, 1)])) for _ in range(2))

    def change(rgb: Rgb) -> Rgb:
        height, width = int(rgb.shape[0] * share), int(rgb.shape[1] * share)
        top, left = int((rgb.shape[0] - height) * y), int((rgb.shape[1] - width) * x)
        return rgb[top : top + height, left : left + width]

    return change


_KEPT = "of a side"

ATTACKS = (
    picture_attack(
        "crop_80", "crop", "the middle 80 % a side", _middle, Strength(0.3, 0.8, 1, _KEPT), crf=23
    ),
    picture_attack(
        "crop_half", "crop", "the middle half of the area", _middle, Strength(0.3, 0.7071, 1, _KEPT), crf=23
    ),
    picture_attack(
        "crop_off_centre", "crop", "80 % a side, towards a corner", _anywhere, Strength(0.3, 0.8, 1, _KEPT),
        crf=23,
    ),
)  # fmt: skip
