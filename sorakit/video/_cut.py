"""Cut the sides off decoded frames before anything is computed from them.

In: frames as decoded. Out: views of their middle columns, by FFmpeg's crop filter: nothing is copied, and
matrix, range and the place of chroma samples, which PyAV cannot name, stay those of the frame.
"""

from fractions import Fraction

import av
import av.filter

__all__ = ["Middle"]

_BESIDE = 16
"""Columns kept beside the square: chroma there is interpolated from them."""
_STEP = 32
"""What is cut is a multiple of this, which keeps chroma samples and rows where SIMD code likes them."""
_TICK = Fraction(1, 90_000)
_FORMATS = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le"})


class Middle:
    """Cuts wide frames of one stream to a little more than their centre square."""

    def __init__(self) -> None:
        self._kind: tuple[int, int, str] | None = None
        self._graph: av.filter.Graph | None = None

    def of(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame's middle; the frame itself where that saves nothing.

        Converted at its own size, it has the pixels of the whole frame wherever the centre square lies. At
        another size it has not: swscale's filters lie elsewhere then.
        """
        kind = (frame.width, frame.height, frame.format.name)
        if kind != self._kind:
            self._kind, self._graph = kind, _graph(*kind)
        if self._graph is None:
            return frame
        self._graph.vpush(frame)
        return self._graph.vpull()


def _graph(width: int, height: int, pixel_format: str) -> av.filter.Graph | None:
    cut = ((width - height) // 2 - _BESIDE) // _STEP * _STEP
    if cut <= 0 or width % 2 or pixel_format not in _FORMATS:
        return None
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(width=width, height=height, format=av.VideoFormat(pixel_format), time_base=_TICK),
        graph.add("crop", f"{width - 2 * cut}:{height}:{cut}:0:exact=1"),
        graph.add("buffersink"),
    ).configure()
    return graph
