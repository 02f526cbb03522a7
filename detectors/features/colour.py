"""Colour and tone: how light, contrast, colours and scales of detail are spread, and how steady they are.

In: `Pictures`. Out: 18 numbers.
"""

import cv2
import numpy as np

from detectors.features.shared import Named, Pictures, correlation, counts, kurtosis, log, skewness

__all__ = ["colour"]


def colour(p: Pictures) -> Named:
    """Moments of luma and chroma, saturation, clipping, entropy, gradients, bands of scale, flicker."""
    y, c = p.luma[::4], p.chroma[::4] - 128
    far = np.hypot(c[:, 0], c[:, 1])
    share = counts(y.astype(np.uint8), 256) / y.size
    g = np.concatenate([np.diff(y[:, ::2], axis=2).ravel(), np.diff(y[:, :, ::2], axis=1).ravel()])
    mean = p.luma.mean((1, 2))
    turns = np.diff(mean, 2) if len(mean) > 2 else np.zeros(1)
    return {
        "colour_light": float(y.mean() / 255),
        "colour_contrast": float(y.std() / 255),
        "colour_light_skew": skewness(y),
        "colour_cb": float(c[:, 0].std()),
        "colour_cr": float(c[:, 1].std()),
        "colour_cb_cr": correlation(c[:, 0], c[:, 1]),
        "colour_strong": float(far.mean()),
        "colour_strong_varies": float(far.std()),
        "colour_dark": float((y < 21).mean()),
        "colour_bright": float((y > 229).mean()),
        "colour_entropy": float(-(share[share > 0] * np.log2(share[share > 0])).sum()),
        "colour_gradient_tail": log(kurtosis(g), 0),
        "colour_gradient": log(np.abs(g).mean(), 0.05),
        **_scales(y[len(y) // 2]),
        "colour_flicker": log(np.abs(turns).mean()),
        "colour_drift": log(abs(float(mean[-1] - mean[0])), 0.1),
    }


def _scales(y: np.ndarray) -> Named:
    """Energy of octaves against the next: what a blur of 1, 4 and 12 px takes."""
    small = cv2.resize(y, (64, 64), interpolation=cv2.INTER_AREA)
    fine = cv2.GaussianBlur(y, (0, 0), 1.0)
    middle, coarse = cv2.GaussianBlur(small, (0, 0), 1.0), cv2.GaussianBlur(small, (0, 0), 3.0)
    band = [(y - fine).std(), (small - middle).std(), (middle - coarse).std()]
    return {
        "colour_fine_middle": log((band[0] + 0.1) / (band[1] + 0.1), 0),
        "colour_middle_coarse": log((band[1] + 0.1) / (band[2] + 0.1), 0),
        "colour_coarse": log(band[2], 0.1),
    }
