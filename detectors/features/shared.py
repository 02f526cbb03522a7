"""What the families share: the planes as floats with their residual, and small statistics.

In: a canonical clip. Out: `Pictures`, made once a clip, from which each family computes named numbers.
"""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from detectors.clip import SIDE, Canonical

__all__ = [
    "Floats",
    "Named",
    "Pictures",
    "correlation",
    "counts",
    "kurtosis",
    "log",
    "moments",
    "pictures",
    "skewness",
    "variance",
]

Floats = npt.NDArray[np.float32]
Named = dict[str, float]
"""Features by name, always in the same order."""

_SIGMA = 1.2


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """`luma`, `residual` `(T, 256, 256)`: what a blur of 1.2 px takes; `chroma` `(T, 2, 128, 128)`."""

    luma: Floats
    residual: Floats
    chroma: Floats


def pictures(clip: Canonical) -> Pictures:
    """The planes of a canonical clip as `float32`, with the residual.

    >>> black = Canonical(np.zeros((2, 256, 256), np.uint8), np.zeros((2, 2, 128, 128), np.uint8))
    >>> pictures(black).luma.shape
    (2, 256, 256)
    """
    luma = clip.luma.astype(np.float32)
    residual = np.empty_like(luma)
    for i, picture in enumerate(luma):
        cv2.subtract(picture, cv2.GaussianBlur(picture, (5, 5), _SIGMA), dst=residual[i])
    return Pictures(luma.reshape(-1, SIDE, SIDE), residual, clip.chroma.astype(np.float32))


def log(value: float | np.floating[Any], floor: float = 0.01) -> float:
    """Natural logarithm of `value` + `floor`."""
    return math.log(max(float(value), 0.0) + floor)


def moments(
    x: npt.NDArray[np.floating], room: npt.NDArray[np.floating] | None = None
) -> tuple[np.floating[Any], float]:
    """Variance, as `x.var()` to the last bit, and kurtosis: fourth moment over the squared variance.

    `room`: an array of the shape, which may be `x` itself, that is written over. New arrays of megabytes cost
    more in pages that the system clears than in sums.
    """
    power = np.subtract(x, x.mean(), out=room)
    second: np.floating[Any] = np.square(power, out=power).mean()
    fourth = np.square(power, out=power).mean()
    return second, float(fourth / (float(second) + 1e-4) ** 2) + 1e-3


def variance(x: npt.NDArray[np.floating], room: npt.NDArray[np.floating]) -> float:
    """The variance alone; `room` as in `moments`."""
    np.subtract(x, x.mean(), out=room)
    return float(np.square(room, out=room).mean())


def kurtosis(x: npt.NDArray[np.floating]) -> float:
    """Fourth moment over the squared variance; 3 for a normal."""
    return moments(x)[1]


def counts(x: npt.NDArray[np.uint8], bins: int) -> npt.NDArray[np.int64]:
    """How often each of the values 0 to `bins` - 1 stands in `x`, as `np.bincount`; under 16 M numbers."""
    column = np.ascontiguousarray(x).reshape(-1, 1)
    return cv2.calcHist([column], [0], None, [bins], [0, bins]).ravel().astype(np.int64)


def skewness(x: npt.NDArray[np.floating]) -> float:
    """Third moment over the deviation cubed."""
    y = x - x.mean()
    square = y * y
    second = float(square.mean())
    return float(np.multiply(square, y, out=square).mean() / (second + 1e-4) ** 1.5)


def correlation(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> float:
    """Pearson's, 0 where one is constant."""
    x, y = a.ravel() - a.mean(), b.ravel() - b.mean()
    return float(x @ y / (math.sqrt(float(x @ x) * float(y @ y)) + 1e-3))
