"""The canonical clip: what every feature sees, whatever file it came in.

In: a path. Out: 13 frames at an integer stride near 8 a second, the centre square at 256 × 256, after one
H.264 round trip at CRF 23. Frame rate, size, bit rate, GOP and container never leave this module: on clips
gathered from pages they tell the classes apart better than any picture does, and are no property of either.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from sorakit.errors import NotAVideoError
from sorakit.types import Rgb
from sorakit.video._cut import Middle
from sorakit.video._every import decode_every
from sorakit.video._open import decode, open_video
from sorakit.video.convert import frame_to_rgb, orient, resize
from sorakit.video.probe import geometry_of
from sorakit.video.roundtrip import compress, planes_of, rgb_of

__all__ = [
    "FRAMES",
    "SIDE",
    "WIDE",
    "Canonical",
    "Squares",
    "canonical",
    "degrade",
    "pack",
    "read_squares",
    "rgb_small",
    "unpack",
]

FRAMES = 13
SIDE = 256
_RATE = 8.0
WIDE = 480
"""Side of squares that are still to be cropped."""
_CRF, _PRESET = 23, "superfast"
"""Of the round trip: `veryfast` takes 15 ms more, a sixteenth of all that a clip costs."""
_MAX_SKIPPED = 400
"""Frames decoded, at most, on the way from a key frame to a window's start."""

_STILL = frozenset({"png_pipe", "jpeg_pipe", "webp_pipe", "tiff_pipe", "j2k_pipe", "jpegxl_pipe"})


@dataclass(frozen=True, slots=True, eq=False)
class Squares:
    """A window as read: centre squares, `uint8 (S, S, 3)` RGB, and where it lies.

    `start`, `end`, `duration`: seconds, `duration` 0 where the file names none. `stride`: of frames.
    """

    frames: tuple[Rgb, ...]
    start: float
    end: float
    duration: float
    stride: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Canonical:
    """A canonical clip: `luma` `uint8 (T, 256, 256)`, `chroma` `uint8 (T, 2, 128, 128)`, Cb first."""

    luma: npt.NDArray[np.uint8]
    chroma: npt.NDArray[np.uint8]


def read_squares(
    path: str | Path, *, at: float = 0.0, step: int = 0, frames: int = FRAMES, side: int = SIDE
) -> Squares:
    """Read one window of `frames` pictures. `at`: seconds from the start; `step`: added to the stride.

    `side`: what larger squares are shrunk to, in one step from the decoded frame.

    Raises `NotAVideoError` for a still picture or where nothing decodes; otherwise as `open_video`.
    """
    with open_video(path, threads=1) as (container, stream):
        if container.format.name.split(",")[0] in _STILL:
            raise NotAVideoError(f"{Path(path).name} is a still picture; the detector judges moving ones")
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        rate = rate if 1 <= rate <= 250 else 25.0
        stride = max(1, max(1, round(rate / _RATE)) + step)
        base = float(stream.time_base or 1 / 90000)
        zero = stream.start_time or 0
        length = float(stream.duration * base) if stream.duration else (container.duration or 0) / 1e6
        if at > 0.5:
            container.seek(zero + int(at / base), stream=stream, backward=True)
        taken: list[Rgb] = []
        seconds: list[float] = []
        by, middle = VideoReformatter(), Middle()
        since = None if at <= 0 else zero + (at - 0.5 / rate) / base
        for frame in _window(container, stream, since, stride, frames):
            seconds.append(len(seconds) * stride / rate if frame.pts is None else (frame.pts - zero) * base)
            taken.append(_square(stream, frame, side, middle, by))
    if not taken:
        raise NotAVideoError(f"{Path(path).name} has no picture that can be decoded; it is damaged or empty")
    return Squares(tuple(taken), max(0.0, seconds[0]), max(0.0, seconds[-1] + stride / rate), length, stride)


def _window(
    container: InputContainer, stream: VideoStream, since: float | None, stride: int, frames: int
) -> Iterator[av.VideoFrame]:
    """Every `stride`-th frame, from the start or from the time `since` on, in the stream's ticks."""
    if since is None:
        return decode_every(container, stream, stride, frames)
    met = enumerate(decode(container, stream))
    found = (f for i, f in met if f.pts is None or f.pts >= since or i >= _MAX_SKIPPED)
    return islice(found, 0, (frames - 1) * stride + 1, stride)


def _square(
    stream: VideoStream, frame: av.VideoFrame, side: int, middle: Middle, by: VideoReformatter
) -> Rgb:
    """The centre square of a frame as a viewer sees it, shrunk to about `side` px."""
    geometry = geometry_of(stream, frame)
    scale = min(1.0, side / min(frame.width, frame.height))
    size = (max(2, round(frame.width * scale)), max(2, round(frame.height * scale)))
    if geometry.sar == 1:
        frame, size = middle.of(frame, size)
    return _centre(orient(frame_to_rgb(frame, size, by=by), geometry))


def _centre(picture: Rgb) -> Rgb:
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


def degrade(frames: tuple[Rgb, ...], rng: np.random.Generator) -> tuple[Rgb, ...]:
    """What dissemination does: a random crop, 180 to 480 px, H.264 at CRF 18 to 34. For both classes alike.

    The crop keeps 75 to 100 % of the side and so takes corner logos away half of the time.
    """
    side = frames[0].shape[0]
    kept = max(16, int(side * rng.uniform(0.75, 1.0)))
    top, left = (int(v) for v in rng.integers(0, side - kept + 1, 2))
    small = int(min(int(rng.integers(180, 481)), kept)) // 2 * 2
    flip = bool(rng.integers(2))
    crf = int(rng.integers(18, 35))
    made = []
    for frame in frames:
        part = frame[top : top + kept, left : left + kept]
        part = part[:, ::-1] if flip else part
        made.append(resize(np.ascontiguousarray(part), max(16, small), max(16, small)))
    return tuple(rgb_of(compress(made, crf=crf)))


def pack(frames: tuple[Rgb, ...]) -> bytes:
    """The canonical clip as its own bitstream: small, and decoding gives the same pixels every time."""
    same = [resize(f, SIDE, SIDE) for f in frames]
    return compress(same, crf=_CRF, preset=_PRESET)


def unpack(data: bytes) -> Canonical:
    """The canonical clip of `pack`'s bytes."""
    return Canonical(*planes_of(data))


def canonical(squares: Squares) -> Canonical:
    """The canonical clip of a window.

    >>> grey = np.full((300, 300, 3), 128, np.uint8)
    >>> canonical(Squares((grey, grey), 0.0, 0.25, 0.25)).luma.shape
    (2, 256, 256)
    """
    return unpack(pack(squares.frames))


def rgb_small(clip: Canonical, side: int, every: int = 1) -> Rgb:
    """The frames as RGB at `side` px, `uint8 (T, side, side, 3)`; every `every`-th of them."""
    out = []
    for luma, chroma in zip(clip.luma[::every], clip.chroma[::every], strict=True):
        y = cv2.resize(luma, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) - 16
        c = [
            cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) - 128 for p in chroma
        ]
        y *= np.float32(1.164384)
        rgb = (y + 1.596027 * c[1], y - 0.391762 * c[0] - 0.812968 * c[1], y + 2.017232 * c[0])
        out.append(np.stack([plane.clip(0, 255, out=plane).astype(np.uint8) for plane in rgb], -1))
    return np.stack(out)
