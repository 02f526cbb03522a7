"""Stills of a video as small JPEGs for reports and notebooks; the video itself is never rewritten.

In: a `Clip`, or the path of any video or image. Out: `uint8 (H, W, 3)` RGB stills, JPEG bytes, data URIs.
"""

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sorakit.errors import OutputError, UsageError
from sorakit.types import Clip, Progress, Rgb
from sorakit.video.convert import resize
from sorakit.video.read import read_rgb

__all__ = ["data_uri", "filmstrip", "jpeg", "pick", "stills", "stills_task", "strip_task"]

MAX_STILLS = 64


def stills(source: Clip | Path | str, n: int = 4, *, height: int = 120) -> list[Rgb]:
    """At most `n` frames, evenly spread, each `uint8 (height, W, 3)` with its own aspect ratio.

    Raises `UsageError` for `n` outside 1 to 64, and the errors of `read_rgb` for a file.

    >>> from fractions import Fraction
    >>> clip = Clip(np.zeros((8, 32, 64, 3), np.uint8), Fraction(8))
    >>> [s.shape for s in stills(clip, 2, height=16)]
    [(16, 32, 3), (16, 32, 3)]
    """
    if not 1 <= n <= MAX_STILLS:
        raise UsageError(f"`n` must be 1 to {MAX_STILLS}, got {n}")
    if not 8 <= height <= 1080:
        raise UsageError(f"`height` must be 8 to 1080 px, got {height}")
    return [_to_height(frame, height) for frame in pick(source, n)]


def stills_task(request: dict[str, Any], _progress: Progress) -> dict[str, Any]:
    """`stills` for `run_guarded`: takes `path`, `n`, `height`; returns JPEGs in base64 under `stills`."""
    pictures = stills(request["path"], int(request["n"]), height=int(request["height"]))
    return {"stills": [base64.b64encode(jpeg(p)).decode() for p in pictures]}


def strip_task(request: dict[str, Any], _progress: Progress) -> dict[str, Any]:
    """As `stills_task`, but all in one JPEG in base64 under `strip`."""
    pictures = stills(request["path"], int(request["n"]), height=int(request["height"]))
    return {"strip": base64.b64encode(jpeg(filmstrip(pictures, gap=4))).decode()}


def pick(source: Clip | Path | str, n: int) -> list[Rgb]:
    """At most `n` frames, evenly spread, at the source's own size (files: at most 1920 px wide)."""
    if isinstance(source, Clip):
        count = len(source.frames)
        places = (np.arange(min(n, count)) + 0.5) * count / min(n, count)
        return [source.frames[int(i)] for i in places]
    return [frame for _, frame in read_rgb(source, max_frames=n, max_side=1920)]


def filmstrip(frames: list[Rgb], *, gap: int = 0) -> Rgb:
    """Frames of one height side by side, `uint8 (H, sum of W, 3)`, `gap` black pixels between them."""
    parts: list[Rgb] = []
    for i, frame in enumerate(frames):
        if i and gap:
            parts.append(np.zeros((frame.shape[0], gap, 3), np.uint8))
        parts.append(frame)
    return np.concatenate(parts, axis=1)


def jpeg(picture: Rgb, quality: int = 82) -> bytes:
    """One RGB picture as JPEG."""
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    ok, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise OutputError(f"the still could not be encoded as JPEG, got {picture.shape}; use smaller stills")
    return data.tobytes()


def data_uri(data: bytes, mime: str = "image/jpeg") -> str:
    """Bytes as a `data:` URI, so that a page needs no second file."""
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def _to_height(picture: Rgb, height: int) -> Rgb:
    # Tall or wide beyond reason is a hostile file; the strip stays within eight times its height.
    width = min(8 * height, max(1, round(picture.shape[1] * height / picture.shape[0])))
    return resize(picture, width, height)
