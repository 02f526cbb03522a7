"""Describe a video or image file: size, turn, rate, length, colours, sound, tags.

In: a path. Out: `VideoInfo`. Turn: the display matrix of ISO/IEC 14496-12 8.5.2 (phones write it). Colour
names: ITU-T H.273. The `AIGC` label of GB 45438-2025 is found in `metadata`, as any other tag.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast

import av
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.video.stream import VideoStream

from sorakit.errors import LimitError, NotAVideoError
from sorakit.types import FrameGeometry, Progress
from sorakit.video._open import MAX_PIXELS, decode, open_video
from sorakit.video.convert import has_luma_plane

__all__ = ["VideoInfo", "probe", "probe_task"]

PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020",
             10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213"}  # fmt: skip
TRANSFERS = {1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log",
             11: "xvycc", 12: "bt1361", 13: "srgb", 14: "bt2020-10", 15: "bt2020-12", 16: "pq",
             17: "smpte428", 18: "hlg"}  # fmt: skip
MATRICES = {0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco",
            9: "bt2020nc", 10: "bt2020c", 14: "ictcp"}  # fmt: skip
RANGES = {1: "limited", 2: "full"}
UNSPECIFIED = "unspecified"

_IMAGES = frozenset({"png_pipe", "jpeg_pipe", "webp_pipe", "tiff_pipe", "j2k_pipe", "jpegxl_pipe"})
_PROGRESSIVE = (0, 1)
_MAX_TAGS, _MAX_TAG = 256, 65536
_MAX_SCAN = 500_000
_SAR_BOUND = 8


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a file holds. `fps`: average; `duration`: seconds; `frame_count`: None where the file names none.

    `primaries`, `transfer`, `matrix`, `range` name the colours (H.273), or are `unspecified`.
    `hdr` names what makes it HDR, else None. `metadata` holds the container's tags.
    """

    kind: Literal["video", "image"]
    geometry: FrameGeometry
    fps: Fraction
    time_base: Fraction
    frame_count: int | None
    duration: float
    codec: str
    pix_fmt: str
    container: str
    primaries: str = UNSPECIFIED
    transfer: str = UNSPECIFIED
    matrix: str = UNSPECIFIED
    range: str = UNSPECIFIED
    interlaced: bool = False
    hdr: str | None = None
    audio: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The same as plain JSON values; fractions become strings such as `30000/1001`."""
        g = self.geometry
        shape = {"width": g.width, "height": g.height, "rotation": g.rotation, "sar": str(g.sar)}
        shape |= {"bit_depth": g.bit_depth, "full_range": g.full_range}
        body: dict[str, Any] = {name: getattr(self, name) for name in VideoInfo.__slots__}
        return body | {
            "geometry": shape,
            "fps": str(self.fps),
            "time_base": str(self.time_base),
            "audio": list(self.audio),
        }


def probe(path: str | Path, *, max_pixels: int = MAX_PIXELS, max_duration: float = 4 * 3600) -> VideoInfo:
    """Open a file, decode one frame and describe it.

    Raises `InputError` (missing), `NotAVideoError` (nothing decodes), `UnsupportedError` (unknown codec),
    `LimitError` (over `max_pixels` a frame or `max_duration` seconds). Foreign files belong in a child
    process: `run_guarded("sorakit.video.probe:probe_task", {"path": …})`.

    >>> probe("clip.mp4").geometry.display_size  # doctest: +SKIP
    (1920, 1080)
    """
    with open_video(path, threads=1, max_pixels=max_pixels) as (container, stream):
        frame = next(decode(container, stream), None)
        if frame is None:
            raise NotAVideoError(
                f"{Path(path).name} has no picture that can be decoded; it is damaged or empty"
            )
        info = describe(container, stream, frame)
    if info.duration > max_duration:
        raise LimitError(
            f"{Path(path).name} lasts {info.duration:.0f} s, the limit is {max_duration:.0f} s; cut it first"
        )
    return info


def probe_task(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """`probe` for `run_guarded`: takes `path` and optionally the limits, returns `VideoInfo.to_json()`."""
    bounds = {key: request[key] for key in ("max_pixels", "max_duration") if key in request}
    return probe(request["path"], **bounds).to_json()


def describe(container: InputContainer, stream: VideoStream, frame: av.VideoFrame) -> VideoInfo:
    """`VideoInfo` of an open file from its first decoded frame; may read it through to find the length."""
    name = container.format.name.split(",")[0]
    image = name in _IMAGES
    count, duration = (1, 0.0) if image else _length(container, stream)
    if name == "gif" and count == 1:
        image = True
    return VideoInfo(
        kind="image" if image else "video",
        geometry=geometry_of(stream, frame),
        fps=Fraction(1) if image else _rate(stream, count, duration),
        time_base=stream.time_base or Fraction(1, 90000),
        frame_count=count,
        duration=duration,
        codec=stream.codec_context.name,
        pix_fmt=frame.format.name,
        container=name,
        primaries=PRIMARIES.get(int(frame.color_primaries), UNSPECIFIED),
        transfer=TRANSFERS.get(int(frame.color_trc), UNSPECIFIED),
        matrix=MATRICES.get(int(frame.colorspace), UNSPECIFIED),
        range=RANGES.get(int(frame.color_range), UNSPECIFIED),
        interlaced=frame.interlaced_frame or stream.codec_context.field_order not in _PROGRESSIVE,
        hdr=hdr_reason(stream, frame),
        audio=tuple(s.codec_context.name if s.codec_context else "unknown" for s in container.streams.audio),
        metadata=_tags(container),
    )


def geometry_of(stream: VideoStream, frame: av.VideoFrame) -> FrameGeometry:
    """How the stream's planes relate to what a viewer sees.

    PyAV gives the turn counter-clockwise, on decoded frames alone. Turns other than by quarters are rounded.
    Aspect ratios beyond 8:1 are taken as square: no camera makes them and the enlarged plane would be a bomb.
    """
    sar = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, _SAR_BOUND) <= sar <= _SAR_BOUND:
        sar = Fraction(1)
    planar = has_luma_plane(frame.format.name)
    full = frame.color_range == 2 or frame.format.name.startswith(("yuvj", "gray"))
    return FrameGeometry(
        width=frame.width,
        height=frame.height,
        rotation=round(-frame.rotation / 90) * 90 % 360,
        sar=sar,
        bit_depth=10 if planar and frame.format.components[0].bits > 8 else 8,
        full_range=planar and full,
    )


def hdr_reason(stream: VideoStream, frame: av.VideoFrame) -> str | None:
    """What makes a stream HDR or wide-gamut, in words; None for standard dynamic range."""
    kinds = _side_data_names(frame)
    if kinds & {"DOVI_RPU_BUFFER", "DOVI_METADATA"} or stream.codec_context.codec_tag in ("dvh1", "dvhe"):
        return "Dolby Vision"
    by_transfer = {16: "HDR10 (PQ)", 18: "HLG", 14: "BT.2020", 15: "BT.2020"}
    if int(frame.color_trc) in by_transfer:
        return by_transfer[int(frame.color_trc)]
    return "BT.2020" if int(frame.color_primaries) == 9 or int(frame.colorspace) in (9, 10, 14) else None


def _side_data_names(frame: av.VideoFrame) -> set[str]:
    try:
        return {data.type.name for data in cast(Iterable[SideData], frame.side_data)}
    except ValueError:  # a kind of side data newer than PyAV's list
        return set()


def _tags(container: InputContainer) -> dict[str, str]:
    """The container's tags, bounded: hostile files hold megabytes of them."""
    return {k[:256]: v[:_MAX_TAG] for k, v in list(container.metadata.items())[:_MAX_TAGS]}


def _rate(stream: VideoStream, count: int | None, duration: float) -> Fraction:
    rate = stream.average_rate or stream.guessed_rate
    if not rate and count and duration:
        rate = Fraction(count / duration).limit_denominator(1001)
    return rate if rate and 0 < rate <= 1000 else Fraction(25)


def _length(container: InputContainer, stream: VideoStream) -> tuple[int | None, float]:
    """(frames or None, seconds); reads through the packets where the header does not say."""
    base = stream.time_base or Fraction(1, 90000)
    if stream.duration:
        return stream.frames or None, float(stream.duration * base)
    if container.duration and container.duration > 0:
        return stream.frames or None, container.duration / av.time_base
    return _scan(container.name)


def _scan(name: str) -> tuple[int, float]:
    """Count the packets of a file, opened again from its start, and find the last time-stamp."""
    count, end = 0, Fraction(0)
    with open_video(name.removeprefix("file:"), threads=1, max_pixels=sys.maxsize) as (container, stream):
        base = stream.time_base or Fraction(1, 90000)
        start = (stream.start_time or 0) * base
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        try:
            for packet in container.demux(stream):
                if packet.size == 0:
                    continue
                count += 1
                stamp = packet.pts if packet.pts is not None else packet.dts
                if stamp is not None:
                    end = max(end, (stamp + (packet.duration or 0)) * base)
                if count > _MAX_SCAN:
                    raise LimitError(
                        f"more than {_MAX_SCAN} frames and no length given; re-mux the file first"
                    )
        except (av.InvalidDataError, av.EOFError):
            pass  # broken off: what was seen is its length
    return max(1, count), float(end - start) if end > start else float(count / rate)
