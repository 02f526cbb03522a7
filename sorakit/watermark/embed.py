"""Adds a rendered pattern to successive luma planes, as strong as each place hides it.

In: stored luma planes of one video in display order, 8-bit or 10-bit. Out: marked planes. The local
amplitude is `flat + gain · texture`: a small fixed amplitude that flat areas can hide, and more where local
deviation masks it (noise visibility function, Voloshynovskiy et al. 1999). `gain` follows from the PSNR
target by a quadratic, so walls and skies never get more than the flat amplitude whatever the target.
"""

import cv2
import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError
from sorakit.types import FrameGeometry, Luma

__all__ = ["LumaEmbedder"]

Floats = npt.NDArray[np.float32]

_FLAT = 1.2
"""Amplitude on flat areas, 8-bit levels RMS."""
_MAX = 6.0
"""Highest local amplitude, 8-bit levels RMS."""
_MAX_GAIN = 0.6


class LumaEmbedder:
    """A `LumaFilter` that adds `pattern (H, W)` of unit variance at `psnr` dB or better."""

    def __init__(self, pattern: Floats, geometry: FrameGeometry, psnr: float) -> None:
        if pattern.shape != (geometry.height, geometry.width):
            raise UsageError(
                f"`pattern` must have shape {(geometry.height, geometry.width)}, got {pattern.shape}"
            )
        self._pattern = pattern
        self._unit = float(1 << (geometry.bit_depth - 8))  # code values a level
        self._dtype = np.uint8 if geometry.bit_depth == 8 else np.uint16
        self._sigma = 255 * 10 ** (-psnr / 20)
        low, high = (0.0, 255.0) if geometry.full_range else (16.0, 235.0)
        self._low, self._high = low * self._unit, high * self._unit
        short = min(*geometry.display_size)
        self._box = max(3, round(short / 480 * 9 / 4) | 1)  # of the quarter-size picture
        self._amplitude: Floats | None = None

    def __call__(self, luma: Luma) -> Luma:
        """The marked plane; a new array."""
        if luma.shape != self._pattern.shape or luma.dtype != self._dtype:
            raise UsageError(
                f"`luma` must be {np.dtype(self._dtype)} {self._pattern.shape}, got {luma.dtype} {luma.shape}"
            )
        h, w = luma.shape
        amplitude = cv2.resize(self._next_amplitude(luma), (w, h), interpolation=cv2.INTER_LINEAR)
        change = cv2.multiply(amplitude, self._pattern, scale=self._unit)
        # Saturating add in float, one rounding; values beyond the legal range may stay but not grow.
        marked = cv2.add(luma, change, dtype=cv2.CV_8U if self._dtype is np.uint8 else cv2.CV_16U)
        marked = np.minimum(marked, np.maximum(luma, self._dtype(self._high)), out=marked)
        return np.maximum(marked, np.minimum(luma, self._dtype(self._low)), out=marked)

    def _next_amplitude(self, luma: Luma) -> Floats:
        """Local amplitude at quarter size, 8-bit levels, smoothed over time."""
        h, w = luma.shape
        small = cv2.resize(luma, (max(1, w // 4), max(1, h // 4)), interpolation=cv2.INTER_AREA)
        small = small.astype(np.float32) * np.float32(1 / self._unit)
        texture = self._texture(small)
        flat = np.float32(_FLAT) * _darkness(small)
        if self._amplitude is None:
            fresh = _scaled(flat, texture, self._sigma)
            self._amplitude = fresh
        else:
            fresh = _scaled(flat, texture, self._sigma)
            self._amplitude += np.float32(0.3) * (fresh - self._amplitude)
        return self._amplitude

    def _texture(self, small: Floats) -> Floats:
        k = (self._box, self._box)
        mean = cv2.blur(small, k)
        deviation = np.sqrt(np.maximum(cv2.blur(small * small, k) - mean * mean, 0))
        # Erosion keeps texture and drops the halo of a lone edge, which would show on the flat side.
        return np.asarray(cv2.blur(cv2.erode(deviation, np.ones(k, np.uint8)), k), dtype=np.float32)


def _darkness(small: Floats) -> Floats:
    """1, and less towards black, where bars and fades show any grain."""
    return np.asarray(np.clip((small - np.float32(8)) / np.float32(24), 0.35, 1), dtype=np.float32)


def _scaled(flat: Floats, texture: Floats, sigma: float) -> Floats:
    """`flat + g · texture` with mean square sigma², at most _MAX; less where g would pass _MAX_GAIN."""
    a, b = float(np.mean(texture * texture)), float(np.mean(flat * texture))
    c = float(np.mean(flat * flat)) - sigma * sigma
    if c >= 0:  # the flat amplitude alone spends the target
        return np.asarray(flat * np.float32(sigma / np.sqrt(c + sigma * sigma)), dtype=np.float32)
    gain = min(_MAX_GAIN, (-b + np.sqrt(b * b - a * c)) / max(a, 1e-9))
    return np.minimum(flat + np.float32(gain) * texture, np.float32(_MAX)).astype(np.float32)
