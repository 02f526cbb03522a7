"""Look at videos in a notebook: a looping video, a strip of stills, clips side by side.

In: the path of a file, or a `Clip` in memory. Out: objects that a notebook shows as HTML and a terminal as
one line. A file is embedded byte for byte, its credential included. A `Clip` has not been published, so no
video is made of it: its frames are flipped through by the style sheet.
"""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from uuid import uuid4

import numpy as np

from sorakit.errors import UsageError
from sorakit.nb.card import environment
from sorakit.nb.pictures import data_uri, filmstrip, jpeg, stills
from sorakit.types import Clip
from sorakit.video.probe import probe

__all__ = ["View", "difference", "show", "side_by_side", "strip"]

MAX_EMBED = 6 << 20
"""Bytes of a video file that go into a notebook's output; above, stills are flipped through."""

_PLAYS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime", ".webm": "video/webm"}
_FLIP_FRAMES = 48


@dataclass(frozen=True, slots=True)
class View:
    """Something to look at: `html` for notebooks, `text` for terminals."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def show(source: Clip | Path | str, *, height: int = 256, caption: str | None = None) -> View:
    """A looping video, `height` px tall. Files over 6 MB, and clips, are flipped through in 48 stills.

    Raises the errors of `probe` for a file that is no video.

    >>> import numpy as np
    >>> from fractions import Fraction
    >>> show(Clip(np.zeros((8, 32, 64, 3), np.uint8), Fraction(8)), height=64)
    clip in memory, 64×32, 8 frames, 1.0 s
    """
    _bounded(height)
    text, seconds = _about(source)
    if isinstance(source, Clip) or not _embeds(Path(source)):
        return _flip_book(source, height, text, seconds, caption)
    path = Path(source)
    uri = data_uri(path.read_bytes(), _PLAYS[path.suffix.lower()])
    return _view(text, caption, kind="video", uri=uri, height=height)


def strip(source: Clip | Path | str, n: int = 6, *, height: int = 128, caption: str | None = None) -> View:
    """`n` stills, evenly spread over the video, in one picture `height` px tall."""
    _bounded(height)
    text, _ = _about(source)
    picture = filmstrip(stills(source, n, height=height), gap=4)
    return _view(f"{n} stills of {text}", caption or text, kind="strip", uri=data_uri(jpeg(picture)))


def difference(
    before: Clip | Path | str, after: Clip | Path | str, n: int = 6, *, gain: float = 10, height: int = 128
) -> View:
    """`n` stills of where two videos differ: `gain` times the change of each channel; black: no change.

    Both are brought to `height` px first, and their frames matched by place in time. Raises `UsageError` for
    videos whose pictures have another aspect ratio.

    >>> from fractions import Fraction
    >>> a = Clip(np.zeros((8, 32, 64, 3), np.uint8), Fraction(8))
    >>> difference(a, Clip(a.frames + np.uint8(2), a.fps), 4)
    4 stills of a difference, 10 times: mean 2.00 of 255, largest 2
    """
    _bounded(height)
    if not (isfinite(gain) and gain > 0):
        raise UsageError(f"`gain` must be a positive number, got {gain}")
    sides = [np.stack(stills(s, n, height=height)).astype(np.float32) for s in (before, after)]
    if sides[0].shape != sides[1].shape:
        shapes = [f"{x.shape[2]}×{x.shape[1]}, {len(x)} frames" for x in sides]
        raise UsageError(f"the videos do not lie over each other: {' and '.join(shapes)}")
    change = np.abs(sides[0] - sides[1])
    shown = list((gain * change).clip(0, 255).astype(np.uint8))
    said = f"mean {change.mean():.2f} of 255, largest {change.max():.0f}"
    text = f"{len(shown)} stills of a difference, {gain:g} times: {said}"
    return _view(text, text, kind="strip", uri=data_uri(jpeg(filmstrip(shown, gap=4))))


def side_by_side(*sources: Clip | Path | str, captions: list[str] | None = None, height: int = 224) -> View:
    """Two to six videos beside one another, to see what differs (or that nothing seems to)."""
    if not 2 <= len(sources) <= 6:
        raise UsageError(f"`side_by_side` takes 2 to 6 videos, got {len(sources)}")
    if captions is not None and len(captions) != len(sources):
        raise UsageError(f"`captions` must name each of the {len(sources)} videos, got {len(captions)}")
    names: list[str] | list[None] = captions or [None] * len(sources)
    views = [show(s, height=height, caption=name) for s, name in zip(sources, names, strict=True)]
    return View("".join(v.html for v in views), "\n".join(v.text for v in views))


def _view(text: str, caption: str | None, **parts: object) -> View:
    template = environment().get_template("view.html.j2")
    return View(template.render(text=text, caption=caption or text, **parts), text)


def _embeds(path: Path) -> bool:
    return path.suffix.lower() in _PLAYS and path.stat().st_size <= MAX_EMBED


def _bounded(height: int) -> None:
    if not 16 <= height <= 1080:
        raise UsageError(f"`height` must be 16 to 1080 px, got {height}")


def _about(source: Clip | Path | str) -> tuple[str, float]:
    """(One line about it, its seconds)."""
    if isinstance(source, Clip):
        t, h, w, _ = source.frames.shape
        return f"clip in memory, {w}×{h}, {t} frames, {source.duration:.1f} s", source.duration
    info = probe(source)
    w, h = info.geometry.display_size
    return f"{Path(source).name}, {w}×{h}, {info.duration:.1f} s, {info.codec}", info.duration


def _flip_book(
    source: Clip | Path | str, height: int, text: str, seconds: float, caption: str | None
) -> View:
    """Stills in one long picture, moved behind a window of one still; at rest where motion is unwanted."""
    frames = stills(source, _FLIP_FRAMES, height=height)
    return _view(
        text,
        caption,
        kind="flip",
        name=f"sk-{uuid4().hex[:12]}",
        uri=data_uri(jpeg(filmstrip(frames))),
        width=frames[0].shape[1],
        height=height,
        n=len(frames),
        seconds=round(max(seconds, 0.1), 2),
    )
