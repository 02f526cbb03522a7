"""A foreign video or picture made as small as a model works: read in a guarded child, cropped, resized.

In: a path and the model's size. Out: a `Clip` of at most `fps` frames a second. The centre is kept: what of
the picture sticks out beyond the wanted sides is cut off, then pixels are averaged.
"""

import base64
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from sorakit.config import Settings
from sorakit.errors import LimitError, UsageError
from sorakit.types import Clip, Ingredient, Progress, Rgb
from sorakit.video.convert import resize
from sorakit.video.guard import prescan, run_guarded
from sorakit.video.probe import probe
from sorakit.video.read import read_rgb

__all__ = ["fit", "model_size", "read_small", "read_task"]

_MOST_VALUES = 40 << 20
"""Bytes of frames that a child sends where nothing else is said."""


def model_size(height: int, width: int, usual: tuple[int, int], step: int = 8) -> tuple[int, int]:
    """The (height, width) nearest in shape to a picture of `height` × `width` that suits a model.

    The short side is the shorter of `usual`, the long side at most 1.5 times that, by whole `step` pixels.

    >>> model_size(1080, 1920, (32, 32))
    (32, 48)
    """
    short = min(usual)
    ratio = max(height, width) / min(height, width)
    long = min(round(short * ratio / step) * step, short * 3 // 2 // step * step)
    return (short, max(short, long)) if width >= height else (max(short, long), short)


def fit(picture: Rgb, height: int, width: int) -> Rgb:
    """`uint8 (H, W, 3)`: its centre, cut to the wanted shape and resized to `height` × `width`.

    >>> fit(np.zeros((90, 160, 3), np.uint8), 32, 32).shape
    (32, 32, 3)
    """
    H, W = picture.shape[:2]
    h, w = min(H, round(W * height / width)), min(W, round(H * width / height))
    y, x = (H - max(1, h)) // 2, (W - max(1, w)) // 2
    return resize(np.ascontiguousarray(picture[y : y + max(1, h), x : x + max(1, w)]), width, height)


def read_small(
    path: Path,
    usual: tuple[int, int],
    *,
    exact: bool = False,
    step: int = 8,
    fps: int = 12,
    max_frames: int | None = None,
    max_values: int = _MOST_VALUES,
    settings: Settings | None = None,
) -> Clip:
    """Read the video or picture at `path`, as small as a model whose usual sides are `usual` works.

    `exact`: to just these sides, else to `model_size`. `max_frames`: stop after so many. Raises the guarded
    reader's `InputError`s, and `LimitError` for more than `max_values` bytes of frames.

    The clip names the file as its parent.

    >>> read_small(Path("clip.mp4"), (32, 32)).frames.shape  # doctest: +SKIP
    (48, 32, 48, 3)
    """
    limits = (settings or Settings()).limits
    prescan(path, limits)
    request = {
        "path": str(path.absolute()), "usual": list(usual), "exact": exact, "step": step, "fps": fps,
        "max_frames": max_frames, "max_values": max_values,
        "max_pixels": limits.max_pixels, "max_duration": limits.max_duration,
    }  # fmt: skip
    answer = run_guarded(
        "sorakit.shrink:read_task", request, timeout=limits.check_seconds, memory_bytes=limits.memory_bytes
    )
    frames = np.frombuffer(base64.b64decode(answer["frames"]), np.uint8).reshape(answer["shape"])
    source = Ingredient(path, "parentOf", "source video")
    return Clip(frames.copy(), Fraction(answer["fps"]), ingredients=(source,))


def read_task(request: dict[str, Any], _progress: Progress) -> dict[str, Any]:
    """What `read_small` runs in its child: frames as base64, their shape and rate."""
    bounds = {key: request[key] for key in ("max_pixels", "max_duration")}
    info = probe(request["path"], **bounds)
    rate = min(info.fps, Fraction(request["fps"]))
    usual = (int(request["usual"][0]), int(request["usual"][1]))
    kept: list[Rgb] = []
    for picture in _thinned(request["path"], float(rate), 8 * max(usual)):
        if not kept:
            shape = picture.shape[:2]
            size = usual if request["exact"] else model_size(shape[0], shape[1], usual, request["step"])
        kept.append(fit(picture, *size))
        if len(kept) == request["max_frames"]:
            break
        if len(kept) * kept[0].size > request["max_values"]:
            raise LimitError(
                f"{Path(request['path']).name} has more than {len(kept) - 1} frames at {float(rate):g} a "
                "second, too many here; cut a shorter piece"
            )
    frames = np.stack(kept)
    return {
        "frames": base64.b64encode(frames.tobytes()).decode(), "shape": frames.shape, "fps": str(rate)
    }  # fmt: skip


def _thinned(path: str, rate: float, side: int) -> Iterator[Rgb]:
    """Frames at no more than `rate` a second, the longer side at most `side` px."""
    if not rate > 0:
        raise UsageError(f"`fps` must be positive, got {rate}")
    first, count = 0.0, 0
    for seconds, picture in read_rgb(path, max_side=side):
        first = seconds if count == 0 else first
        if (seconds - first) * rate >= count - 0.01:
            count += 1
            yield picture
