"""Open foreign files the careful way: the container by its magic, no network, no other files.

In: a path. Out: PyAV's container and the main picture stream, closed on leaving the block.
"""

import contextlib
import heapq
import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from sorakit.errors import InputError, LimitError, NotAVideoError, UnsupportedError
from sorakit.video.guard import sniff

__all__ = ["AHEAD", "MAX_BROKEN", "MAX_PIXELS", "decode", "decode_beside", "open_video"]

MAX_PIXELS = 4096 * 4096
MAX_BROKEN = 256
_MAX_THREADS = 4
_MAX_STREAMS = 64
_REORDERING = frozenset({"h264", "hevc"})
"""Codecs of whose pictures AVI tells when they are stored, not when they are shown."""
AHEAD = 16
"""Pictures that may be stored before one that is shown earlier, at most (H.264 and H.265 alike)."""


@contextlib.contextmanager
def open_video(
    path: str | Path, *, threads: int = 0, max_pixels: int = MAX_PIXELS
) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video or image file and choose its main picture stream.

    `threads`: decoder threads, 0 for one a core (4 at most). Raises `InputError` (missing, unreadable),
    `NotAVideoError`, `UnsupportedError` (unknown codec), `LimitError` (frames over `max_pixels`).
    """
    path = Path(path)
    with _open(path) as container:
        stream = _main_stream(container, path.name)
        pixels = stream.codec_context.width * stream.codec_context.height
        if pixels > max_pixels:
            raise LimitError(
                f"{path.name} has frames of {pixels} pixels, the limit is {max_pixels}; shrink it"
            )
        if threads == 1:
            stream.codec_context.thread_count = 1
        else:
            stream.codec_context.thread_type = "AUTO"
            stream.codec_context.thread_count = threads or min(_MAX_THREADS, os.cpu_count() or 1)
        yield container, stream


def _open(path: Path) -> InputContainer:
    try:
        with path.open("rb") as file:
            name = sniff(file.read(4096))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check path and permissions") from error
    if name is None:
        raise NotAVideoError(f"{path.name} is not a video or image that the kit reads")
    if name == "webp":
        raise UnsupportedError(f"{path.name} is an animated WebP, which FFmpeg cannot decode; save it as MP4")
    try:
        # A named container and one protocol: a playlist or an FFmpeg script in disguise opens nothing.
        return av.open(
            f"file:{path}",
            mode="r",
            format=name,
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except MemoryError as error:  # FFmpeg says so too of a table whose declared length is absurd
        raise LimitError(
            f"{path.name} asks for more memory than there is; it is damaged, or needs a higher "
            "SORAKIT_LIMITS__MEMORY_BYTES"
        ) from error
    except (av.FFmpegError, ValueError) as error:
        raise NotAVideoError(
            f"{path.name} cannot be read as a video ({_reason(error)}); it is damaged"
        ) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__


def _main_stream(container: InputContainer, name: str) -> VideoStream:
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        what = "sound but no pictures" if container.streams.audio else "no pictures"
        raise NotAVideoError(f"{name} has {what}; give a video file")
    readable = [s for s in streams if s.codec_context is not None]
    if not readable:
        raise UnsupportedError(f"{name} uses a video codec that the kit cannot decode; convert it to H.264")
    return max(readable, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height))


def decode(
    container: InputContainer, stream: VideoStream, *, packets: int | None = None
) -> Iterator[av.VideoFrame]:
    """Frames from the container's current position on, in display order; broken packets are passed over.

    With `packets` all frames of so many, also those that the decoder holds back for reordering; seek before
    you go on. Stops quietly where the file breaks off. Raises `NotAVideoError` after 256 broken packets in a
    row.
    """
    for item in decode_beside(container, stream, (), packets=packets):
        if isinstance(item, av.VideoFrame):
            yield item
    if packets is not None:
        with contextlib.suppress(av.FFmpegError):  # nothing is left at the end of the file
            yield from stream.codec_context.decode(None)


def decode_beside(
    container: InputContainer, stream: VideoStream, others: Sequence[Stream], *, packets: int | None = None
) -> "Iterator[av.VideoFrame | Packet[Stream]]":
    """As `decode`, and between the frames the undecoded packets of other streams, as they lie in the file.

    `packets`: after how many of `stream` to stop.
    """
    items = _decode_beside(container, stream, others, packets)
    stored = container.format.name == "avi" and stream.codec_context.name in _REORDERING
    yield from _in_order(items) if stored else items


def _in_order(
    items: "Iterator[av.VideoFrame | Packet[Stream]]",
) -> "Iterator[av.VideoFrame | Packet[Stream]]":
    """Times in the order of display, for files that name the time of storing: the n-th shown has the n-th.

    It is that of itself or of one of the next few.
    """
    held: deque[av.VideoFrame] = deque()
    times: list[int] = []
    for item in items:
        if not isinstance(item, av.VideoFrame):
            yield item
            continue
        while held and (item.pts is None or len(held) > AHEAD):
            yield _timed(held.popleft(), heapq.heappop(times))
        if item.pts is None:
            yield item
            continue
        held.append(item)
        heapq.heappush(times, item.pts)
    while held:
        yield _timed(held.popleft(), heapq.heappop(times))


def _timed(frame: av.VideoFrame, time: int) -> av.VideoFrame:
    frame.pts = time
    return frame


def _decode_beside(
    container: InputContainer, stream: VideoStream, others: Sequence[Stream], packets: int | None
) -> "Iterator[av.VideoFrame | Packet[Stream]]":
    broken = surprises = taken = 0
    demuxed = container.demux(stream, *others)
    while taken != packets:
        try:
            packet = next(demuxed, None)
        except IndexError:  # a stream that the header did not announce: PyAV knows it only when asked again
            surprises += 1
            if surprises > _MAX_STREAMS:
                return
            demuxed = container.demux(stream, *others)
            continue
        except (av.InvalidDataError, av.EOFError):
            return
        if packet is None:
            return
        if packet.stream_index != stream.index:
            if packet.size > 0 or packet.dts is not None:  # else the mark of the stream's end
                yield packet
            continue
        taken += 1
        try:
            frames = packet.decode()
        except MemoryError:
            raise
        except av.FFmpegError as error:
            broken += 1
            if broken > MAX_BROKEN:
                raise NotAVideoError(f"{broken} broken packets in a row; the file is damaged") from error
            continue
        broken = 0 if frames else broken
        yield from cast("list[av.VideoFrame]", frames)
