"""From frames to carriers: average the whitened canonical frames, find the pattern's place, read the bits.

In: display-oriented luma frames with their times, and hypotheses about the geometry. Out: a decode with its
proven bound. The order is that of spread-spectrum receivers (Cox et al. 1997; Kutter 1998 for the
lattice): whiten, average over time, transform, matched filter over all shifts for the synchronisation
carriers, log-likelihood ratios for the data carriers, soft decoding. Choosing a place uses the
synchronisation carriers only, which `gate` needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sorakit.types import Luma
from sorakit.watermark.cuts import Cuts
from sorakit.watermark.fourier import Spectrum
from sorakit.watermark.gate import log10_bound, within_reach
from sorakit.watermark.pattern import CANONICAL, TILE, Carriers
from sorakit.watermark.payload import CODED_BITS, COMMON_BITS, decode, encode

__all__ = ["DIHEDRAL", "Average", "Decode", "Place", "agreement", "frequencies", "near", "read", "sync"]

WORKING = 240
"""Short side at which frames are analysed, px: half the canonical one; the band ends at 0.2 cycles a px."""
_LONGEST = 3 * WORKING  # of longer frames only the middle is used
_HALVE = 4  # working sides from which a frame is halved before it is brought to the exact size
_GRID = 64  # shifts a tile side; the band needs 2 · 13 + 1
_ADJACENT = 0.18
"""Seconds within which two frames, or the video's start and a frame, count as neighbours."""
_AFTER_CUT = (6.0, 2.0)  # weights of the first and second frame
_EDGE = 12.0  # levels: a step this high is the picture's, not the pattern's
_REACH = 1.8  # working px
_NINE = np.stack(np.meshgrid([-1.0, 0.0, 1.0], [-1.0, 0.0, 1.0]), axis=-1).reshape(-1, 2)
_CLIP = 2.5
_FLOOR = 1.5
_POWER = 1.75
_CRISP_FLOOR = 0.5  # and the power 2
_LOUDEST = 2.0  # root mean squares at which one carrier's vote is capped
_LOPSIDED = 3.0
"""Times that what all marks share may be louder than the payload. One mark has them equally loud (0.8 to 1.3
after attacks), two over each other show up to 2, the mean of 31 shows about 5."""

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

DIHEDRAL: Doubles = np.array(
    [
        np.linalg.matrix_power([[0, -1], [1, 0]], turn) @ np.diag([mirror, 1])
        for mirror in (1, -1)
        for turn in range(4)
    ],
    dtype=np.float64,
)
"""`(8, 2, 2)`: the quarter turns, plain and mirrored, as maps from pattern to picture; the identity first."""


class Average:
    """Whitened frames at the working size, and their weighted mean.

    Frames right after a cut, and the first of the video, weigh more: encoders spend their key frames there,
    and `embed` its energy. `zoom`: how much larger than the public pattern the one sought is drawn; a margin
    brings it to its usual share of the frame.
    """

    def __init__(self, zoom: float = 1.0) -> None:
        self._zoom = zoom
        self._white: list[Floats] = []
        self._weights: list[float] = []
        self._cuts = Cuts()
        self._crisp: Floats | None = None
        self.seconds: list[float] = []
        self.centre = np.zeros(2)

    @property
    def count(self) -> int:
        """Frames so far."""
        return len(self._white)

    def add(self, seconds: float, luma: Luma) -> None:
        """Whiten and add one display-oriented 8-bit luma frame `(H, W)`, resized to the first one's size."""
        luma = _with_margin(luma, self._zoom)
        small = _working(luma, self._white[0].shape if self._white else None)
        if not self._white:
            height, width = luma.shape
            self.centre = np.array([width, height]) * (CANONICAL / min(width, height) / 2 / self._zoom)
        self._weights.append(self._weight(seconds, small))
        residual, deviation = _residual(small)
        self._white.append(_whiten(residual, deviation))
        crisp = np.float32(self._weights[-1]) * _whiten(residual, deviation, _CRISP_FLOOR, 2.0)
        self._crisp = crisp if self._crisp is None else self._crisp + crisp
        self.seconds.append(seconds)

    def mean(self, start: int = 0, stop: int | None = None) -> Floats:
        """The weighted mean of frames `start` to `stop`, `float32 (h, w)`."""
        if not self._white:
            raise ValueError("no frame was added; call `add` first")
        total = np.zeros(self._white[0].shape, dtype=np.float32)
        chosen = slice(start, stop)
        for white, weight in zip(self._white[chosen], self._weights[chosen], strict=True):
            total += np.float32(weight) * white
        return total / np.float32(sum(self._weights[chosen]))

    def spectrum(self, start: int = 0, stop: int | None = None) -> Spectrum:
        """The transform of that mean."""
        return Spectrum(self.mean(start, stop))

    def crisp(self) -> Spectrum:
        """The transform of all frames' weighted sum, with a louder say for flat areas.

        They carry the mark best where it is left in them; coarse coding takes it from them first.
        """
        if self._crisp is None:
            raise ValueError("no frame was added; call `add` first")
        return Spectrum(self._crisp)

    def _weight(self, seconds: float, small: Floats) -> float:
        cut = self._cuts(small[4::8, 4::8])
        if seconds - (self.seconds[-1] if self.seconds else 0.0) > _ADJACENT:
            return 1.0  # what came between was not seen
        if cut:
            return _AFTER_CUT[0]
        return _AFTER_CUT[1] if self._weights[-1] == _AFTER_CUT[0] else 1.0


def _with_margin(luma: Luma, zoom: float) -> Luma:
    if zoom == 1:
        return luma
    tall, wide = (round(side * (zoom - 1)) for side in luma.shape)
    edges = tall // 2, tall - tall // 2, wide // 2, wide - wide // 2
    return np.asarray(cv2.copyMakeBorder(luma, *edges, cv2.BORDER_REPLICATE), dtype=np.uint8)


def _working(luma: Luma, shape: tuple[int, ...] | None) -> Floats:
    """Resize to the working short side, `float32`; the middle of very long frames."""
    picture: npt.NDArray[Any] = luma
    h, w = luma.shape
    if shape is None:
        scale = WORKING / min(h, w)
        shape = max(WORKING, round(h * scale)), max(WORKING, round(w * scale))
        if max(shape) > _LONGEST:
            keep = round(_LONGEST / scale)
            picture = luma[max(0, h - keep) // 2 :, max(0, w - keep) // 2 :][:keep, :keep]
            shape = min(shape[0], _LONGEST), min(shape[1], _LONGEST)
    while min(picture.shape) >= _HALVE * WORKING:  # the fast whole factor first
        half = picture.shape[1] // 2, picture.shape[0] // 2
        picture = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    how = cv2.INTER_AREA if picture.shape[0] > shape[0] else cv2.INTER_LINEAR
    resized = cv2.resize(picture.astype(np.float32), (shape[1], shape[0]), interpolation=how)
    return np.asarray(resized, dtype=np.float32)


def _residual(frame: Floats) -> tuple[Floats, Floats]:
    """What an edge-keeping blur takes off, and its local deviation.

    A Gaussian blur would leave edges in the residual, the loudest noise that there is; the bilateral filter
    (Tomasi and Manduchi 1998) follows them.
    """
    residual = np.asarray(frame - cv2.bilateralFilter(frame, 7, _EDGE, _REACH), dtype=np.float32)
    box = round(15 * WORKING / CANONICAL) | 1
    deviation = np.sqrt(np.maximum(cv2.blur(residual * residual, (box, box)), 0))
    return residual, np.asarray(deviation, dtype=np.float32)


def _whiten(residual: Floats, deviation: Floats, floor: float = _FLOOR, power: float = _POWER) -> Floats:
    """Divide by the local deviation and clip: a pixel counts by what it can tell."""
    level = deviation + np.float32(floor)
    clipped = np.clip(residual / level, -_CLIP, _CLIP)
    return np.asarray(clipped * cv2.pow(level, 1 - power), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pattern may lie: `matrix (2, 2)` from canonical pattern to picture px, and the shift.

    `shift`: (x, y) of the pattern at the picture's centre, canonical px, modulo the tile. `score`: the
    synchronisation's matched-filter output in standard deviations.
    """

    matrix: Doubles
    shift: Doubles
    score: float


@dataclass(frozen=True, slots=True)
class Decode:
    """A payload, where it was read, and the bound on reading any by chance."""

    payload: int
    log10_p: float
    place: Place


def frequencies(k: npt.NDArray[np.int64], matrices: Doubles) -> Doubles:
    """Where carriers `k (K, 2)` lie under `matrices (B, 2, 2)`, `(B, K, 2)` cycles a working px."""
    inverse = np.linalg.inv(matrices)
    # f = M^-T k / tile, row vectors: k @ M^-1.
    return np.asarray(k @ inverse * (CANONICAL / WORKING / TILE), dtype=np.float64)


def near(spectrum: Spectrum, carriers: Carriers, matrices: Doubles, shift: Doubles) -> list[Place]:
    """The place nearest to a shift known to about 2 canonical px, under each of `matrices (B, 2, 2)`."""
    weighted = _weighted(spectrum, carriers, matrices)
    return _polish(matrices, np.repeat(shift[None], len(matrices), axis=0), weighted, carriers)


def sync(spectrum: Spectrum, carriers: Carriers, matrices: Doubles) -> list[Place]:
    """The best shift under each of `matrices (B, 2, 2)`."""
    weighted = _weighted(spectrum, carriers, matrices)
    best = (_parts(weighted) @ _waves(carriers)).argmax(axis=1)  # of shifts n · TILE / GRID
    coarse = np.stack([best % _GRID, best // _GRID], axis=1) * (TILE / _GRID)
    return _polish(matrices, coarse, weighted, carriers)


def _weighted(spectrum: Spectrum, carriers: Carriers, matrices: Doubles) -> npt.NDArray[np.complex128]:
    """The synchronisation carriers over their noise, keyed phases taken off, `(B, S)`; unit variance."""
    z, noise = spectrum.at(frequencies(carriers.sync_k, matrices))
    scale = np.sqrt(0.5 * len(carriers.sync_k))
    return np.asarray(z * np.conj(carriers.sync_phase) / np.sqrt(noise) / scale, dtype=np.complex128)


def _parts(weighted: npt.NDArray[np.complex128]) -> Floats:
    return np.concatenate([weighted.real, weighted.imag], axis=-1).astype(np.float32)


@lru_cache(maxsize=16)
def _waves(carriers: Carriers) -> Floats:
    """What each carrier's real and imaginary part adds at every shift of the grid, `(2 S, _GRID²)`.

    With so few carriers one matrix product is cheaper than an FFT.
    """
    x, y = np.meshgrid(np.arange(_GRID), np.arange(_GRID))
    phase = 2 * np.pi / _GRID * (carriers.sync_k @ np.stack([x.ravel(), y.ravel()]))
    return np.concatenate([np.cos(phase), np.sin(phase)]).astype(np.float32)


def _polish(
    matrices: Doubles, shift: Doubles, weighted: npt.NDArray[np.complex128], carriers: Carriers
) -> list[Place]:
    """Climb from shifts `(B, 2)` to the peaks: a finer grid, three times."""
    step = TILE / _GRID / 2
    score = np.zeros(len(matrices))
    for _ in range(3):
        turned = weighted * np.exp(-2j * np.pi / TILE * (shift @ carriers.sync_k.T))
        values = (turned @ np.exp(-2j * np.pi / TILE * step * (carriers.sync_k @ _NINE.T))).real  # (B, 9)
        best = values.argmax(axis=1)
        shift, score = shift + step * _NINE[best], values[np.arange(len(best)), best]
        step /= 2
    return [Place(m, s % TILE, float(v)) for m, s, v in zip(matrices, shift, score, strict=True)]


def read(
    looks: Sequence[tuple[Spectrum, Place]], carriers: Carriers, *, rank: int, list_size: int = 1
) -> Decode | None:
    """Decode the payload from one or more looks at a picture.

    None if no tried code word's CRC holds, if no code word at all can pass the gate, or if what all marks
    share is much louder than the payload, as in an average of many marks. Looks are independent parts or
    times with a place each; the first one's place is reported. `rank` counts this detection's decodes from
    1, for the union bound.
    """
    soft = np.sum([_soft(spectrum, carriers, place) for spectrum, place in looks], axis=0)
    per_bit = np.bincount(carriers.bit, weights=soft, minlength=CODED_BITS).astype(np.float32)
    payload = decode(per_bit, list_size=list_size, hopeful=lambda fit: within_reach(soft, fit, rank=rank))
    if payload is None:
        return None
    fits = soft * encode(payload)[carriers.bit]
    own = np.sqrt(2) * float(np.mean(fits[carriers.bit >= COMMON_BITS]))  # of a carrier's two parts
    if sum(_shared(spectrum, carriers, place) for spectrum, place in looks) > _LOPSIDED * own:
        return None
    return Decode(payload, log10_bound(fits, rank=rank, payload=payload), looks[0][1])


def agreement(spectrum: Spectrum, carriers: Carriers, place: Place, payload: int) -> Doubles:
    """How far each data carrier part speaks for (+) or against (-) a known payload, `(2 D,)`."""
    return np.asarray(_soft(spectrum, carriers, place) * encode(payload)[carriers.bit], dtype=np.float64)


def _soft(spectrum: Spectrum, carriers: Carriers, place: Place) -> Doubles:
    """Log-likelihood ratios of the data carriers up to a factor, `(2 D,)`."""
    values = _carried(spectrum, carriers.data_k, place)
    soft = np.stack([values.real, values.imag], axis=1).ravel() * carriers.sign
    # A stripe of the picture on a carrier must not outvote the rest.
    limit = _LOUDEST * np.sqrt(np.mean(np.minimum(np.abs(soft), 3 * np.median(np.abs(soft))) ** 2))
    if place.score <= 0:  # whoever takes off what all marks share takes off, or turns round, these too
        soft[carriers.bit < COMMON_BITS] = 0
    return np.asarray(np.clip(soft, -limit, limit), dtype=np.float64)


def _shared(spectrum: Spectrum, carriers: Carriers, place: Place) -> float:
    """How strong the synchronisation is: a carrier's mean amplitude over its noise."""
    values = _carried(spectrum, carriers.sync_k, place) * np.conj(carriers.sync_phase)
    return float(np.mean(values.real))


def _carried(spectrum: Spectrum, k: npt.NDArray[np.int64], place: Place) -> npt.NDArray[np.complex128]:
    """Carriers `k (K, 2)` over their noise, the place's shift taken off, `(K,)`.

    Where there is less noise the carriers are weaker too (codecs take both), so amplitudes over noise count,
    not powers.
    """
    z, noise = spectrum.at(frequencies(k, place.matrix[None]))
    turned = z[0] * np.exp(-2j * np.pi / TILE * k @ place.shift)
    return np.asarray(turned / np.sqrt(noise[0]), dtype=np.complex128)
