"""Make decoded frames fit for the encoder: pixel format, even sides, alpha; colours as they were.

In: any decoded frame. Out: yuv420p, yuvj420p or yuv420p10le frames with even sides. YUV stays YUV, so that
nothing shifts; only RGB and alpha pass through a matrix (BT.709, ITU-R BT.709-6).
"""

from collections.abc import Collection, Iterable
from typing import cast

import av
import av.video.reformatter as sws
import numpy as np
from av.sidedata.sidedata import SideData

from sorakit.errors import UnsupportedError
from sorakit.video.convert import frame_to_rgba, has_luma_plane, rgb_to_frame

__all__ = ["Normaliser", "display_matrix"]

_BT709 = (1, 1, 1, 1)
_HOW = sws.Interpolation.BICUBIC | sws.Interpolation.ACCURATE_RND | sws.Interpolation.FULL_CHR_H_INT


class Normaliser:
    """Call with each frame of one stream. What it makes: `width`, `height`, `pixel_format`.

    `takes`: pixel formats of the encoder. Raises `UnsupportedError` where it has none for so many bits.
    """

    def __init__(self, first: av.VideoFrame, takes: Collection[str]) -> None:
        self._size = (first.width, first.height)
        self._source = first.format.name
        self.width, self.height = first.width + first.width % 2, first.height + first.height % 2
        self._alpha = any(c.is_alpha for c in first.format.components)
        self._rgb = self._alpha or not has_luma_plane(self._source)
        deep = max(c.bits for c in first.format.components) > 8
        if deep and self._rgb:
            raise UnsupportedError(
                f"pixel format {self._source} (RGB or alpha above 8 bits) is not handled; "
                "convert it to yuv420p or yuv420p10le first"
            )
        self._full = self._source.startswith("yuvj")
        # Where yuvj420p is not taken, its samples go on as yuv420p, and the tag alone tells their range.
        full = self._full and "yuvj420p" in takes
        self.pixel_format = "yuv420p10le" if deep else "yuvj420p" if full else "yuv420p"
        if self.pixel_format not in takes:
            raise UnsupportedError(
                f"pixel format {self._source} has more than 8 bits, which the encoder here cannot write; "
                "choose another codec, e.g. SORAKIT_CODEC=av1, or convert it to yuv420p first"
            )

    def colours(self, first: av.VideoFrame) -> tuple[int, int, int, int]:
        """(primaries, transfer, matrix, range) to tag the output with: the source's, or BT.709 from RGB."""
        if self._rgb:
            return _BT709
        range_ = 2 if self._full else 1 if self._source == "gray" else first.color_range
        return int(first.color_primaries), int(first.color_trc), int(first.colorspace), int(range_)

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """One frame made fit; raises `UnsupportedError` where the stream changes size, or is interlaced."""
        if (frame.width, frame.height) != self._size or frame.format.name != self._source:
            raise UnsupportedError(
                f"frames change from {self._size[0]}×{self._size[1]} {self._source} to "
                f"{frame.width}×{frame.height} {frame.format.name} part-way; re-encode to one size first"
            )
        if frame.interlaced_frame:
            raise UnsupportedError(
                "a frame is interlaced; deinterlace first, e.g. ffmpeg -i IN -vf bwdif OUT"
            )
        if self._rgb:
            return self._from_rgb(frame)
        out = frame
        if frame.format.name != self.pixel_format:
            range_ = sws.ColorRange.JPEG if self._full and self.pixel_format == "yuv420p" else None
            out = frame.reformat(
                format=self.pixel_format, interpolation=_HOW, src_color_range=range_, dst_color_range=range_
            )
        return _with_times(pad_even(out), frame)

    def _from_rgb(self, frame: av.VideoFrame) -> av.VideoFrame:
        pixels = frame_to_rgba(frame)  # (H, W, 4)
        picture = pixels[..., :3]
        if self._alpha and pixels[..., 3].min() < 255:
            alpha = pixels[..., 3:].astype(np.uint16)
            picture = ((picture * alpha + 127) // 255).astype(np.uint8)
        pad = ((0, self.height - frame.height), (0, self.width - frame.width), (0, 0))
        return _with_times(rgb_to_frame(np.pad(picture, pad, "edge")), frame)


def pad_even(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame, with its last row or column repeated where a side is odd (4:2:0 has no odd sides)."""
    width, height = frame.width + frame.width % 2, frame.height + frame.height % 2
    if (width, height) == (frame.width, frame.height):
        return frame
    out = av.VideoFrame(width, height, frame.format.name)
    dtype = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    for old, new in zip(frame.planes, out.planes, strict=True):
        size = np.dtype(dtype).itemsize
        source = np.frombuffer(memoryview(old), dtype).reshape(old.height, old.line_size // size)
        target = np.frombuffer(memoryview(new), dtype).reshape(new.height, new.line_size // size)
        pad = ((0, new.height - old.height), (0, new.width - old.width))
        target[:, : new.width] = np.pad(source[:, : old.width], pad, "edge")
    out.colorspace, out.color_range = frame.colorspace, frame.color_range
    out.color_trc, out.color_primaries = frame.color_trc, frame.color_primaries
    return out


def _with_times(out: av.VideoFrame, source: av.VideoFrame) -> av.VideoFrame:
    if out is not source:
        out.pts, out.duration = source.pts, source.duration
    return out


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """The nine integers of the display matrix, so that turn and mirroring survive; None without one."""
    try:
        for data in cast(Iterable[SideData], frame.side_data):
            if data.type.name == "DISPLAYMATRIX":
                return tuple(int(v) for v in np.frombuffer(memoryview(data), np.int32)[:9])
    except ValueError:  # a kind of side data newer than PyAV's list
        return None
    return None
