"""Write a `Clip` as a video file, and enlarge small ones.

In: a `Clip`. Out: a file (H.264 where nothing else is asked), yuv420p, BT.709 limited range and tagged so. A
luma filter may mark each stored plane on its way to the encoder. Only `sorakit.publish` calls this for a file
that leaves the kit.
"""

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from sorakit.errors import UnsupportedError, UsageError
from sorakit.types import Clip, FrameGeometry, LumaFilter, Progress
from sorakit.video._encode import Encoder, EncodeSettings, Look, container_of, new_file
from sorakit.video._mark import Marker
from sorakit.video._pipeline import run_stages
from sorakit.video.convert import rgb_to_frame
from sorakit.video.stamp import Stamp, Stamper

__all__ = ["MIN_SECONDS", "MIN_SIDE", "EncodeSettings", "enlarge", "geometry_of_clip", "write_clip"]

MIN_SIDE = 256
"""Pixels of the shorter side below which a watermark's payload does not fit."""

MIN_SECONDS = 1.0


def geometry_of_clip(clip: Clip) -> FrameGeometry:
    """The geometry of the planes that `write_clip` will store: sides padded to even numbers."""
    height, width = clip.frames.shape[1:3]
    return FrameGeometry(width + width % 2, height + height % 2)


def write_clip(
    clip: Clip,
    path: str | Path,
    *,
    luma: LumaFilter | None = None,
    settings: EncodeSettings | None = None,
    progress: Progress | None = None,
    metadata: dict[str, str] | None = None,
    stamps: tuple[Stamp, ...] = (),
) -> float | None:
    """Encode a clip; returns the luma PSNR between filtered and unfiltered planes, dB (None without filter).

    `luma` is called with each `uint8 (H, W)` plane in order, H and W as `geometry_of_clip` says: odd sides
    are padded by repeating the last row or column. `metadata`: container tags, any names. `stamps`: visible
    labels, drawn before the filter sees the plane. The file appears when it is whole. Raises `UsageError`
    (suffix; no room for a label), `OutputError` (cannot be written).

    >>> write_clip(clip, "out.mp4", settings=EncodeSettings(crf=23))  # doctest: +SKIP
    """
    path, settings = Path(path), settings or EncodeSettings()
    container_of(path)
    geometry = geometry_of_clip(clip)
    step = 1 / clip.fps
    look = Look(geometry.width, geometry.height, "yuv420p", clip.fps, time_base=step)
    marker, done, total = Marker(luma), 0, len(clip.frames)
    stamper = Stamper(stamps, geometry)

    def work(frame: av.VideoFrame) -> av.VideoFrame:
        return marker(stamper(frame, float((frame.pts or 0) * step)))

    def sink(frame: av.VideoFrame) -> None:
        nonlocal done
        encoder.encode(frame, 1)
        done += 1
        if progress is not None:
            progress("encode", done / total)

    with new_file(path) as part, Encoder(part, look, settings, metadata or {}) as encoder:
        encoder.begin()
        run_stages(_frames(clip, geometry), work, sink)
        encoder.finish(total)
    return marker.psnr


def _frames(clip: Clip, geometry: FrameGeometry) -> Generator[av.VideoFrame, None, None]:
    pad_h, pad_w = geometry.height - clip.frames.shape[1], geometry.width - clip.frames.shape[2]
    for index, picture in enumerate(clip.frames):
        padded = np.pad(picture, ((0, pad_h), (0, pad_w), (0, 0)), "edge") if pad_h or pad_w else picture
        frame = rgb_to_frame(padded)
        frame.pts = index
        yield frame


def enlarge(clip: Clip, *, min_side: int = MIN_SIDE, min_seconds: float = MIN_SECONDS) -> Clip:
    """The clip, its frames enlarged by the smallest whole factor that brings the short side to `min_side`.

    Enlarged by Lanczos: smooth, as the picture was meant, where repeating pixels would draw blocks whose
    edges cost the encoder bits and read as detail to a watermark and to a detector. Raises `UnsupportedError`
    for a clip under `min_seconds`: repeating or slowing frames would show what nobody made.

    >>> enlarge(Clip(np.zeros((8, 32, 32, 3), np.uint8), Fraction(8))).frames.shape
    (8, 256, 256, 3)
    """
    if min_side < 1:
        raise UsageError(f"`min_side` must be at least 1, got {min_side}")
    # A thousandth of a second of grace: 1 s at 29.97 frames a second is 29.97 frames.
    if clip.duration + 1e-3 < min_seconds:
        need = -(-Fraction(min_seconds) * clip.fps // 1)
        raise UnsupportedError(
            f"the clip lasts {clip.duration:.2f} s, at least {min_seconds:g} s is needed; "
            f"make {need} frames at {float(clip.fps):g} a second"
        )
    height, width = clip.frames.shape[1:3]
    factor = -(-min_side // min(height, width))
    if factor == 1:
        return clip
    size = (width * factor, height * factor)
    frames = np.stack([cv2.resize(f, size, interpolation=cv2.INTER_LANCZOS4) for f in clip.frames])
    return Clip(frames.astype(np.uint8, copy=False), clip.fps, clip.generation, clip.ingredients)
