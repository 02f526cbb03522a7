"""A spatial rich model in small: statistics and co-occurrences of four high-pass residuals.

In: `Pictures`. Out: 40 numbers. After Fridrich & Kodovský, "Rich models for steganalysis" (IEEE TIFS 2012):
first and second differences, the KB and KV filters; co-occurrences folded by symmetry.
"""

import cv2
import numpy as np

from detectors.features.shared import Floats, Named, Pictures, counts, log, moments

__all__ = ["KB", "richmodel"]

_EVERY = 4
KB = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]], np.float32) / np.float32(4)
_KV = np.array(
    [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]],
    np.float32,
) / np.float32(12)
_FIRST = np.array([[0, 0, 0], [0, -1, 1], [0, 0, 0]], np.float32)
_SECOND = np.array([[0, 0, 0], [1, -2, 1], [0, 0, 0]], np.float32)
_KERNELS: dict[str, Floats] = {"first": _FIRST, "second": _SECOND, "kb": KB, "kv": _KV}
_CELLS = ((2, 2), (2, 3), (3, 3), (1, 3), (2, 4), (4, 4), (0, 4))


def richmodel(p: Pictures) -> Named:
    """Level, tail, zeros, and seven co-occurrence cells of each residual quantised to -2…2."""
    out: Named = {}
    for name, kernel in _KERNELS.items():
        r: Floats = np.stack([cv2.filter2D(y, cv2.CV_32F, kernel)[4:-4, 4:-4] for y in p.luma[::_EVERY]])
        size = np.abs(r)
        power, tail = moments(r)
        out[f"richmodel_{name}_level"] = log(np.sqrt(power))
        out[f"richmodel_{name}_tail"] = log(tail, 0)
        out[f"richmodel_{name}_zero"] = float((size < 0.5).mean())
        step = max(0.5, float(np.median(size[:, ::2, ::2])))
        r /= step
        np.clip(np.rint(r, out=r), -2, 2, out=r)
        q = (r + 2).astype(np.uint8)
        pairs = counts(q[:, :, :-1] * np.uint8(5) + q[:, :, 1:], 25)
        table = pairs.reshape(5, 5) / pairs.sum()
        table = (table + table.T + table[::-1, ::-1] + table[::-1, ::-1].T) / 4
        for i, j in _CELLS:
            out[f"richmodel_{name}_pair{i}{j}"] = float(table[i, j])
    return out
