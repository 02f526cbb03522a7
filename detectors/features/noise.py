"""Noise: its level where the picture is flat, how it follows brightness, time and colour.

In: `Pictures`. Out: 21 numbers. A sensor's noise grows with light and renews itself each frame (Foi et al.,
IEEE TIP 2008); a decoder's follows what it draws, and sticks to it.
"""

import itertools

import cv2
import numpy as np

from detectors.features.richmodel import KB
from detectors.features.shared import Floats, Named, Pictures, correlation, log, moments, variance

__all__ = ["noise"]

_EVERY = 3


def noise(p: Pictures) -> Named:
    """Level, tails, dependence on light, memory over time, and share between the colour planes."""
    smooth = np.stack([cv2.boxFilter(y, -1, (7, 7)) for y in p.luma])
    level = [float(np.median(np.abs(cv2.filter2D(y, -1, KB)[::2, ::2]))) / 0.6745 for y in p.luma[::_EVERY]]
    out: Named = {
        "noise_level": log(np.mean(level)),
        "noise_level_varies": float(np.std(level) / (np.mean(level) + 0.05)),
    }
    return out | _flat(p, smooth) | _memory(p, smooth) | _colours(p)


def _flat(p: Pictures, smooth: Floats) -> Named:
    light, residual = smooth[::_EVERY], p.residual[::_EVERY]
    slope = np.empty(light.shape, np.float32)
    for steep, s in zip(slope, light, strict=True):
        across, down = cv2.Sobel(s, cv2.CV_32F, 1, 0), cv2.Sobel(s, cv2.CV_32F, 0, 1)
        np.add(np.abs(across), np.abs(down), out=steep)
    flat = slope <= np.quantile(slope[:, ::4, ::4], 0.4)
    r = residual[flat]
    power, tail = moments(r)
    spread = np.sqrt(power)
    out: Named = {
        "noise_flat": log(spread),
        "noise_flat_tail": log(tail, 0),
        "noise_flat_ratio": log((spread + 0.01) / (residual.std() + 0.01), 0),
        "noise_follows_light": _light_slope(light[flat], r * r),
    }
    always = flat.all(0)
    always = always if always.sum() > 200 else flat[0]
    kept = p.residual[:, always]
    out["noise_fixed_flat"] = log((kept.mean(0).var() + 1e-3) / (kept.var() / len(kept) + 1e-3), 0)
    return out


def _light_slope(light: Floats, power: Floats) -> float:
    """How log power rises with brightness (0 to 1), over five bins of equal weight."""
    inner = np.quantile(light[::16], [0.2, 0.4, 0.6, 0.8])
    above = np.zeros(light.size, np.uint8)
    for edge in inner:
        least = np.float32(edge)  # the least float32 that is no smaller: the same pixels, and no float64
        above += light >= (least if least >= edge else np.nextafter(least, np.float32(np.inf)))
    place = above.astype(np.intp)
    count = np.bincount(place, minlength=5)
    full = count > 50
    if full.sum() < 3:
        return 0.0
    x = np.bincount(place, light, minlength=5)[full] / count[full] / 255
    y = np.log(np.bincount(place, power, minlength=5)[full] / count[full] + 0.01)
    return float(np.clip(np.polyfit(x, y, 1)[0], -20, 20)) if np.ptp(x) > 0.02 else 0.0


def _memory(p: Pictures, smooth: Floats) -> Named:
    n = len(p.residual)
    flat = p.residual.reshape(n, -1)
    flat = flat - flat.mean(1, keepdims=True)
    gram = flat @ flat.T
    norm = np.sqrt(np.diag(gram) + 1e-6)
    gram = gram / norm[:, None] / norm
    one, two = np.diag(gram, 1), np.diag(gram, 2)
    r = p.residual.reshape(n, -1)
    places = [np.flatnonzero(cv2.absdiff(a, b) < 1.0) for a, b in itertools.pairwise(smooth)]
    stays = [correlation(r[i].take(at), r[i + 1].take(at)) for i, at in enumerate(places) if len(at) > 400]
    room = flat.reshape(p.residual.shape)
    power = variance(p.residual, room)
    renewed = variance(np.subtract(p.residual[1:], p.residual[:-1], out=room[1:]), room[1:]) if n > 1 else 0.0
    energy = np.array([np.abs(residual).mean() for residual in p.residual])
    return {
        "noise_next": float(one.mean()) if n > 1 else 0.0,
        "noise_next_varies": float(one.std()) if n > 1 else 0.0,
        "noise_second": float(two.mean()) if n > 2 else 0.0,
        "noise_forgets": float(one.mean() - two.mean()) if n > 2 else 0.0,
        "noise_next_still": float(np.mean(stays)) if stays else 0.0,
        "noise_still_share": sum(map(len, places)) / (len(places) * r.shape[1]) if n > 1 else 1.0,
        "noise_fixed": log((p.residual.mean(0).var() + 1e-3) / (power / n + 1e-3), 0),
        "noise_renews": log((renewed + 0.01) / (2 * power + 0.01) if n > 1 else 0.01, 0),
        "noise_energy_varies": float(energy.std() / (energy.mean() + 0.05)),
        "noise_energy_jumps": float(np.abs(np.diff(energy, 2)).mean() / (energy.mean() + 0.05))
        if n > 2
        else 0.0,
    }


def _colours(p: Pictures) -> Named:
    rows = []
    for c, y in zip(p.chroma[::4], p.luma[::4], strict=True):
        r = [plane - cv2.GaussianBlur(plane, (5, 5), 1.2) for plane in c]
        small = cv2.resize(y, (y.shape[1] // 2, y.shape[0] // 2), interpolation=cv2.INTER_AREA)
        base = small - cv2.GaussianBlur(small, (5, 5), 1.2)
        ratio = (r[0].std() + r[1].std()) / (2 * base.std() + 0.01)
        rows.append([correlation(base, r[0]), correlation(base, r[1]), correlation(*r), log(ratio, 0.001)])
    names = ("noise_luma_cb", "noise_luma_cr", "noise_cb_cr", "noise_chroma")
    return dict(zip(names, (float(v) for v in np.mean(rows, 0)), strict=True))
