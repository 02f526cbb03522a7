"""One FFT of an image, then its Fourier transform at any frequency for the price of a 4 × 4 gather.

In: a real image. Out: values of its transform about the image's centre at arbitrary frequencies, and the
local noise power there. A geometric hypothesis so costs a gather, and no warp. Non-uniform FFT by
Kaiser-Bessel gridding with 2× zero padding: Fessler and Sutton, IEEE TSP 2003; Beatty et al., TMI 2005.
"""

from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["F_MAX", "Spectrum"]

F_MAX = 0.47
"""Highest frequency served along either axis, cycles a pixel."""
_TAPS = 4
_BETA = 9.1  # Kaiser-Bessel shape for 4 taps at 2× oversampling (Beatty et al., eq. 5)
_STEPS = 1024  # a bin, at which the kernel is tabulated
_NOISE_BOX = 33  # rows and columns of the padded spectrum over which the noise is averaged

_CEILING = 8.0  # one stripe of the picture must not outweigh the lattice

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Complexes = npt.NDArray[np.complex64]


class Spectrum:
    """The transform Z(f) = Σ A(u) exp(-2πi f·u), u in px from the centre, of an image `(H, W)`."""

    def __init__(self, image: Floats) -> None:
        self.shape = (int(image.shape[0]), int(image.shape[1]))
        self._size = tuple(_even(2 * n) for n in self.shape)
        ny, nx = self._size
        weight_y, weight_x = (_deapodise(n, size) for n, size in zip(self.shape, self._size, strict=True))
        padded = np.zeros((ny, nx), dtype=np.float32)
        padded[: self.shape[0], : self.shape[1]] = image * weight_y[:, None] * weight_x
        columns = int(F_MAX * nx) + _TAPS
        transform: Complexes = np.fft.rfft2(padded)[:, :columns].astype(np.complex64)
        power = transform.real**2 + transform.imag**2
        power *= 1 / float(np.mean(weight_y**2) * np.mean(weight_x**2))
        self._noise = _local_level(power)
        transform *= _centring(np.fft.fftfreq(ny, 1 / ny), self.shape[0], ny)[:, None]
        transform *= _centring(np.arange(columns), self.shape[1], nx)
        # Columns left of zero frequency, so that the taps need no case distinction there.
        mirrored = np.conj(transform[-np.arange(ny) % ny, _TAPS:0:-1])
        self._grid = np.concatenate([mirrored, transform], axis=1)
        # Amplitude over noise, a little smoothed so that a nearby frequency still meets a line's flank.
        ratio = np.minimum(power / self._noise, _CEILING)
        self._prominence = cv2.GaussianBlur(ratio, (5, 5), 0.9)

    def at(self, frequency: Doubles) -> tuple[npt.NDArray[np.complex128], Doubles]:
        """(Z, N) at `frequency (..., 2)`, (fx, fy) in cycles a px: transform and noise power."""
        ny, nx = self._size
        flip = frequency[..., 0] < 0
        half = np.where(flip[..., None], -frequency, frequency)
        column, weight_x = _taps(np.minimum(half[..., 0] * nx, F_MAX * nx - 1))  # (..., 4)
        row, weight_y = _taps(half[..., 1] * ny)
        where = (row % ny * self._grid.shape[1])[..., :, None] + (column + _TAPS)[..., None, :]  # (..., 4, 4)
        weights = weight_y[..., :, None] * weight_x[..., None, :]
        z = np.einsum("...yx,...yx->...", self._grid.ravel()[where], weights).astype(np.complex128)
        return np.where(flip, np.conj(z), z), self.noise(half)

    def prominence(self, frequency: Doubles) -> Doubles:
        """Power over local noise at `(..., 2)`, nearest bin, capped: about 1 where nothing stands out."""
        ny, nx = self._size
        sign = np.where(frequency[..., 0] < 0, -1.0, 1.0)
        ix = np.minimum(np.rint(sign * frequency[..., 0] * nx).astype(np.int64), self._noise.shape[1] - 1)
        iy = np.rint(sign * frequency[..., 1] * ny).astype(np.int64) % ny
        return np.asarray(self._prominence[iy, ix], dtype=np.float64)

    def noise(self, half: Doubles) -> Doubles:
        """Local noise power at frequencies with fx ≥ 0, `(..., 2)`."""
        ny, nx = self._size
        ix = np.minimum(np.rint(half[..., 0] * nx).astype(np.int64), self._noise.shape[1] - 1)
        iy = np.rint(half[..., 1] * ny).astype(np.int64) % ny
        return np.asarray(self._noise[iy, ix], dtype=np.float64)


def _even(n: int) -> int:
    """The next multiple of 16 with small factors that is at least n: fast for the FFT."""
    for factor in range(-(-n // 16), 2 * n + 16):
        rest = factor
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return 16 * factor
    return n


def _taps(position: Doubles) -> tuple[npt.NDArray[np.int64], Floats]:
    """The four bins about each fractional one, `(..., 4)`, and their weights."""
    first = np.floor(position).astype(np.int64)
    step = np.rint((position - first) * _STEPS).astype(np.int64)
    return first[..., None] + np.arange(1 - _TAPS // 2, 1 + _TAPS // 2), _kernel()[step]


@cache
def _kernel() -> Floats:
    """Weights of the four taps at fractions of a bin, `(_STEPS + 1, 4)`."""
    fraction = np.arange(_STEPS + 1) / _STEPS
    distance = fraction[:, None] - np.arange(1 - _TAPS // 2, 1 + _TAPS // 2)
    inside = np.clip(1 - (2 * distance / _TAPS) ** 2, 0, None)
    return np.asarray(np.i0(_BETA * np.sqrt(inside)) / np.i0(_BETA), dtype=np.float32)


def _deapodise(n: int, size: int) -> Floats:
    """One over the kernel's transform at the n pixels, so that gathering with it is exact on average."""
    u = (np.arange(n) - (n - 1) / 2) / size
    root = np.sqrt(_BETA**2 - (np.pi * _TAPS * u) ** 2)
    return (np.i0(_BETA) / _TAPS * root / np.sinh(root)).astype(np.float32)


def _centring(m: npt.NDArray[Any], n: int, size: int) -> Complexes:
    """Phases that move the origin from the first pixel to the image's centre."""
    return np.asarray(np.exp(2j * np.pi * m * (n - 1) / 2 / size), dtype=np.complex64)


def _local_level(power: Floats) -> Floats:
    """Noise power: a geometric local mean, which peaks (our own carriers, or stripes) hardly move."""
    log = cv2.log(power + np.float32(1e-12) + power.mean() * np.float32(1e-7))
    # Rows wrap around (frequency is periodic), columns do not.
    margin = _NOISE_BOX
    log = np.concatenate([log[-margin:], log, log[:margin]])
    smooth = cv2.blur(log, (_NOISE_BOX, _NOISE_BOX), borderType=cv2.BORDER_REFLECT)
    # The mean log of exponentially distributed power lies γ = 0.577 below the log of its mean.
    return np.asarray(cv2.exp(smooth[margin:-margin] + np.float32(0.5772)), dtype=np.float32)
