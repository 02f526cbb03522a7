"""One video file being written: a video track, copied sound tracks, tags; nothing is left after a failure.

In: frames that already have the encoder's format, and packets of sound. Out: an MP4 or MOV file with its
index in front, or a Matroska or WebM file, put in place only when it is whole. Matroska counts time in
milliseconds, so there frame times are rounded to them. Standards: ISO/IEC 14496-12, RFC 9559.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from sorakit.errors import InputError, OutputError, SorakitError, UnsupportedError
from sorakit.video.codecs import EncodeSettings, container_of, encoder_of

__all__ = ["EncodeSettings", "Encoder", "Look", "container_of", "new_file", "taken_formats"]

MAX_THREADS = 16

_OWN_TAGS = {"title", "artist", "album", "album_artist", "comment", "composer", "copyright", "date", "genre"}
"""Tags that the muxers have boxes for; any other needs `use_metadata_tags`, else it is silently lost."""


@dataclass(frozen=True, slots=True)
class Look:
    """The track to write. Colours are H.273 code points (2: unspecified); `matrix` is the display matrix.

    `clock`: ticks a second of the movie header, in which a track's late start is written.
    """

    width: int
    height: int
    pixel_format: str
    rate: Fraction
    time_base: Fraction
    primaries: int = 1
    transfer: int = 1
    colorspace: int = 1
    color_range: int = 1
    sar: Fraction | None = None
    matrix: tuple[int, ...] | None = None
    clock: int = 1000


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well, and goes when not."""
    part = path.with_name(f".{path.stem[:100]}.{secrets.token_hex(4)}{path.suffix}")
    try:
        part.touch(exist_ok=False)  # here, so that a folder that cannot be written to fails before the work
        yield part
        part.replace(path)
    except (OSError, av.FFmpegError) as error:
        if isinstance(error, SorakitError | MemoryError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot write {path}: {reason}; check free space and permissions") from error
    finally:
        part.unlink(missing_ok=True)


def taken_formats(path: Path, settings: EncodeSettings) -> frozenset[str]:
    """Pixel formats that the encoder of such a file takes in this build; `UsageError` as `encoder_of`."""
    codec = av.Codec(encoder_of(path, settings)[0], "w")
    return frozenset(f.name for f in codec.video_formats or ())


class Encoder:
    """A file under construction; use as a context manager, then `finish()` inside the block."""

    def __init__(self, path: Path, look: Look, settings: EncodeSettings, metadata: dict[str, str]) -> None:
        kind, (encoder, options) = container_of(path), encoder_of(path, settings)
        more = {}
        if kind in ("mp4", "mov"):
            flags = "+faststart" + ("+use_metadata_tags" if set(metadata) - _OWN_TAGS else "")
            more = {"movflags": flags, "movie_timescale": str(look.clock)}
        self._container: OutputContainer = av.open(
            f"file:{path}",
            "w",
            format=kind,
            container_options=more,
        )
        self._container.metadata.update(metadata)
        self._durations: dict[int, int] = {}
        self._newest: int | None = None
        self._held: Packet[Any] | None = None
        self._delay = 0
        self._video = cast(VideoStream, self._container.add_stream(encoder, rate=look.rate))
        context = self._video.codec_context
        context.width, context.height, context.pix_fmt = look.width, look.height, look.pixel_format
        context.time_base = look.time_base
        context.color_primaries, context.color_trc = look.primaries, look.transfer
        context.colorspace, context.color_range = look.colorspace, look.color_range
        context.gop_size = max(1, min(600, round(settings.key_seconds * look.rate)))
        context.thread_count = min(MAX_THREADS, 2 * (os.cpu_count() or 1))
        context.options = options
        if encoder == "libx265" and kind != "matroska":
            context.codec_tag = "hvc1"  # else QuickTime does not play it
        if look.sar is not None:
            context.sample_aspect_ratio = look.sar
        if look.matrix is not None:
            self._video.set_display_matrix(look.matrix)
        self._time_base = look.time_base

    def __enter__(self) -> "Encoder":
        """Nothing to do: the file is opened by the constructor."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close without finishing; whoever named the file removes it."""
        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.close()

    def copy_of(self, template: AudioStream) -> Any:
        """A track that takes the packets of `template` unchanged. `UnsupportedError` if the file cannot."""
        try:
            stream = self._container.add_stream_from_template(template)
        except (av.FFmpegError, ValueError) as error:
            raise UnsupportedError(
                f"sound codec {template.codec_context.name} cannot be kept in {self._container.format.name}; "
                f"{self._advice()}"
            ) from error
        stream.metadata.update({k: v for k, v in template.metadata.items() if k in ("language", "title")})
        return stream

    def _advice(self) -> str:
        if self._container.format.name == "webm":
            return "write a .mkv, or convert the sound to Opus first"
        if self._container.format.name == "mov":
            return "write a .mp4 or .mkv, or convert the sound to AAC first"
        return "write a .mov or .mkv, or convert the sound to AAC first"

    def set_chapters(self, chapters: list[Any]) -> None:
        """Chapters, as `InputContainer.chapters()` gives them."""
        self._container.set_chapters(chapters)

    def begin(self, sound: tuple[str, ...] = ()) -> None:
        """Write the header, so that a `sound` codec that cannot be held shows before any work is done."""
        try:
            self._container.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            if not sound or isinstance(error, OSError):
                raise
            raise UnsupportedError(
                f"sound ({', '.join(sound)}) cannot be kept in {self._container.format.name}; "
                f"{self._advice()}"
            ) from error

    def encode(self, frame: av.VideoFrame, duration: int) -> None:
        """Encode one frame; `frame.pts` and `duration` in the look's time base.

        `duration` counts if no frame follows: MP4 tells how far apart frames are stored, not how long they
        stand.
        """
        frame.time_base = self._time_base
        frame.pict_type = 0  # else the source's key frames are forced on the encoder
        if frame.pts is not None:
            if self._newest is not None:
                self._durations[self._newest] = frame.pts - self._newest
            self._newest, self._durations[frame.pts] = frame.pts, duration
        self._mux(self._video.encode(frame))

    def copy(self, packet: "Packet[Any]", stream: Any) -> None:
        """Add one packet of sound to a track made by `copy_of`; `InputError` if it is damaged."""
        packet.stream = stream
        try:
            self._container.mux(packet)
        except (av.InvalidDataError, av.ArgumentError) as error:
            reason = error.strerror or type(error).__name__
            raise InputError(
                f"a packet of sound is damaged ({reason}); re-encode the sound, or remove the track, first"
            ) from error

    def finish(self, end: int) -> None:
        """Encode what is left, make the track end at `end` (time base ticks), write the index, close."""
        if self._newest is not None:
            self._durations[self._newest] = max(1, end - self._newest)
        self._mux(self._video.encode(None))
        if self._held is not None:
            self._time(self._held)
            self._close_track(self._held, end)
            self._container.mux(self._held)
        self._container.close()

    def _mux(self, packets: "list[Packet[Any]]") -> None:
        """Pass packets on, all but the newest: the last one's duration is known only at the end."""
        for packet in packets:
            if self._held is not None:
                self._time(self._held)
                self._container.mux(self._held)
            elif packet.pts is not None and packet.dts is not None:
                self._delay = packet.pts - packet.dts
            self._held = packet

    def _time(self, packet: "Packet[Any]") -> None:
        """Say how long its frame stands: x264 does not, and a variable-rate clip would end too early."""
        if packet.pts is not None:
            packet.duration = self._durations.pop(packet.pts, 0)

    def _close_track(self, packet: "Packet[Any]", end: int) -> None:
        """Players take the sum of decoding times for the track's length, so the last of them has to fit."""
        if packet.dts is not None and end - self._delay > packet.dts:
            packet.duration = end - self._delay - packet.dts
