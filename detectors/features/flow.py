"""Motion: optical flow, and what is left after following it.

In: `Pictures`. Out: 16 numbers. Dense inverse search (Kroeger et al., ECCV 2016) at 128 px. Generated motion
is smoother in time and leaves another residual after warping (AIGVDet, Bai et al. 2024).
"""

import itertools

import cv2
import numpy as np

from detectors.features.shared import Floats, Named, Pictures, kurtosis, log

__all__ = ["flow"]

_SIDE = 128
_GY, _GX = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32)


def flow(p: Pictures) -> Named:
    """Size, smoothness and steadiness of the flow; size and tails of the difference after warping."""
    small = [
        cv2.resize(y, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).clip(0, 255).astype(np.uint8)
        for y in p.luma
    ]
    if len(small) < 4:
        small = small + [small[-1]] * (4 - len(small))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    fields, left, plain, back = [], [], [], []
    for i, (a, b) in enumerate(itertools.pairwise(small)):
        f = search.calc(a, b, None)  # type: ignore[call-overload]
        warped = cv2.remap(
            b, _GX + f[..., 0], _GY + f[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        fields.append(f)
        left.append(cv2.absdiff(warped, a))
        plain.append(float(cv2.absdiff(b, a).mean()))
        if i % 4 == 0:
            g = search.calc(b, a, None)  # type: ignore[call-overload]
            there = cv2.remap(g, _GX + f[..., 0], _GY + f[..., 1], cv2.INTER_LINEAR)
            back.append(_length(f + there).mean() / (_length(f).mean() + 0.1))
    out = _field(np.stack(fields))
    out["flow_returns"] = log(np.mean(back))
    return out | _rest(np.stack(left), np.array(plain))


def _field(f: Floats) -> Named:
    """`f`: `(T - 1, 128, 128, 2)`."""
    size = _length(f)  # (T - 1, 128, 128)
    speed, mean = size.mean((1, 2)), float(size.mean())
    down, across = f[:, 1:] - f[:, :-1], f[:, :, 1:] - f[:, :, :-1]
    spread = across[:, :-1, :, 0] + down[:, :, :-1, 1]
    curl = across[:, :-1, :, 1] - down[:, :, :-1, 0]
    change = _length(f[1:] - f[:-1])
    moved = [cv2.reduce(field.reshape(-1, 2), 0, cv2.REDUCE_SUM) for field in f]
    camera = np.concatenate(moved) / np.float32(_SIDE * _SIDE)  # (T - 1, 2)
    rough = np.abs(across, out=across).mean() + np.abs(down, out=down).mean()
    return {
        "flow_speed": log(mean),
        "flow_speed_varies": float(speed.std() / (mean + 0.05)),
        "flow_fast_part": log((float(np.quantile(size[:, ::2, ::2], 0.95)) + 0.05) / (mean + 0.05), 0),
        "flow_change": log((float(change.mean()) + 0.02) / (mean + 0.02), 0),
        "flow_rough": log((float(rough) + 0.005) / (mean + 0.02), 0),
        "flow_spread_curl": log((np.abs(spread).mean() + 0.003) / (np.abs(curl).mean() + 0.003), 0),
        "flow_camera": float(np.linalg.norm(camera, axis=1).mean() / (mean + 0.05)),
        "flow_still": float((size < 0.1).mean()),
        "flow_jerk": log((np.abs(np.diff(speed, 2)).mean() + 0.01) / (mean + 0.05), 0),
    }


def _length(f: Floats) -> Floats:
    square = f * f
    length: Floats = square[..., 0] + square[..., 1]
    np.sqrt(length, out=length)
    return length


def _rest(left: np.ndarray, plain: np.ndarray) -> Named:
    each = left.mean((1, 2), dtype=np.float64)
    return {
        "flow_left": log(each.mean(), 0.05),
        "flow_left_share": log((each.mean() + 0.05) / (plain.mean() + 0.05), 0),
        "flow_left_varies": float(each.std() / (each.mean() + 0.05)),
        "flow_left_tail": log(kurtosis(left[:, ::2, ::2].astype(np.float32)), 0),
        "flow_difference": log(plain.mean(), 0.05),
        "flow_difference_varies": float(plain.std() / (plain.mean() + 0.05)),
    }
