"""One H.264 round trip in memory: what an upload does to frames, without a file.

In: frames, `uint8 (T, H, W, 3)` RGB with even sides. Out: the bitstream, or its planes again (BT.601 limited
range, 4:2:0). Nothing is written to disk, so nothing leaves here. Standard: ITU-T H.264, by x264.
"""

import io
from collections.abc import Iterable
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from sorakit.errors import NotAVideoError, UsageError
from sorakit.types import Rgb
from sorakit.video._open import decode, open_video
from sorakit.video.convert import frame_to_rgb

__all__ = ["Planes", "compress", "planes_of", "recompress", "rgb_of"]

Planes = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
"""Luma `(T, H, W)` and chroma `(T, 2, H/2, W/2)`, Cb first."""


_AVX2, _AVX512 = 11, 13
_STEADY: dict[str, str] = (
    {"x264-params": "asm=avx2"}
    if cv2.checkHardwareSupport(_AVX512) and cv2.checkHardwareSupport(_AVX2)
    else {}
)
"""x264's AVX-512 code gives other bytes now and then for one input (measured with its build in PyAV 18, at
sides under 256 px); without it the same input gives the same bytes, here and on machines that lack it."""


def compress(frames: Iterable[Rgb], *, crf: int, fps: int = 8, preset: str = "veryfast") -> bytes:
    """Encode frames of one size as an MP4 in memory, with one thread, so that the bytes are the same again.

    Raises `UsageError` without frames or for odd sides.

    >>> planes_of(compress(np.zeros((2, 16, 16, 3), np.uint8), crf=23))[0].shape
    (2, 16, 16)
    """
    buffer, stream, by = io.BytesIO(), None, VideoReformatter()
    with av.open(buffer, "w", format="mp4") as out:
        for frame in frames:
            if stream is None:
                height, width = frame.shape[:2]
                if height % 2 or width % 2:
                    raise UsageError(f"`frames` must have even sides, got {height} × {width}")
                stream = out.add_stream("libx264", rate=fps)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.options = dict[str, object](_STEADY, crf=str(crf), preset=preset)
                stream.codec_context.thread_count = 1
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            out.mux(stream.encode(by.reformat(picture, format="yuv420p", threads=1)))
        if stream is None:
            raise UsageError("`frames` must hold at least one frame, got none")
        out.mux(stream.encode(None))
    return buffer.getvalue()


def planes_of(data: bytes) -> Planes:
    """Decode what `compress` made to its planes, as the codec holds them."""
    luma, chroma = [], []
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for frame in container.decode(stream):
            y, cb, cr = (_plane(p) for p in frame.planes)
            luma.append(y)
            chroma.append(np.stack([cb, cr]))
    return np.stack(luma), np.stack(chroma)


def rgb_of(data: bytes) -> Rgb:
    """Decode what `compress` made to RGB, `uint8 (T, H, W, 3)`."""
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(stream)])


def recompress(
    path: str | Path, *, long_side: int, crf: int, seconds: float, preset: str = "veryfast"
) -> bytes:
    """A file's first `seconds` as a platform would send them on: shrunk to `long_side`, at its own rate.

    Raises as `open_video` does, `NotAVideoError` when nothing decodes.
    """
    frames: list[Rgb] = []
    with open_video(path, threads=1) as (container, stream):
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        for frame in decode(container, stream):
            scale = min(1.0, long_side / max(frame.width, frame.height))
            size = (max(2, round(frame.width * scale / 2) * 2), max(2, round(frame.height * scale / 2) * 2))
            frames.append(frame_to_rgb(frame, size))
            if len(frames) > seconds * rate:
                break
    if not frames:
        raise NotAVideoError("no picture can be decoded; the file is damaged or empty")
    same = [f for f in frames if f.shape == frames[0].shape]
    return compress(same, crf=crf, fps=max(1, round(rate)), preset=preset)


def _plane(plane: av.video.plane.VideoPlane) -> npt.NDArray[np.uint8]:
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width].copy()
