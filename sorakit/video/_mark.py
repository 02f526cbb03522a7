"""Apply a luma filter to codec frames and measure how much it changed.

In: frames with a luma plane. Out: the same frames, their luma filtered; the PSNR over all of them.
"""

import math

import av
import cv2

from sorakit.errors import UsageError
from sorakit.types import LumaFilter
from sorakit.video.convert import luma_plane

__all__ = ["Marker"]


class Marker:
    """Call with each frame in display order; `psnr` is then the luma PSNR, dB, before any encoding."""

    def __init__(self, luma: LumaFilter | None) -> None:
        self._filter = luma
        self._squares = 0.0
        self._samples = 0
        self._peak = 255

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Filter one frame in place."""
        if self._filter is None:
            return frame
        # First of all its own memory: a filter may keep the view, and the decoder predicts from the original.
        frame.make_writable()
        plane = luma_plane(frame)
        given = plane.view()
        given.flags.writeable = False
        marked = self._filter(given)
        if marked.shape != plane.shape or marked.dtype != plane.dtype:
            raise UsageError(
                f"a luma filter must keep shape and dtype {plane.shape} {plane.dtype}, "
                f"got {marked.shape} {marked.dtype}"
            )
        self._peak = 255 if plane.itemsize == 1 else (1 << frame.format.components[0].bits) - 1
        self._squares += float(cv2.norm(plane, marked, cv2.NORM_L2SQR))
        self._samples += plane.size
        plane[...] = marked
        return frame

    @property
    def psnr(self) -> float | None:
        """dB; infinite if nothing changed, None without a filter."""
        if self._filter is None or not self._samples:
            return None
        if self._squares == 0:
            return math.inf
        return 10 * math.log10(self._peak**2 * self._samples / self._squares)
