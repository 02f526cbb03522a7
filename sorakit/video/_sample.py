"""Choose frames of a video, evenly over its length, at a cost that does not grow with it.

In: a path and how many frames. Out: (seconds, decoded frame, geometry), in order of time. Short files are
decoded through; in long ones each wanted time costs a seek to the key frame before it and a few frames more.
"""

import contextlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from sorakit.errors import NotAVideoError, UsageError
from sorakit.types import FrameGeometry
from sorakit.video._open import decode, open_video
from sorakit.video.probe import VideoInfo, describe, geometry_of

__all__ = ["Sampled", "sample"]

_DECODE_ALL_PIXELS = 200e6
"""About half a second of H.264 decoding on one core; up to here decoding all is as quick as seeking, and
beyond it each further picture of a group may be the next one, since all between have to be decoded too."""

_SPARE_PIXELS = 100e6
"""What is decoded of a long file, at most, if not every picture is wanted."""

_INDEXED = frozenset({"mov", "matroska", "avi"})
_SEEKABLE = _INDEXED | {"mpegts", "flv", "asf", "mxf"}
"""These learn where key frames are only by and by."""


class Sampled(NamedTuple):
    """One decoded frame, its time in seconds from the start, and how to show it."""

    seconds: float
    frame: av.VideoFrame
    geometry: FrameGeometry


def sample(
    path: str | Path, max_frames: int | None, *, threads: int = 0, apart: Callable[[], float] = lambda: 0.0
) -> Iterator[Sampled]:
    """Yield all frames, or at most `max_frames` spread evenly.

    `apart` is asked, before each seek in a long file, how many seconds at least should lie between frames
    from there on: a caller that has seen enough saves decoding. Above 0 only key frames are taken.

    Raises `NotAVideoError` when nothing decodes, and as `open_video` does.
    """
    if max_frames is not None and max_frames < 1:
        raise UsageError(f"`max_frames` must be at least 1, got {max_frames}")
    some = False
    for item in _all(path, threads) if max_frames is None else _some(path, max_frames, threads, apart):
        some = True
        yield item
    if not some:
        raise NotAVideoError(f"{Path(path).name} has no picture that can be decoded; it is damaged or empty")


def _some(path: str | Path, wanted: int, threads: int, apart: Callable[[], float]) -> Iterator[Sampled]:
    with open_video(path, threads=1) as (container, stream):
        info = _look(container, stream, Path(path).name)
        if _worth_seeking(info, wanted):
            found = False
            for item in _seek(container, stream, info, wanted, apart):
                found = True
                yield item
            if found:
                return
    if 0 < (info.frame_count or 0) <= wanted:  # also where one stands for long
        yield from islice(_all(path, threads), wanted)
        return
    yield from _spread(_all(path, threads), info.duration, wanted)


def _look(container: InputContainer, stream: VideoStream, name: str) -> VideoInfo:
    # A decoder that may reorder gives up its first picture only with the third or at the end.
    frame = next(decode(container, stream, packets=1), None)
    if frame is None:  # it is broken, or in more than one packet
        with contextlib.suppress(av.FFmpegError):
            container.seek(stream.start_time or 0, stream=stream)
        stream.codec_context.flush_buffers()
        frame = next(decode(container, stream), None)
    if frame is None:
        raise NotAVideoError(f"{name} has no picture that can be decoded; it is damaged or empty")
    return describe(container, stream, frame)


def _worth_seeking(info: VideoInfo, wanted: int) -> bool:
    count = info.frame_count or info.duration * float(info.fps)
    pixels = info.geometry.width * info.geometry.height
    return info.container in _SEEKABLE and count > 3 * wanted and count * pixels > _DECODE_ALL_PIXELS


def _all(path: str | Path, threads: int) -> Iterator[Sampled]:
    with open_video(path, threads=threads) as (container, stream):
        clock = _Clock(stream)
        for frame in decode(container, stream):
            yield Sampled(clock.seconds(frame), frame, geometry_of(stream, frame))


class _Clock:
    """Seconds since the stream's start; counts on by the frame rate where a frame has no time."""

    def __init__(self, stream: VideoStream) -> None:
        self._base = float(stream.time_base or 1 / 90000)
        self._step = float(1 / (stream.average_rate or stream.guessed_rate or 25))
        self._start = stream.start_time
        self._next = 0.0

    def seconds(self, frame: av.VideoFrame) -> float:
        stamp = frame.pts if frame.pts is not None else frame.dts
        if stamp is None:
            seconds = self._next
        else:
            if self._start is None:
                self._start = stamp
            seconds = (stamp - self._start) * self._base
        self._next = seconds + self._step
        return seconds


def _spread(frames: Iterator[Sampled], duration: float, wanted: int) -> Iterator[Sampled]:
    """The frames on show at the middles of `wanted` equal parts, each once."""
    step, done, shown = duration / wanted, 0, next(frames, None)
    for following in frames:
        # Half a millisecond of grace: frame times are rounded to the container's time base.
        if done < wanted and following.seconds - 5e-4 > (done + 0.5) * step and shown is not None:
            yield shown
            while done < wanted and following.seconds - 5e-4 > (done + 0.5) * step:
                done += 1
        shown = following
    if shown is not None and done < wanted:
        yield shown


def _seek(
    container: InputContainer,
    stream: VideoStream,
    info: VideoInfo,
    wanted: int,
    apart: Callable[[], float],
) -> Iterator[Sampled]:
    clock, last = _Clock(stream), float("-inf")
    budget = max(wanted, _SPARE_PIXELS / (info.geometry.width * info.geometry.height)) / wanted
    try:
        if info.container in _INDEXED:  # Matroska reads its index on the first seek
            container.seek(stream.start_time or 0, stream=stream)
        for group in _groups(stream, info, wanted):
            number = len(group.times)
            if (gap := apart()) > 0:
                if group.times[0] - last < gap:
                    continue
                number = 1
            container.seek(group.stamp, stream=stream, backward=True)
            taken, packets = 0, 1 if number == 1 else round(number * budget)
            for index, frame in enumerate(
                decode(container, stream, packets=packets if group.known else None)
            ):
                seconds = clock.seconds(frame)
                if seconds > last and (not group.known or taken * (packets - 1) <= index * (number - 1)):
                    last, taken = seconds, taken + 1
                    yield Sampled(seconds, frame, info.geometry)
                if taken == number:
                    break
    except av.FFmpegError:
        return


class _Group(NamedTuple):
    """Wanted times that one key frame serves, and where to seek it; `known`: from the container's index."""

    stamp: int
    times: list[float]
    known: bool


def _groups(stream: VideoStream, info: VideoInfo, wanted: int) -> Iterator[_Group]:
    """The groups of pictures that hold the middles of `wanted` equal parts.

    Where the container keeps no index each time is a group of its own.
    """
    base, start = float(info.time_base), stream.start_time or 0
    times = [(index + 0.5) * info.duration / wanted for index in range(wanted)]
    stamps = [start + int(seconds / base) for seconds in times]
    first = 0
    while first < wanted:
        key = _key_before(stream, stamps[first]) if info.container in _INDEXED else None
        after = first + 1
        while key is not None and after < wanted and _key_before(stream, stamps[after]) == key:
            after += 1
        yield _Group(stamps[first], times[first:after], key is not None)
        first = after


def _key_before(stream: VideoStream, stamp: int) -> int | None:
    """The place in the index of the key frame before a time; None where the container keeps no index.

    The index tells when pictures are decoded; the first one's delay until it is shown is taken for all.
    """
    try:
        entries = stream.index_entries
        delay = (stream.start_time or 0) - entries[0].timestamp
        place = entries.search_timestamp(stamp - delay, backward=True)
    except (AttributeError, IndexError, TypeError, ValueError):
        return None
    return place if place >= 0 else None
