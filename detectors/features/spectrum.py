"""Residual spectrum: how the energy that a blur takes away falls with frequency, and its regular peaks.

In: `Pictures`. Out: 23 numbers. Upsampling in decoders leaves peaks at fractions of the sampling frequency
and a bent fall-off (Durall et al., CVPR 2020; Corvi et al., CVPRW 2023).
"""

import cv2
import numpy as np
from scipy import fft

from detectors.clip import SIDE
from detectors.features.shared import Named, Pictures

__all__ = ["spectrum"]

_BINS, _FIRST = 16, 2
_EVERY = 3
_Y, _X = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) - SIDE / 2
_RADIUS = np.hypot(_Y, _X) / (SIDE / 2)
_BIN = np.clip((_RADIUS * _BINS).astype(int), 0, _BINS).ravel()
_COUNT = np.bincount(_BIN, minlength=_BINS + 1)[:_BINS]
_WINDOW = np.outer(np.hanning(SIDE), np.hanning(SIDE)).astype(np.float32)
_AX, _AY = np.abs(_X) / SIDE, np.abs(_Y) / SIDE
_ACROSS, _DOWN = (_AX > 0.25) & (_AY < 0.1), (_AY > 0.25) & (_AX < 0.1)
_SKEW = (_AX > 0.2) & (_AY > 0.2)
_AXES = (np.hypot(_AX, _AY) > 0.3) & ((_AX < 0.1) | (_AY < 0.1))
_HIGH = _RADIUS > 0.35


def spectrum(p: Pictures) -> Named:
    """Radial profile, slope, anisotropy and peaks of the mean log power spectrum of the residual."""
    some = p.residual[::_EVERY] * _WINDOW
    power = np.square(np.abs(fft.rfft2(some))).mean(0)  # (256, 129)
    full = np.empty((SIDE, SIDE), np.float32)
    full[:, : SIDE // 2 + 1] = power
    full[:, SIDE // 2 + 1 :] = np.roll(power[::-1, 1:-1], 1, 0)[:, ::-1]
    level = np.log(fft.fftshift(full) + 1e-3)
    profile = np.bincount(_BIN, level.ravel(), minlength=_BINS + 1)[:_BINS] / _COUNT
    out: Named = {}
    rest = profile - profile[_FIRST:].mean()
    for i in range(_FIRST, _BINS):
        out[f"spectrum_ring{i:02d}"] = float(rest[i])
    x = np.log(np.arange(5, _BINS) + 0.5)
    line = np.polyfit(x, profile[5:], 1)
    out["spectrum_slope"] = float(line[0])
    out["spectrum_bend"] = float(np.abs(np.polyval(line, x) - profile[5:]).mean())
    out["spectrum_across"] = float(level[_ACROSS].mean() - level[_DOWN].mean())
    out["spectrum_skew"] = float(level[_SKEW].mean() - level[_AXES].mean())
    return out | _peaks(level)


def _peaks(level: np.ndarray) -> Named:
    peak = level - cv2.medianBlur(level.astype(np.float32), 5)
    middle, out = SIDE // 2, {}
    for name, k in (("half", middle - 1), ("quarter", SIDE // 4), ("eighth", SIDE // 8)):
        places = ((middle, middle + k), (middle + k, middle), (middle + k, middle + k))
        out[f"spectrum_peak_{name}"] = float(
            np.mean([peak[y - 1 : y + 2, x - 1 : x + 2].max() for y, x in places])
        )
    high = peak[_HIGH]
    out["spectrum_peak_max"] = float(np.partition(high, -50)[-50])
    out["spectrum_rough"] = float(high.std())
    return out
