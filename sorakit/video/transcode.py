"""Mark a video file that already exists: new pictures, the same sound, times, turn and colours.

In: a video file and what makes its luma filter. Out: a new file (H.264 where nothing else is asked), written
once it is whole. The filter works on decoded luma planes, so that colours never pass through RGB; packets of
sound are copied unchanged; frame times stay as they were to the tick (in Matroska, to the millisecond).
Decoding, marking and encoding run side by side in bounded memory.
"""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from sorakit.errors import NotAVideoError, UnsupportedError, UsageError
from sorakit.types import LumaFilter, Progress
from sorakit.video._encode import Encoder, EncodeSettings, Look, container_of, new_file, taken_formats
from sorakit.video._mark import Marker
from sorakit.video._normal import Normaliser, display_matrix
from sorakit.video._open import decode, decode_beside, open_video
from sorakit.video._pipeline import run_stages
from sorakit.video.probe import VideoInfo, describe
from sorakit.video.stamp import Stamp, Stamper
from sorakit.video.write import MIN_SECONDS, MIN_SIDE

__all__ = ["TranscodeReport", "require_markable", "transcode"]

_CONTAINER_TAGS = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})
_FREE_CLOCKS = frozenset({"mpegts", "mpeg"})
"""Containers whose times start anywhere; those of others are kept as they are."""

_MAX_HOLD = 3600
"""Seconds that a last frame may stand; a length beyond it is a broken or hostile header."""

_MAX_CLOCK = 100_000_000
"""Ticks a second; finer ones overflow the movie header's 32-bit field in careless readers."""

_Item: TypeAlias = "av.VideoFrame | Packet[Any]"


@dataclass(frozen=True, slots=True)
class TranscodeReport:
    """What was done. `duration`: seconds; `luma_psnr`: dB before encoding, None without a filter.

    `audio`: codecs of the copied tracks; `dropped`: streams that the new file does not have, in words;
    `retimed`: frames whose time was missing or repeated and had to be made up.
    """

    frames: int
    duration: float
    luma_psnr: float | None
    audio: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    retimed: int = 0


def transcode(
    src: str | Path,
    dst: str | Path,
    *,
    make_luma: Callable[[VideoInfo], LumaFilter] | None = None,
    settings: EncodeSettings | None = None,
    progress: Progress | None = None,
    metadata: dict[str, str] | None = None,
    stamps: tuple[Stamp, ...] = (),
) -> TranscodeReport:
    """Re-encode `src` to `dst` with its luma filtered; codec and container as `settings` and `dst` say.

    `make_luma` gets the description of the planes to come (its geometry is that of the stored planes, even
    sides) and returns the filter. `metadata` adds container tags to those of the source. `stamps`:
    visible labels, drawn before the filter. 8-bit sources become
    yuv420p, deeper ones yuv420p10le; GIF, RGB and alpha (over black) become BT.709. `progress` is called in
    this thread.

    Raises `UsageError` (suffix of `dst`; `dst` is `src`), `NotAVideoError`, `UnsupportedError` (HDR,
    interlaced, too small or short for a mark, sound that the container cannot hold), `OutputError`. No file
    is left behind then.

    >>> transcode("in.mov", "out.mp4", make_luma=lambda info: lambda y: y).luma_psnr  # doctest: +SKIP
    inf
    """
    src, dst, settings = Path(src), Path(dst), settings or EncodeSettings()
    container_of(dst)
    if dst.exists() and src.exists() and dst.samefile(src):
        raise UsageError(f"the output {dst} is the input; choose another name")
    with open_video(src) as (container, stream):
        look = _examine(src)
        require_markable(look[0], src.name)
        takes = taken_formats(dst, settings)
        job = _Job(container, stream, look, make_luma, progress, stamps=stamps, takes=takes)
        with new_file(dst) as part:
            return job.run(part, settings, metadata or {})


def require_markable(info: VideoInfo, name: str) -> None:
    """Raise `UnsupportedError`, for video that cannot carry a mark or keep its look."""
    if info.kind == "image":
        raise UnsupportedError(f"{name} is a still image; only video is marked")
    if info.hdr:
        raise UnsupportedError(
            f"{name} is {info.hdr}, which 8-bit H.264 cannot show; convert it to SDR first, e.g. "
            'ffmpeg -i IN -vf "zscale=t=linear,tonemap=hable,zscale=p=709:t=709:m=709,format=yuv420p" OUT'
        )
    if info.interlaced:
        raise UnsupportedError(f"{name} is interlaced; deinterlace it first, e.g. ffmpeg -i IN -vf bwdif OUT")
    width, height = info.geometry.display_size
    if min(width, height) < MIN_SIDE:
        raise UnsupportedError(
            f"{name} is {width}×{height} px, too small for a mark: the shorter side must be {MIN_SIDE} px; "
            "enlarge it first"
        )
    if info.duration + 1e-3 < MIN_SECONDS:
        raise UnsupportedError(
            f"{name} lasts {info.duration:.2f} s, too short for a mark: {MIN_SECONDS:g} s is needed"
        )


def _examine(src: Path) -> tuple[VideoInfo, av.VideoFrame]:
    """Describe the source and keep its first frame; on an opening of its own, as this reads on."""
    with open_video(src, threads=1) as (container, stream):
        frame = next(decode(container, stream), None)
        if frame is None:
            raise NotAVideoError(f"{src.name} has no picture that can be decoded; it is damaged or empty")
        return describe(container, stream, frame), frame


class _Job:
    """One transcode: what is read, how it is made fit, and where it goes."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        look: tuple[VideoInfo, av.VideoFrame],
        make_luma: Callable[[VideoInfo], LumaFilter] | None,
        progress: Progress | None,
        *,
        stamps: tuple[Stamp, ...],
        takes: frozenset[str],
    ) -> None:
        info, first = look
        self._container, self._stream, self._info = container, stream, info
        self._normalise = Normaliser(first, takes)
        self._first = first
        even = replace(info.geometry, width=self._normalise.width, height=self._normalise.height)
        self._mark = Marker(make_luma(replace(info, geometry=even)) if make_luma else None)
        self._stamp = Stamper(stamps, even, display_matrix(first))
        self._progress = progress
        self._told = 0.0
        self._times = _Times(info, self._origin())
        self._frames = 0

    def _origin(self) -> Fraction:
        """Seconds to take off every time: zero, unless the container's clock starts anywhere."""
        if self._info.container not in _FREE_CLOCKS:
            return Fraction(0)
        streams = [self._stream, *self._container.streams.audio]
        starts = [s.start_time * s.time_base for s in streams if s.start_time is not None and s.time_base]
        return min(starts, default=Fraction(0))

    def run(self, part: Path, settings: EncodeSettings, metadata: dict[str, str]) -> TranscodeReport:
        kept = {k: v for k, v in self._info.metadata.items() if k not in _CONTAINER_TAGS}
        with Encoder(part, self._look(), settings, kept | metadata) as encoder:
            sound = [s for s in self._container.streams.audio if s.codec_context is not None]
            tracks = {s.index: encoder.copy_of(s) for s in sound}
            encoder.set_chapters(self._container.chapters())
            encoder.begin(tuple(s.codec_context.name for s in sound))

            def sink(item: _Item) -> None:
                if isinstance(item, Packet):
                    encoder.copy(self._times.moved(item), tracks[item.stream_index])
                    return
                duration = item.duration or self._times.step
                encoder.encode(item, duration)
                self._frames += 1
                self._tell(item.pts or 0)

            run_stages(self._items(list(tracks)), self._work, sink)
            if not self._frames:
                raise NotAVideoError("no picture of the file can be decoded; it is damaged")
            encoder.finish(self._times.finish(self._stream))
        if self._progress is not None:
            self._progress("mark", 1.0)
        return TranscodeReport(
            frames=self._frames,
            duration=float(self._times.end * self._info.time_base),
            luma_psnr=self._mark.psnr,
            audio=tuple(s.codec_context.name for s in sound),
            dropped=_dropped(self._container, {self._stream.index, *tracks}),
            retimed=self._times.retimed,
        )

    def _look(self) -> Look:
        n, first = self._normalise, self._first
        colours = n.colours(first)
        return Look(
            n.width,
            n.height,
            n.pixel_format,
            rate=self._info.fps,
            time_base=self._info.time_base,
            primaries=colours[0],
            transfer=colours[1],
            colorspace=colours[2],
            color_range=colours[3],
            sar=self._stream.sample_aspect_ratio,
            matrix=display_matrix(first),
            clock=self._clock(),
        )

    def _clock(self) -> int:
        """A movie clock in which every track's start is a whole number, so that offsets stay exact."""
        bases = [s.time_base for s in self._container.streams.audio if s.time_base]
        clock = math.lcm(1000, self._info.time_base.denominator, *(base.denominator for base in bases))
        return clock if clock <= _MAX_CLOCK else 90_000

    def _items(self, wanted: list[int]) -> Generator[_Item, None, None]:
        others = [s for s in self._container.streams if s.index in wanted]
        for item in decode_beside(self._container, self._stream, others):
            if isinstance(item, av.VideoFrame):
                item.pts = self._times.stamp(item)
            yield item

    def _work(self, item: _Item) -> _Item:
        if isinstance(item, Packet):
            return item
        frame = self._normalise(item)
        seconds = float(self._times.since_start(frame.pts or 0))
        return self._mark(self._stamp(frame, seconds))

    def _tell(self, pts: int) -> None:
        if self._progress is None or self._info.duration <= 0:
            return
        share = min(1.0, float(pts * self._info.time_base) / self._info.duration)
        if share >= self._told + 0.01:
            self._told = share
            self._progress("mark", share)


class _Times:
    """Frame times in ticks of the source, strictly rising; and times of packets, moved by the same amount."""

    def __init__(self, info: VideoInfo, origin: Fraction) -> None:
        self._base, self._origin = info.time_base, origin
        self.step = max(1, round(1 / (info.fps * info.time_base)))
        self._last: int | None = None
        self._first = 0
        self._duration = self.step
        self.retimed = 0

    @property
    def end(self) -> int:
        """Ticks from the first frame's start to the last one's end."""
        return 0 if self._last is None else self._last + self._duration - self._first

    def since_start(self, stamp: int) -> Fraction:
        """Seconds from the first frame to a stamped time."""
        return (stamp - self._first) * self._base

    def finish(self, stream: VideoStream) -> int:
        """The tick at which the track ends: where the source says, if that is after the last frame began."""
        last = self._last or 0
        if stream.duration:
            end = (stream.start_time or 0) + stream.duration - round(self._origin / self._base)
            if 0 < (end - last) * self._base <= _MAX_HOLD:
                self._duration = end - last
        return last + self._duration

    def stamp(self, frame: av.VideoFrame) -> int:
        found = frame.pts if frame.pts is not None else frame.dts
        moved = None if found is None else found - round(self._origin / self._base)
        if moved is None or (self._last is not None and moved <= self._last):
            moved = 0 if self._last is None else self._last + self.step
            self.retimed += 1
        if self._last is None:
            self._first = moved
        self._last, self._duration = moved, frame.duration or self.step
        return moved

    def moved(self, packet: "Packet[Any]") -> "Packet[Any]":
        shift = round(self._origin / packet.time_base) if self._origin else 0
        if shift:
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
        return packet


def _dropped(container: InputContainer, kept: set[int]) -> tuple[str, ...]:
    rest = (s for s in container.streams if s.index not in kept)
    return tuple(f"{s.type} ({s.codec_context.name if s.codec_context else 'data'})" for s in rest)
