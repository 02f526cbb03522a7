"""A detector's heat map over a frame of the video that it judged.

In: a video and rows of scores. Out: a PNG. The map covers the centre square, which is what the detector sees.
The video is decoded in the guarded child; this module's `still_task` runs there.
"""

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sorakit.config import Limits
from sorakit.errors import InputError, UsageError
from sorakit.types import Progress
from sorakit.video._encode import new_file
from sorakit.video.guard import run_guarded
from sorakit.video.read import read_rgb

__all__ = ["blend", "still_task", "write_overlay"]

_SIDE = 960
_STRENGTH = 0.45


def still_task(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """One frame of `path`, blended with `heatmap`, as a PNG in base64."""
    progress("still", 0.0)
    frame = next((p for _, p in read_rgb(request["path"], max_frames=1, max_side=_SIDE, threads=1)), None)
    if frame is None:
        raise InputError("the video has no frame to draw on")
    done, data = cv2.imencode(".png", blend(frame, request["heatmap"])[..., ::-1])
    if not done:
        raise InputError("the frame cannot be drawn as a PNG")
    return {"png": base64.b64encode(data.tobytes()).decode()}


def blend(frame: npt.NDArray[np.uint8], heatmap: list[list[float]]) -> npt.NDArray[np.uint8]:
    """`frame` `(H, W, 3)` with the scores over its centre square: blue 0, white 0.5, red 1.

    Raises `UsageError` for a map that is no rectangle of numbers in [0, 1].

    >>> blend(np.zeros((8, 8, 3), np.uint8), [[1.0]]).max() > 0
    np.True_
    """
    try:
        heat = np.array(heatmap, np.float32)
    except ValueError as error:
        raise UsageError("`heatmap` must be rows of equal length") from error
    if heat.ndim != 2 or heat.size == 0 or not np.isfinite(heat).all() or heat.min() < 0 or heat.max() > 1:
        raise UsageError(f"`heatmap` must be rows of scores in [0, 1], got shape {heat.shape}")
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    large = cv2.resize(heat, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 1)[..., None]
    red, blue, white = (np.array(c, np.float32) for c in ((214, 39, 40), (31, 90, 180), (255, 255, 255)))
    colour = np.where(large > 0.5, white + (red - white) * (2 * large - 1), blue + (white - blue) * 2 * large)
    out = frame.astype(np.float32)
    part = out[top : top + side, left : left + side]
    out[top : top + side, left : left + side] = part * (1 - _STRENGTH) + colour * _STRENGTH
    return out.clip(0, 255).astype(np.uint8)


def write_overlay(path: Path, heatmap: list[list[float]], output: Path, limits: Limits) -> None:
    """Draw `heatmap` over a frame of the video at `path` and write the PNG whole or not at all.

    Raises `UsageError` when `output` does not end in `.png`, `OutputError` when it cannot be written.
    """
    if output.suffix.lower() != ".png":
        raise UsageError(f"`output` must end in .png, got {output.name}")
    answer = run_guarded(
        "sorakit.overlay:still_task",
        {"path": str(path.absolute()), "heatmap": heatmap},
        timeout=limits.check_seconds,
        memory_bytes=limits.memory_bytes,
    )
    with new_file(output) as part:
        part.write_bytes(base64.b64decode(answer["png"]))
