"""Cut the sides off decoded frames before anything is computed from them.

In: frames as decoded. Out: views of their middle, by FFmpeg's crop filter: nothing is copied, and matrix,
range and the place of chroma samples, which PyAV cannot name, stay those of the frame.
"""

from fractions import Fraction

import av
import av.filter

__all__ = ["Middle"]

_BESIDE = 16
"""Pixels kept beside the square: those in it are interpolated from them."""
_STEP = 16
"""What is cut is a multiple of this, which keeps chroma samples and rows where SIMD code likes them."""
_NEAR = 0.1
"""How far a sample at the square's border may move, in pixels of the shrunk picture."""
_HD = 578
"""Rows that are left of at least as many: a frame that names no matrix gets it by its height."""
_TICK = Fraction(1, 90_000)
_FORMATS = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le"})

_Size = tuple[int, int]


class Middle:
    """Cuts the frames of one stream to a little more than their centre square."""

    def __init__(self) -> None:
        self._kind: tuple[_Size, _Size, str] | None = None
        self._graph: av.filter.Graph | None = None
        self._size: _Size = (0, 0)

    def of(self, frame: av.VideoFrame, size: _Size) -> tuple[av.VideoFrame, _Size]:
        """The middle, and the size to convert it to, of a frame that as a whole would be converted to `size`.

        Where `size` is the frame's own, the centre square has the pixels it has in the whole frame. At a
        smaller one swscale's filters lie up to a tenth of a pixel elsewhere at its border. A frame whose
        middle saves nothing, or has no such place, is answered itself.
        """
        kind = ((frame.width, frame.height), size, frame.format.name)
        if kind != self._kind:
            self._kind = kind
            self._graph, self._size = _plan(*kind)
        if self._graph is None:
            return frame, size
        self._graph.vpush(frame)
        return self._graph.vpull(), self._size


def _plan(whole: _Size, size: _Size, pixel_format: str) -> tuple[av.filter.Graph | None, _Size]:
    """The filter, or none, and the size of what it leaves."""
    if whole[0] % 2 or whole[1] % 2 or pixel_format not in _FORMATS:
        return None, size
    longer = int(whole[1] > whole[0])  # 0: the width
    least = _HD if longer and whole[1] >= _HD else 0
    cut, less = _cuts(whole[longer], size[longer], min(size), least)
    if cut == 0:
        return None, size
    x, y = (0, cut) if longer else (cut, 0)
    width, height = whole[0] - 2 * x, whole[1] - 2 * y
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(
            width=whole[0], height=whole[1], format=av.VideoFormat(pixel_format), time_base=_TICK
        ),
        graph.add("crop", f"{width}:{height}:{x}:{y}:exact=1"),
        graph.add("buffersink"),
    ).configure()
    return graph, (size[0], size[1] - 2 * less) if longer else (size[0] - 2 * less, size[1])


def _cuts(length: int, shrunk: int, side: int, least: int = 0) -> tuple[int, int]:
    """Pixels to cut off both ends of `length`, and how many fewer of `shrunk` that leaves at each.

    The most that leaves the ratio of both lengths as it was, to `_NEAR` over a square of `side`, and `least`
    pixels; 0, 0 where there is none.

    >>> _cuts(256, 256, 144), _cuts(1280, 853, 480), _cuts(640, 640, 640)
    ((32, 32), (240, 160), (0, 0))
    """
    ratio = length / shrunk
    most = int((length - max(least, (side + 2 * _BESIDE) * ratio)) / 2)
    for cut in range(most // _STEP * _STEP, 0, -_STEP):
        less = round(cut / ratio)
        moved = abs((length - 2 * cut) / (shrunk - 2 * less) / ratio - 1) * side / 2
        if moved <= _NEAR:
            return cut, less
    return 0, 0
