"""Coherence: for each octave of detail, how it renews itself, clings to the motion and clumps in place.

In: `Pictures`. Out: 26 numbers. Real detail moves with its object and real noise does not; generated detail
boils in some octaves and is frozen in others. Also the spread over a 4 × 4 grid of patches: a real scene's
noise is one sensor's, a generated one's changes from patch to patch.
"""

import cv2
import numpy as np

from detectors.features.shared import Floats, Named, Pictures, log, moments

__all__ = ["GRID", "coherence", "patches"]

GRID = 4
_OCTAVES = 3


def coherence(p: Pictures) -> Named:
    """Energy, change over time and its tails of three octaves, then the spread over patches."""
    out: Named = {}
    y = p.luma[:9]
    for octave in range(_OCTAVES):
        smooth = [cv2.GaussianBlur(f, (5, 5), 1.0) for f in y]
        band: Floats = np.stack([cv2.subtract(f, s) for f, s in zip(y, smooth, strict=True)])
        room = np.empty_like(band)
        power, tail = moments(band, room)
        change = np.diff(band, axis=0) if len(band) > 1 else band
        moved, change_tail = moments(change, room[: len(change)])
        out[f"coherence_{octave}_power"] = log(power, 0.01)
        out[f"coherence_{octave}_change"] = log((float(moved) + 0.01) / (2 * float(power) + 0.01), 0)
        out[f"coherence_{octave}_change_tail"] = log(change_tail, 0)
        out[f"coherence_{octave}_tail"] = log(tail, 0)
        turns = np.multiply(change[1:], change[:-1], out=room[: max(0, len(change) - 1)])
        turn = float(turns.mean() / (float(moved) + 0.01)) if len(change) > 1 else 0.0
        out[f"coherence_{octave}_turn"] = turn
        y = np.stack(
            [cv2.resize(f, (f.shape[1] // 2, f.shape[0] // 2), interpolation=cv2.INTER_AREA) for f in smooth]
        )
    for name, grid in patches(p).items():
        flat = np.sort(grid.ravel())
        out[f"coherence_patch_{name}_spread"] = float(flat.std())
        out[f"coherence_patch_{name}_low"] = float(flat[:3].mean() - np.median(flat))
        out[f"coherence_patch_{name}_high"] = float(flat[-3:].mean() - np.median(flat))
    return out


def patches(p: Pictures) -> dict[str, Floats]:
    """For each patch of a 4 × 4 grid, logs of: fine detail, its change over time, its share of all detail."""
    r = p.residual[::2]
    fine = _cells(np.square(r).mean(0))
    moved = _cells(np.square(np.diff(r, axis=0)).mean(0)) if len(r) > 1 else np.zeros_like(fine)
    whole = _cells(np.square(p.luma[::4] - p.luma[::4].mean((1, 2), keepdims=True)).mean(0))
    return {
        "detail": np.log(fine + 0.05),
        "change": np.log((moved + 0.05) / (2 * fine + 0.05)),
        "share": np.log((fine + 0.05) / (whole + 1)),
    }


def _cells(x: Floats) -> Floats:
    side = x.shape[0] // GRID
    cells: Floats = x.reshape(GRID, side, GRID, side).mean((1, 3))
    return cells
