"""Several things in a row, as they happen together: an upload, a messenger, a screen filmed by a phone.

In: a picture `uint8 (H, W, 3)`. Out: one that went through all steps; the encoder comes last.
"""

import numpy as np

from sorakit.types import Rgb
from sorakit.watermark.attacks.base import Strength
from sorakit.watermark.attacks.colour import gamma
from sorakit.watermark.attacks.crop import middle
from sorakit.watermark.attacks.geometry import perspective
from sorakit.watermark.attacks.noise import gaussian
from sorakit.watermark.attacks.scale import short_side, times
from sorakit.watermark.attacks.stream import Change, picture_attack

__all__ = ["ATTACKS"]


def _one_after_another(*changes: Change) -> Change:
    def change(rgb: Rgb) -> Rgb:
        for step in changes:
            rgb = step(rgb)
        return rgb

    return change


def _social(lost: float, _rng: np.random.Generator) -> Change:
    return _one_after_another(middle(1 - lost), short_side(480))


def _messenger(longest: float, _rng: np.random.Generator) -> Change:
    return lambda rgb: times(rgb, min(1.0, longest / max(rgb.shape[:2])))


def _screen(share: float, rng: np.random.Generator) -> Change:
    """Seen at an angle, through another gamma, with a sensor's noise (σ 4 levels)."""
    return _one_after_another(perspective(share, rng), gamma(1.2), gaussian(4, rng))


ATTACKS = (
    picture_attack(
        "social_upload", "chain", "5 % a side cropped, 480p", _social,
        Strength(0, 0.05, 0.3, "of a side"), crf=30,
    ),
    picture_attack(
        "messenger", "chain", "640 px on the long side", _messenger, Strength(320, 640, 1280, "px"), crf=32
    ),
    picture_attack(
        "screen_capture", "chain", "perspective, gamma 1.2, noise", _screen,
        Strength(0.005, 0.02, 0.1, "of a side"), crf=28,
    ),
)  # fmt: skip
