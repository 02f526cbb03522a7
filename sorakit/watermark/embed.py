"""Adds a pattern to successive luma planes, as strong as each place hides it.

In: stored luma planes of one video in display order, 8-bit or 10-bit. Out: marked planes. The local
amplitude is `flat + gain · texture`: a small fixed amplitude that flat areas can hide, and more where local
deviation masks it (noise visibility function, Voloshynovskiy et al. 1999), but not where detail is so strong
that it would drown the mark for its reader too. `gain` follows from the PSNR target by a quadratic, so walls
and skies never get more than the flat amplitude whatever the target.

The first frames after a cut get up to 2.6 times the amplitude, flat areas no more: the eye sees no detail
there (Seyler and Budrikis 1965), and every encoder spends a key frame there, from which coarse encodings copy
the rest of the shot. What they take beyond the targets is saved on the frames that follow, evenly where their
number is known, since a second cut out of them has to be read too; less is taken where too few follow. The
targets are two: mean square error, and structural similarity, which counts what is added to flat pictures.
"""

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError
from sorakit.types import FrameGeometry, Luma
from sorakit.watermark.cuts import Cuts
from sorakit.watermark.pattern import CANONICAL, shared_pattern

__all__ = ["LumaEmbedder"]

Floats = npt.NDArray[np.float32]

_STEPS = 10.0
"""Steps a level in which the coarse change is kept: ±12.7 levels in a byte."""
_GRID = 360
"""Short side of the coarse grid, px, at least; 7.4 samples a period of the finest wave."""
_FLAT = 0.57
"""Amplitude on flat areas, 8-bit levels RMS: no mottling to be seen at 200 %."""
_FLAT_MAX = 1.0
"""The same where a picture has too little texture to carry the mark."""
_ENOUGH = 0.9
"""RMS over a picture, 8-bit levels, below which flat areas have to help."""
_MAX = 4.0
"""Highest local amplitude, 8-bit levels RMS."""
_MAX_GAIN = 1.5
_DEAD = 0.7
"""Deviation, in levels at quarter size, that gradients and encoder noise reach: not texture yet."""
_EXPONENT = 0.6
"""Visibility thresholds grow with the mask's contrast to this power (Legge and Foley 1980)."""
_BUSY = 20.0
"""Deviation, in levels at quarter size, from which detail hides the mark from its reader."""
_AFTER_CUT = 2.6
_DECAY = 0.2  # of the excess amplitude, a frame
_LITTLE = 1.02
_TAIL = 1.2
"""What the frames after a cut take beyond the targets, together, over what the first of them takes."""
_LAST = 5
"""Frames at the end that a shot's first does not count on."""
_ROUNDING = 1 / 12  # mean square of rounding to whole levels
_MARGIN = 0.03  # dB, for what is still owed when a short video ends
_PAYBACK = 0.5
"""Largest share of a frame's budget that goes into what earlier frames overspent."""
_SPREAD = 0.25
"""The same where the number of frames is known, unless the last would end with a debt."""
_SMALL, _LEAST = 140_000, 0.25
"""Similarity leaves a frame at least _LEAST of its energy, but of a picture of at most so many px as much as
the errors do: it has less to read from, and would lose its mark at the next encoding."""
_DISSIMILAR, _AT = 0.0072, 45.0
"""Structural similarity that a frame may lose at this PSNR, dB, so that the mean stays above 0.992."""
_WINDOW, _EVERY = 5, 3
"""Side, px, of windows that lose as much as the usual Gaussian ones do; every third in both directions."""


class LumaEmbedder:
    """A `LumaFilter` that adds the patterns of `keys` with `payload` at `psnr` dB or better.

    Amplitude and pattern are multiplied on a coarse grid that still samples the finest wave seven times, and
    only their product is enlarged: full-size work is one resize, one sum and the range check, on integers.
    """

    def __init__(
        self,
        keys: Sequence[bytes],
        payload: int,
        geometry: FrameGeometry,
        psnr: float,
        frames: int | None = None,
    ) -> None:
        self._shape = (geometry.height, geometry.width)
        reduction = max(1, min(geometry.display_size) // _GRID)
        coarse = -(-geometry.height // reduction), -(-geometry.width // reduction)
        self._pattern = shared_pattern(keys, payload, geometry, coarse)
        self._unit = float(1 << (geometry.bit_depth - 8))  # code values a level
        self._dtype: type[np.uint8 | np.uint16] = np.uint8 if geometry.bit_depth == 8 else np.uint16
        self._sigma = 255 * 10 ** (-(psnr + _MARGIN) / 20)
        low, high = (0.0, 255.0) if geometry.full_range else (16.0, 235.0)
        self._low, self._high = self._dtype(low * self._unit), self._dtype(high * self._unit)
        self._box = max(3, round(min(geometry.display_size) / CANONICAL * 9 / 4) | 1)  # at quarter size
        self._amplitude: Floats | None = None
        self._count = 0
        self._left = np.inf if frames is None else float(frames)
        self._cuts = Cuts()
        self._boost = 1.0
        self._dissimilar = _DISSIMILAR * 10 ** ((_AT - psnr) / 10)
        self._debts = [0.0, 0.0]  # beyond the targets so far, in budgets of a frame
        self._dear = 0.0  # budgets of similarity that a unit of energy took in the last frame of this shot
        self._least = _LEAST if geometry.width * geometry.height > _SMALL else 1 - _PAYBACK
        self._coded = np.empty(self._shape, dtype=np.uint8)  # kept: fresh pages cost more than the sum

    def __call__(self, luma: Luma) -> Luma:
        """The marked plane; a new array."""
        if luma.shape != self._shape or luma.dtype != self._dtype:
            raise UsageError(
                f"`luma` must be {np.dtype(self._dtype)} {self._shape}, got {luma.dtype} {luma.shape}; "
                "make an embedder for each geometry"
            )
        h, w = self._pattern.shape
        local = self._next_amplitude(luma)
        share = self._share(local)
        local = self._boosted(local)
        amplitude = cv2.resize(local, (w, h), interpolation=cv2.INTER_LINEAR)
        change = cv2.multiply(amplitude, self._pattern, dst=amplitude, scale=_STEPS * float(np.sqrt(share)))
        coarse = np.clip(change + np.float32(128.5), 0, 255).astype(np.uint8)  # + 0.5: rounds
        coded = cv2.resize(coarse, self._shape[::-1], dst=self._coded, interpolation=cv2.INTER_LINEAR)
        coded = coded.astype(self._dtype, copy=False)
        step = self._unit / _STEPS
        marked = cast(Luma, cv2.addWeighted(luma, 1.0, coded, step, -128 * step))
        # Values beyond the legal range may stay as they were but must not grow.
        np.minimum(marked, np.maximum(luma, self._high, out=coded), out=marked)
        np.maximum(marked, np.minimum(luma, self._low, out=coded), out=marked)
        error = cv2.norm(luma, marked, cv2.NORM_L2SQR) / (luma.size * self._unit**2)
        spent = error / self._sigma**2, _dissimilarity(luma, marked, self._unit) / self._dissimilar
        self._dear = spent[1] / (share * _energy(local))
        self._debts = [max(0.0, debt + part - 1) for debt, part in zip(self._debts, spent, strict=True)]
        return marked

    def _share(self, local: Floats) -> float:
        """What the accounts leave of the energy of amplitude `local`."""
        least = _PAYBACK if np.isinf(self._left) else _SPREAD
        error, similar = (1 - min(d, _PAYBACK, max(least, d / max(1, self._left + 1))) for d in self._debts)
        return min(error, max(self._least, similar / max(1.0, self._dear * _energy(local))))

    def _affordable(self) -> float:
        """How much stronger the first frame of a shot may be, if the frames left are to pay for it."""
        spare = _PAYBACK * (self._left - _LAST) - max(self._debts)
        return float(min(_AFTER_CUT, np.sqrt(1 + max(0.0, spare) / _TAIL)))

    def _boosted(self, amplitude: Floats) -> Floats:
        """More after a cut, but not in flat areas: a still of that frame would show it there."""
        if self._boost < _LITTLE:
            return amplitude
        textured = np.clip((amplitude - np.float32(_FLAT)) / np.float32(_FLAT), 0, 1)
        return np.asarray(amplitude * (1 + np.float32(self._boost - 1) * textured), dtype=np.float32)

    def _next_amplitude(self, luma: Luma) -> Floats:
        """Local amplitude at quarter size, 8-bit levels, from every other frame, smoothed over a shot."""
        self._count += 1
        self._left -= 1
        self._boost = 1 + _DECAY * (self._boost - 1)
        if self._cuts((luma[8::16, 8::16] / self._unit).astype(np.int16)):
            self._boost, self._amplitude, self._count = self._affordable(), None, 1
            self._dear = 0.0
        if self._amplitude is not None and self._count % 2 == 0:
            return self._amplitude
        h, w = luma.shape
        small = cv2.resize(luma, (max(1, w // 4), max(1, h // 4)), interpolation=cv2.INTER_AREA)
        small = small.astype(np.float32) * np.float32(1 / self._unit)
        texture = self._texture(small)
        fresh = _scaled(_darkness(small), texture, float(np.sqrt(max(self._sigma**2 - _ROUNDING, 0.01))))
        if self._amplitude is None:
            self._amplitude = fresh
        else:
            self._amplitude += np.float32(0.5) * (fresh - self._amplitude)
        return self._amplitude

    def _texture(self, small: Floats) -> Floats:
        k = (self._box, self._box)
        mean = cv2.blur(small, k)
        deviation = np.sqrt(np.maximum(cv2.blur(small * small, k) - mean * mean, 0))
        # Erosion keeps texture and drops the halo of a lone edge, which would show on the flat side.
        eroded = cv2.blur(cv2.erode(deviation, np.ones((k[0] + 2, k[1] + 2), np.uint8)), k)
        texture = cv2.pow(np.maximum(eroded - np.float32(_DEAD), 0), _EXPONENT)
        texture = np.minimum(texture, np.float32((_MAX - _FLAT_MAX) / _MAX_GAIN))
        return np.asarray(texture / (1 + (deviation / np.float32(_BUSY)) ** 2), dtype=np.float32)


def _energy(amplitude: Floats) -> float:
    """Mean square of a local amplitude, squared 8-bit levels."""
    return float(cv2.norm(amplitude, cv2.NORM_L2SQR)) / amplitude.size


def _dissimilarity(luma: Luma, marked: Luma, unit: float) -> float:
    """1 − structural similarity (Wang et al. 2004) over a ninth of the picture.

    `unit`: code values a level.
    """
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    x, y = _windows(luma, unit), _windows(marked, unit)
    mx, my = x.mean(axis=1), y.mean(axis=1)
    vx, vy, vxy = (np.einsum("ij,ij->i", a, b) / _WINDOW**2 for a, b in ((x, x), (y, y), (x, y)))
    top = (2 * mx * my + c1) * (2 * (vxy - mx * my) + c2)
    bottom = (mx**2 + my**2 + c1) * (vx - mx**2 + vy - my**2 + c2)
    return 1 - float(np.mean(top / bottom))


def _windows(luma: Luma, unit: float) -> Floats:
    """Square windows of a plane, `(N, _WINDOW²)`, in levels."""
    h, w = (side // _WINDOW for side in luma.shape)
    cut = luma[: h * _WINDOW, : w * _WINDOW].reshape(h, _WINDOW, w, _WINDOW)[::_EVERY, :, ::_EVERY]
    return cut.swapaxes(1, 2).reshape(-1, _WINDOW**2).astype(np.float32) / np.float32(unit)


def _darkness(small: Floats) -> Floats:
    """1, and less towards black, where bars and fades show any grain."""
    return np.asarray(np.clip((small - np.float32(8)) / np.float32(24), 0.6, 1), dtype=np.float32)


def _scaled(dark: Floats, texture: Floats, sigma: float) -> Floats:
    """`flat · dark + gain · texture` with mean square sigma², if `gain` and `flat` may grow that far.

    Texture takes what it can; only what then is missing to _ENOUGH goes to flat areas, up to _FLAT_MAX.
    """
    aa, ab, bb = (float(np.mean(x * y)) for x, y in ((texture, texture), (texture, dark), (dark, dark)))
    flat = min(_FLAT, sigma / np.sqrt(bb))
    gain = min(_MAX_GAIN, _root(aa, ab * flat, bb * flat**2 - sigma**2))
    if gain == _MAX_GAIN:
        enough = min(sigma, _ENOUGH)
        flat = min(_FLAT_MAX, max(flat, _root(bb, ab * gain, aa * gain**2 - enough**2)))
    return np.asarray(np.float32(flat) * dark + np.float32(gain) * texture, dtype=np.float32)


def _root(a: float, half_b: float, c: float) -> float:
    """The root x ≥ 0 of a x² + 2 half_b x + c = 0 (a, half_b ≥ 0) for c < 0, else 0; stable for a near 0."""
    return float(-c / max(half_b + np.sqrt(half_b**2 - a * c), 1e-9)) if c < 0 else 0.0
