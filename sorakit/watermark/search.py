"""Finds the pattern after scaling, rotation, mirroring and mild shear.

In: a picture's transform and the key's lattice. Out: places, best first. The carriers are lines of a square
lattice whatever the payload, so their summed power over the local noise, as a function of scale and angle,
peaks at the true geometry (Kutter 1998; Fourier-domain templates: Pereira and Pun 2000). The best cells are
tested with the synchronisation phases in all eight orientations, the best of these refined in four
parameters. Magnitudes and synchronisation phases only: `gate` needs that.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sorakit.watermark.detect import DIHEDRAL, Place, frequencies, near, sync
from sorakit.watermark.fourier import Spectrum
from sorakit.watermark.pattern import CANONICAL, K_MAX, TILE, Carriers

__all__ = ["refine", "search"]

SCALES = (0.45, 2.6)
MAX_DEGREES = 20.0
_STEP = 0.5  # grid pitch in widths of a spectral line at the outermost carrier
_CELLS = 48
_REFINED = 6

Doubles = npt.NDArray[np.float64]


def search(spectrum: Spectrum, carriers: Carriers) -> list[Place]:
    """The likeliest places, refined, best first; at most six."""
    h, w = spectrum.shape
    extent = max(h, w) * CANONICAL / min(h, w)
    cells = _hypotheses(round(extent))
    power = _lattice_power(spectrum, carriers, cells)
    best = cells[_peaks(cells, power)]
    matrices = np.einsum("bij,djk->bdik", _matrices(best), DIHEDRAL).reshape(-1, 2, 2)
    places = sorted(sync(spectrum, carriers, matrices), key=lambda p: -p.score)
    refined = [refine(spectrum, carriers, p, extent) for p in _distinct(places)[:_REFINED]]
    return sorted(refined, key=lambda p: -p.score)


@lru_cache(maxsize=8)
def _hypotheses(extent: int) -> Doubles:
    """Grid `(C, 2)` of (log scale, angle in radians); finer where the pattern is small in the picture."""
    cells = []
    log_scale, last = float(np.log(SCALES[0])), float(np.log(SCALES[1]))
    while log_scale <= last:
        # A relative error e moves the outermost carrier by e · K_MAX / period; a line is 1 / extent wide.
        pitch = _STEP * 2 * TILE * float(np.exp(log_scale)) / (K_MAX * extent)
        reach = np.radians(MAX_DEGREES)
        angles = np.arange(-np.ceil(reach / pitch), np.ceil(reach / pitch) + 1) * pitch
        cells += [(log_scale, angle) for angle in angles]
        log_scale += pitch
    return np.array(cells)


def _matrices(cells: Doubles) -> Doubles:
    scale, cos, sin = np.exp(cells[:, 0]), np.cos(cells[:, 1]), np.sin(cells[:, 1])
    return np.stack([scale * cos, -scale * sin, scale * sin, scale * cos], axis=1).reshape(-1, 2, 2)


def _lattice_power(spectrum: Spectrum, carriers: Carriers, cells: Doubles) -> Doubles:
    """Standard deviations by which the carriers' mean power over noise exceeds chance, `(C,)`."""
    k = np.concatenate([carriers.sync_k, carriers.data_k])
    total = np.empty(len(cells))
    for start in range(0, len(cells), 1024):
        f = frequencies(k, _matrices(cells[start : start + 1024]))
        total[start : start + 1024] = spectrum.prominence(f).sum(axis=1)
    return np.asarray((total - np.median(total)) / np.sqrt(len(k)), dtype=np.float64)


def _peaks(cells: Doubles, power: Doubles) -> npt.NDArray[np.int64]:
    """Indices of the strongest cells, none next to a stronger one."""
    order = np.argsort(-power)
    kept: list[int] = []
    for i in order[: 8 * _CELLS]:
        pitch = 2.2 * np.exp(cells[i, 0]) * (cells[1, 1] - cells[0, 1]) / np.exp(cells[0, 0])
        if all(np.abs(cells[i] - cells[j]).max() > pitch * 0.6 for j in kept):
            kept.append(int(i))
        if len(kept) == _CELLS:
            break
    return np.array(kept, dtype=np.int64)


def _distinct(places: list[Place]) -> list[Place]:
    """Drops places whose matrix nearly equals a better one's."""
    kept: list[Place] = []
    for place in places[:64]:
        if all(np.abs(place.matrix - other.matrix).max() > 0.01 for other in kept):
            kept.append(place)
    return kept


def refine(spectrum: Spectrum, carriers: Carriers, place: Place, extent: float) -> Place:
    """Hill climbing in scale, rotation, aspect and shear on the synchronisation's score."""
    moves = np.array([[[1, 0], [0, 1]], [[0, -1], [1, 0]], [[1, 0], [0, -1]], [[0, 1], [1, 0]]], dtype=float)
    moves = np.concatenate([moves, -moves])
    step = 0.5 * TILE * float(np.sqrt(abs(np.linalg.det(place.matrix)))) / (K_MAX * extent)
    for _ in range(14):
        tried = (np.eye(2) + step * moves) @ place.matrix
        best = max(near(spectrum, carriers, tried, place.shift), key=lambda p: p.score)
        if best.score > place.score + 0.01:
            place = best
        else:
            step /= 2
            if step < 0.05 * TILE / (K_MAX * extent):
                break
    return place
