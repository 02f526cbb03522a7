"""A clip as a strip of frames along time: which were given, and how far each seam jumps.

In: frames, the places that were given, the first frame after each seam. Out: a `View`. Between two frames a
bar is as tall as the step from one to the other (mean absolute difference, grey levels), so that a seam is
seen against the steps around it; beside it stands the ratio of `sorakit.continuity.seam_ratios`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sorakit.continuity import seam_ratios
from sorakit.errors import UsageError
from sorakit.nb.card import environment
from sorakit.nb.pixels import png_uri
from sorakit.nb.view import View
from sorakit.types import Clip, Rgb

__all__ = ["seam_strip"]

MOST = 64
"""Frames that a strip shows."""

_TALL = 28  # px of the tallest bar


@dataclass(frozen=True, slots=True)
class _Cell:
    """One frame and the step that leads to it; `ratio`: "1.43×" at a seam, else empty."""

    uri: str
    place: int
    given: bool
    bar: int
    step: float
    ratio: str


def seam_strip(
    clip: Clip | Rgb,
    given: Iterable[int] = (),
    seams: Sequence[int] = (),
    *,
    height: int = 56,
    caption: str | None = None,
    reach: int = 4,
) -> View:
    """Up to 64 frames along time; `given`: places that the model was shown, negative ones from the end.

    `seams`: first frames after each seam; `reach`: as in `seam_ratios`. Raises `UsageError` for more frames,
    places outside the clip, and the errors of `seam_ratios`.

    >>> seam_strip(np.zeros((8, 16, 16, 3), np.uint8), given=range(4), seams=[4])
    8 frames, given: 0–3; seam before frame 4: 1.00 times the steps around it
    """
    frames = clip.frames if isinstance(clip, Clip) else clip
    if not 2 <= len(frames) <= MOST:
        raise UsageError(f"a strip shows 2 to {MOST} frames, got {len(frames)}; cut the clip: frames[:64]")
    if not 16 <= height <= 256:
        raise UsageError(f"`height` must be 16 to 256 px, got {height}")
    places = {_place(p, len(frames)) for p in given}
    ratios = dict(zip(seams, seam_ratios(frames, seams, reach), strict=True)) if len(seams) else {}
    moved = frames.astype(np.int16)
    steps = [0.0, *np.abs(moved[1:] - moved[:-1]).mean((1, 2, 3)).tolist()]
    tallest = max(*steps, 1e-6)
    cells = [
        _Cell(
            png_uri(frame), i, i in places, round(_TALL * steps[i] / tallest), round(steps[i], 1),
            f"{ratios[i]:.2f}×" if i in ratios else "",
        )
        for i, frame in enumerate(frames)
    ]  # fmt: skip
    text = _words(len(frames), sorted(places), ratios)
    width = max(1, round(height * frames.shape[2] / frames.shape[1]))
    template = environment().get_template("timeline.html.j2")
    html = template.render(
        cells=cells, text=text, caption=caption, height=height, width=width, tall=_TALL, seams=bool(ratios)
    )
    return View(html, text if caption is None else f"{caption}: {text}")


def _place(place: int, count: int) -> int:
    if not -count <= place < count:
        raise UsageError(f"`given` must lie in the clip's {count} frames, got {place}")
    return int(place) % count


def _words(count: int, given: list[int], ratios: dict[int, float]) -> str:
    parts = [f"{count} frames, given: {_runs(given)}"]
    parts += [f"seam before frame {s}: {r:.2f} times the steps around it" for s, r in ratios.items()]
    return "; ".join(parts)


def _runs(places: list[int]) -> str:
    """`0–3, 15` for 0, 1, 2, 3, 15."""
    runs: list[list[int]] = []
    for p in places:
        if runs and runs[-1][-1] == p - 1:
            runs[-1].append(p)
        else:
            runs.append([p])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in runs) or "none"
