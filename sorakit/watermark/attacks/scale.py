"""Other sizes: smaller, larger, and there and back.

In: a picture `uint8 (H, W, 3)`. Out: the same at another size. Area averaging down, bicubic up.
"""

import numpy as np

from sorakit.types import Rgb
from sorakit.video.convert import resize
from sorakit.watermark.attacks.base import Strength
from sorakit.watermark.attacks.stream import Change, picture_attack

__all__ = ["ATTACKS", "short_side", "times"]


def times(rgb: Rgb, factor: float) -> Rgb:
    """Both sides times `factor`, rounded down."""
    return resize(rgb, max(2, int(rgb.shape[1] * factor)), max(2, int(rgb.shape[0] * factor)))


def short_side(pixels: float) -> Change:
    """The short side brought to `pixels`."""
    return lambda rgb: times(rgb, (pixels + 1e-6) / min(rgb.shape[:2]))


def _there_and_back(factor: float) -> Change:
    return lambda rgb: resize(times(rgb, factor), rgb.shape[1], rgb.shape[0])


def _scaled(factor: float, _rng: np.random.Generator) -> Change:
    return lambda rgb: times(rgb, factor)


def _lines(pixels: float, _rng: np.random.Generator) -> Change:
    return short_side(round(pixels))


ATTACKS = (
    picture_attack("half_size", "scale", "half width and height", _scaled, Strength(0.2, 0.5, 1, "times")),
    picture_attack(
        "half_and_back", "scale", "half size and back", lambda s, _: _there_and_back(s),
        Strength(0.2, 0.5, 1, "times"),
    ),
    picture_attack("upscale", "scale", "1.5 times the size", _scaled, Strength(1, 1.5, 3, "times")),
    picture_attack("scale_360p", "scale", "360p", _lines, Strength(144, 360, 1080, "lines"), crf=32),
    picture_attack("scale_240p", "scale", "240p", _lines, Strength(120, 240, 1080, "lines"), crf=26),
)  # fmt: skip
