"""Trajectories: how straight and how even a clip's path through a space of descriptions is.

In: a path `(T, D)`. Out: 14 numbers. Straightness after ReStraV (Internò et al., 2025), second differences
after D3 (Zheng et al., ICCV 2025), here in spaces that run on a CPU: small pictures, maps of fine detail, a
network's channels.
"""

import cv2
import numpy as np
import numpy.typing as npt

from detectors.features.shared import Named, Pictures, log

__all__ = ["detail_path", "path", "picture_path"]


def picture_path(p: Pictures) -> Named:
    """The path of 32 × 32 grey pictures."""
    small = [cv2.resize(y, (32, 32), interpolation=cv2.INTER_AREA).ravel() / 255 for y in p.luma]
    return path(np.stack(small), "picture")


def detail_path(p: Pictures) -> Named:
    """The path of 16 × 16 maps of how much fine detail is where."""
    maps = [cv2.resize(np.abs(r), (16, 16), interpolation=cv2.INTER_AREA).ravel() for r in p.residual]
    return path(np.stack(maps), "detail")


def path(z: npt.NDArray[np.floating], name: str) -> Named:
    """Lengths of steps, their second differences, turning angles, and detours of a path `(T, D)`."""
    z = np.asarray(z, np.float64)
    if len(z) < 4:
        z = np.concatenate([z, np.repeat(z[-1:], 4 - len(z), 0)])
    step = np.diff(z, axis=0)
    size = np.linalg.norm(step, axis=1) + 1e-6
    norm = np.linalg.norm(z, axis=1) + 1e-6
    far, mean = 1 - (z[1:] * z[:-1]).sum(1) / (norm[1:] * norm[:-1]), size.mean()
    turn = np.degrees(np.arccos(np.clip((step[1:] * step[:-1]).sum(1) / (size[1:] * size[:-1]), -1, 1)))
    two = np.linalg.norm(z[2:] - z[:-2], axis=1).mean()
    bend = np.linalg.norm(np.diff(z, 2, axis=0), axis=1).mean()
    values = {
        "second": log(np.diff(size).std(), 1e-4),
        "second_cosine": log(np.diff(far).std(), 1e-7),
        "second_share": float(np.diff(size).std() / mean),
        "step": log(mean / norm.mean(), 1e-5),
        "step_varies": float(size.std() / mean),
        "step_max": float(size.max() / mean),
        "step_min": float(size.min() / mean),
        "turn": float(turn.mean()),
        "turn_varies": float(turn.std()),
        "turn_min": float(turn.min()),
        "turn_max": float(turn.max()),
        "bend": log(bend / mean, 1e-4),
        "detour": log(size.sum() / (np.linalg.norm(z[-1] - z[0]) + 1e-3 * norm.mean()), 0),
        "two_steps": float(two / mean),
    }
    return {f"path_{name}_{k}": v for k, v in values.items()}
