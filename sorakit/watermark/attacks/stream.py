"""Videos as streams of pictures on their way through an attack: read, changed one by one, encoded.

In: a file. Out: a file, H.264 unless a codec is the attack; one picture in memory at a time. The encoders run
on one thread, so that one version of one of them gives the same pictures whenever it is asked.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Generic, TypeVar

import av
import cv2
import numpy as np

from sorakit.errors import UnsupportedError
from sorakit.types import FrameGeometry, Rgb
from sorakit.video._sample import sample
from sorakit.video.convert import frame_to_rgb, orient, rgb_to_frame
from sorakit.video.probe import VideoInfo, probe
from sorakit.watermark.attacks.base import Attack, Job, Strength

__all__ = [
    "H264",
    "Change",
    "Codec",
    "Stream",
    "comment",
    "encode",
    "even",
    "picture_attack",
    "planes",
    "read",
]

Change = Callable[[Rgb], Rgb]
"""Maps one picture `uint8 (H, W, 3)` to the next; may keep state over a clip."""

MAX_RATE = 240
_STORED = "yuv420p"
_AVX512 = 14  # CV_CPU_AVX_512F


P_co = TypeVar("P_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Stream(Generic[P_co]):
    """Pictures at a constant `rate` a second: RGB, or codec frames; None where one is missing."""

    frames: Iterator[P_co]
    rate: Fraction


@dataclass(frozen=True, slots=True)
class Codec:
    """An encoder of FFmpeg and its options but the quality, which `quality` names."""

    library: str
    options: dict[str, str] = field(default_factory=dict)
    quality: str = "crf"


H264 = Codec("libx264", {"preset": "veryfast"})


def comment(name: str) -> str:
    """The comment tag that says in the file itself what was done to it."""
    return f"sorakit robustness test: {name}"


def rate_of(info: VideoInfo) -> Fraction:
    """Frames a second, at most `MAX_RATE`; the average where it varies."""
    return min(info.fps.limit_denominator(65535), Fraction(MAX_RATE))


def read(src: Path) -> Stream[Rgb]:
    """Pictures of a file as a viewer sees them; where a stream changes size part-way, only its first size."""

    def frames() -> Iterator[Rgb]:
        shape = None
        for item in sample(src, None, threads=1):
            rgb = orient(frame_to_rgb(item.frame), item.geometry)
            shape = shape or rgb.shape
            if rgb.shape == shape:
                yield rgb

    return Stream(frames(), rate_of(probe(src)))


def planes(src: Path) -> Stream[av.VideoFrame]:
    """As `read`, but frames that a transcoder would pass on untouched are not turned into RGB and back."""

    def frames() -> Iterator[av.VideoFrame]:
        size = None
        for item in sample(src, None, threads=1):
            size = size or (item.frame.width, item.frame.height)
            if (item.frame.width, item.frame.height) == size:
                plain = _plain(item.frame, item.geometry)
                yield item.frame if plain else _stored(orient(frame_to_rgb(item.frame), item.geometry))

    return Stream(frames(), rate_of(probe(src)))


def _plain(frame: av.VideoFrame, geometry: FrameGeometry) -> bool:
    upright = geometry.rotation == 0 and geometry.sar == 1
    return upright and frame.format.name == _STORED and frame.width % 2 == 0 and frame.height % 2 == 0


def even(rgb: Rgb) -> Rgb:
    """Sides cut to even numbers, as 4:2:0 wants them."""
    return np.ascontiguousarray(rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2])


def _stored(rgb: Rgb) -> av.VideoFrame:
    return rgb_to_frame(even(rgb))


def encode(stream: Stream[Rgb | av.VideoFrame | None], job: Job, quality: float, codec: Codec = H264) -> None:
    """Write `stream` to `job.dst`; a missing picture leaves a gap in time. Raises `UnsupportedError`."""
    _quiet(codec.library)
    rate, step = stream.rate, 1 / stream.rate
    total = max(1.0, probe(job.src).duration * float(rate)) if job.progress else 1.0
    with av.open(str(job.dst), "w") as target:
        target.metadata["comment"] = comment(job.name)
        track: Any = None
        for index, picture in enumerate(stream.frames):
            if job.progress is not None and index % 16 == 0:
                job.progress(job.name, min(1.0, index / total))
            if picture is None:
                continue
            frame = picture if isinstance(picture, av.VideoFrame) else _stored(picture)
            if track is None:
                track = _track(target, codec, quality, rate, frame)
            frame.pts, frame.time_base, frame.pict_type = index, step, 0
            target.mux(track.encode(frame))
        if track is not None:
            target.mux(track.encode(None))
    if track is None:
        raise UnsupportedError(f"{job.src.name} is too short for {job.name}: no picture is left of it")


def _track(target: Any, codec: Codec, quality: float, rate: Fraction, frame: av.VideoFrame) -> Any:
    if min(frame.width, frame.height) < 16:
        raise UnsupportedError(f"this leaves pictures of {frame.width}×{frame.height} px; lower the strength")
    track = target.add_stream(codec.library, rate=rate)
    context = track.codec_context
    context.width, context.height, context.pix_fmt = frame.width, frame.height, _STORED
    context.time_base, context.thread_count = 1 / rate, 1
    context.options = _options(codec, quality)
    context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc
    context.colorspace, context.color_range = frame.colorspace, frame.color_range
    return track


def _options(codec: Codec, quality: float) -> dict[str, str]:
    """The encoder's options; without x264's AVX-512 code, whose macroblock tree reads memory never written.

    That makes results differ from run to run (seen with x264 core 165 under MALLOC_PERTURB_).
    """
    steady = {}
    if codec.library == "libx264" and cv2.checkHardwareSupport(_AVX512):
        steady["x264-params"] = "asm=AVX2"
    return codec.options | steady | {codec.quality: f"{quality:g}"}


def _quiet(library: str) -> None:
    """SVT-AV1 writes to stderr on its own unless its environment variable says not to."""
    if library == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")


def picture_attack(
    name: str,
    family: str,
    summary: str,
    make: Callable[[float, np.random.Generator], Change],
    strength: Strength | None = None,
    *,
    crf: int = 20,
) -> Attack:
    """An attack on each picture by `make(strength, rng)`, then H.264 at `crf`."""

    def run(job: Job) -> None:
        stream, change = read(job.src), make(job.strength, job.rng())
        encode(Stream(map(change, stream.frames), stream.rate), job, crf)

    return Attack(name, family, f"{summary}; H.264 CRF {crf}", run, strength)
