"""Decode every n-th frame, and of the others only those that a wanted frame is predicted from.

In: an open container at its start. Out: the same frames, to the last bit, as decoding all of them and keeping
every n-th. In H.264 and H.265 (ITU-T H.264 7.4.1, H.265 7.4.2.2) a picture says whether others refer to it;
one that is neither wanted nor referred to is passed over, and nothing behind the last wanted one is decoded.
"""

import bisect
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from sorakit.errors import NotAVideoError
from sorakit.video._open import AHEAD, MAX_BROKEN, decode

__all__ = ["decode_every"]

_CODECS = frozenset({"h264", "hevc"})
_CONTAINERS = frozenset({"mov", "matroska"})
"""Where a packet is a picture, and names when it is shown."""


def decode_every(
    container: InputContainer, stream: VideoStream, stride: int, count: int
) -> Iterator[av.VideoFrame]:
    """Frames 0, `stride`, 2 `stride`, … in display order, `count` at most; errors as those of `_open.decode`.

    A frame whose packet is broken is left out, where the others are known by their times.
    """
    known = stream.codec_context.name in _CODECS and container.format.name.split(",")[0] in _CONTAINERS
    if not known:
        yield from islice(decode(container, stream), 0, (count - 1) * stride + 1, stride)
        return
    window = _Window(stride, (count - 1) * stride)
    left, broken = window.last + 1, 0
    for packet in _ahead(container, stream, window):
        number = -1 if packet.is_discard else window.number(packet.pts)
        skips = window.ordered and (number % stride > 0 or not 0 <= number <= window.last)
        stream.codec_context.skip_frame = "NONREF" if skips else "DEFAULT"
        try:
            yield from window.wanted(packet.decode())
            broken = 0
        except av.FFmpegError as error:
            if isinstance(error, MemoryError):
                raise
            broken += 1
            if broken > MAX_BROKEN:
                raise NotAVideoError(f"{broken} broken packets in a row; the file is damaged") from error
            continue
        left -= 0 <= number <= window.last
        if left == 0 and window.ordered:
            break
        if window.met > window.last:
            return
    yield from window.wanted(stream.codec_context.decode(None))


class _Window:
    """Frames 0, `stride`, … `last`. `ordered`: whether the packets' times tell the order of display.

    Some files name the time of storing instead, which never goes back: there frames count as they come.
    """

    def __init__(self, stride: int, last: int) -> None:
        self.stride, self.last = stride, last
        self.ordered, self.met = False, 0
        self._shown: list[int] = []

    def add(self, pts: int) -> bool:
        """Note a packet's time; whether it goes back behind another's."""
        back = bool(self._shown) and pts < self._shown[-1]
        bisect.insort(self._shown, pts)
        return back

    def number(self, pts: int) -> int:
        """The display number of the frame shown at `pts`."""
        return bisect.bisect_left(self._shown, pts)

    def wanted(self, frames: Any) -> Iterator[av.VideoFrame]:
        """Those of `frames` that lie on the stride."""
        for frame in frames:
            number = self.number(frame.pts) if self.ordered and frame.pts is not None else self.met
            self.met += 1
            if number <= self.last and number % self.stride == 0:
                yield frame


def _ahead(container: InputContainer, stream: VideoStream, window: _Window) -> Iterator[Any]:
    """The stream's packets, each once all that are shown before it have been read and noted."""
    held: deque[Any] = deque()
    back = began = False
    try:
        for packet in container.demux(stream):
            if packet.pts is None:
                continue
            if not packet.is_discard:
                back = window.add(packet.pts) or back
            held.append(packet)
            if len(held) > AHEAD:
                if not began:
                    began, window.ordered = True, back
                yield held.popleft()
    except (av.InvalidDataError, av.EOFError):
        pass  # the file breaks off here
    if not began:
        window.ordered = back
    yield from held
