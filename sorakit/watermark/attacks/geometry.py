"""Turned, mirrored, slanted, seen from the side.

In: a picture `uint8 (H, W, 3)`. Out: one of the same size (quarter turns: sides exchanged); what turns in
from outside is black.
"""

import cv2
import numpy as np
import numpy.typing as npt

from sorakit.types import Rgb
from sorakit.video.convert import resize
from sorakit.watermark.attacks.base import Strength
from sorakit.watermark.attacks.stream import Change, picture_attack

__all__ = ["ATTACKS", "perspective"]

_CORNERS = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def _rotate(degrees: float, _rng: np.random.Generator) -> Change:
    def change(rgb: Rgb) -> Rgb:
        h, w = rgb.shape[:2]
        matrix = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1.0)
        return np.asarray(cv2.warpAffine(rgb, matrix, (w, h)), dtype=np.uint8)

    return change


def _shear(degrees: float, _rng: np.random.Generator) -> Change:
    slope = float(np.tan(np.radians(degrees)))

    def change(rgb: Rgb) -> Rgb:
        h, w = rgb.shape[:2]
        matrix = np.array([[1, slope, -slope * h / 2], [0, 1, 0]], np.float32)
        return np.asarray(cv2.warpAffine(rgb, matrix, (w, h)), dtype=np.uint8)

    return change


def _stretch(factor: float, _rng: np.random.Generator) -> Change:
    return lambda rgb: resize(rgb, max(2, round(rgb.shape[1] * factor)), rgb.shape[0])


def perspective(share: float, rng: np.random.Generator) -> Change:
    """Each corner moved inwards by up to `share` of the sides, at least by a quarter of that."""
    moved = share * rng.uniform(0.25, 1, (4, 2))
    corners = np.array(_CORNERS) + moved * np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])

    def change(rgb: Rgb) -> Rgb:
        h, w = rgb.shape[:2]
        matrix = cv2.getPerspectiveTransform(_scaled(_CORNERS, w, h), _scaled(corners, w, h))
        return np.asarray(cv2.warpPerspective(rgb, matrix, (w, h)), dtype=np.uint8)

    return change


def _scaled(corners: object, width: int, height: int) -> npt.NDArray[np.float32]:
    return (np.asarray(corners) * (width, height)).astype(np.float32)


ATTACKS = (
    *(
        picture_attack(
            f"rotate_{angle}", "geometry", f"turned by {angle}°", _rotate, Strength(-45, angle, 45, "°"),
            crf=23,
        )
        for angle in (2, 5, 10, 15)
    ),
    picture_attack(
        "quarter_turn", "geometry", "turned by 90°", lambda _s, _r: lambda rgb: np.rot90(rgb).copy(), crf=23
    ),
    picture_attack(
        "mirror", "geometry", "left and right swapped", lambda _s, _r: lambda rgb: rgb[:, ::-1].copy(), crf=23
    ),
    picture_attack("flip", "geometry", "upside down", lambda _s, _r: lambda rgb: rgb[::-1].copy(), crf=23),
    picture_attack("shear", "geometry", "slanted by 5°", _shear, Strength(-20, 5, 20, "°"), crf=23),
    picture_attack(
        "stretch", "geometry", "10 % wider", _stretch, Strength(0.7, 1.1, 1.4, "times the width"), crf=23
    ),
    picture_attack(
        "perspective", "geometry", "corners moved inwards by up to 3 %", perspective,
        Strength(0.005, 0.03, 0.15, "of a side"), crf=23,
    ),
)  # fmt: skip
