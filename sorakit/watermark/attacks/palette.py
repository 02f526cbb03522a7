"""GIF: 256 colours, dithered, few frames a second.

In: a file. Out: an animated GIF where the output ends in .gif; otherwise its pictures as H.264, as sites turn
GIFs into video. GIF's own compression loses nothing, so the pictures are the same. Palettes are made for each
picture by FFmpeg's `palettegen` and applied by `paletteuse`.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

from sorakit.types import Rgb
from sorakit.watermark.attacks.base import Attack, Job, Strength
from sorakit.watermark.attacks.scale import times
from sorakit.watermark.attacks.stream import Stream, comment, encode, even, read

__all__ = ["ATTACKS"]

MAX_RATE = 15
"""Frames a second; GIF counts hundredths of a second, and players slow down fast ones."""


def _gif(longest: int | None) -> Callable[[Job], None]:
    def run(job: Job) -> None:
        stream = _thinned(job, longest)
        painted = _painted(stream.frames, stream.rate, round(job.strength))
        if job.dst.suffix.lower() == ".gif":
            _write_gif(painted, stream.rate, job)
        else:
            frames = (np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in painted)
            encode(Stream(frames, stream.rate), job, 20)

    return run


def _thinned(job: Job, longest: int | None) -> Stream[Rgb]:
    """Every n-th picture, so that the rate falls to `MAX_RATE` or below."""
    stream = read(job.src)
    every = max(1, -(-stream.rate // MAX_RATE))

    def frames() -> Iterator[Rgb]:
        for index, rgb in enumerate(stream.frames):
            if index % every == 0:
                scale = min(1.0, longest / max(rgb.shape[:2])) if longest else 1.0
                yield even(times(rgb, scale) if scale < 1 else rgb)

    return Stream(frames(), stream.rate / every)


def _painted(pictures: Iterator[Rgb], rate: Fraction, colours: int) -> Iterator[av.VideoFrame]:
    """Each picture in its own palette, `pal8`."""
    graph: Graph | None = None
    for index, rgb in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        frame.pts, frame.time_base = index, 1 / rate
        graph = graph or _graph(frame, colours)
        graph.push(frame)
        yield from _ready(graph)
    if graph is not None:
        graph.push(None)
        yield from _ready(graph)


def _graph(frame: av.VideoFrame, colours: int) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    split, sink = graph.add("split"), graph.add("buffersink")
    gen = graph.add("palettegen", f"stats_mode=single:max_colors={colours}")
    use = graph.add("paletteuse", "new=1:dither=bayer")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(gen, 1, 0)
    gen.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph


def _ready(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        if isinstance(frame, av.VideoFrame):
            yield frame


def _write_gif(frames: Iterator[av.VideoFrame], rate: Fraction, job: Job) -> None:
    with av.open(str(job.dst), "w", format="gif") as target:
        target.metadata["comment"] = comment(job.name)
        track = None
        for index, frame in enumerate(frames):
            if track is None:
                track = target.add_stream("gif", rate=rate)
                track.width, track.height, track.pix_fmt = frame.width, frame.height, "pal8"
            frame.pts, frame.time_base = index, 1 / rate
            target.mux(track.encode(frame))
        if track is not None:
            target.mux(track.encode(None))


_COLOURS = Strength(16, 256, 256, "colours")

ATTACKS = (
    Attack("gif", "palette", "256 colours, 15 frames a second", _gif(None), _COLOURS),
    Attack("gif_small", "palette", "the same, 480 px on the long side", _gif(480), _COLOURS),
)
