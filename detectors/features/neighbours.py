"""Neighbouring-pixel relations: what a decoder's last upsampling leaves between the pixels of 2 × 2 cells.

In: `Pictures`. Out: 14 numbers. After Tan et al., "Rethinking the up-sampling operations" (CVPR 2024), with
the phase of differences modulo 2 and 8 added.
"""

import numpy as np

from detectors.features.shared import Named, Pictures, correlation, kurtosis, log

__all__ = ["neighbours"]

_EVERY = 3


def neighbours(p: Pictures) -> Named:
    """Differences inside 2 × 2 cells: size, tails, share of zeros; and whether differences keep a phase."""
    y = p.luma[::_EVERY]
    corner = y[:, ::2, ::2]
    cells = [y[:, ::2, 1::2] - corner, y[:, 1::2, ::2] - corner, y[:, 1::2, 1::2] - corner]
    sizes = [np.abs(c) for c in cells]
    every = np.stack(sizes)
    out: Named = {"neighbours_size": log(every.mean())}
    for name, cell in zip(("across", "down", "skew"), cells, strict=True):
        out[f"neighbours_tail_{name}"] = log(kurtosis(cell), 0)
    out["neighbours_skew_ratio"] = log((sizes[2].mean() + 0.01) / (every[:2].mean() + 0.01), 0)
    out["neighbours_zero"] = float((every < 0.5).mean())
    out["neighbours_small"] = float((every < 1.5).mean())
    out["neighbours_large"] = float((every > 12).mean())
    out["neighbours_across_down"] = correlation(cells[0], cells[1])
    out["neighbours_across_skew"] = correlation(cells[0], cells[2])
    across = np.abs(np.diff(y, axis=2)).mean(1)  # (t, 255)
    down = np.abs(np.diff(y, axis=1)).mean(2)
    for name, g in (("across", across), ("down", down)):
        total = g.mean(1) + 0.01
        out[f"neighbours_phase2_{name}"] = float(np.abs(np.log((g[:, ::2].mean(1) + 0.01) / total)).mean())
        out[f"neighbours_phase8_{name}"] = float(np.abs(np.log((g[:, 7::8].mean(1) + 0.01) / total)).mean())
    return out
