"""Line charts as PNG, drawn with OpenCV: the benchmarks need no plotting library.

In: panels of named curves, each with lighter lines for its single runs. Out: a picture `uint8 (H, W, 3)` BGR.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Panel", "draw"]

Points = Sequence[tuple[float, float]]
Picture = npt.NDArray[np.uint8]

_COLOURS = ((180, 90, 30), (40, 110, 230), (60, 150, 60), (150, 60, 150))
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK, _GRID = (40, 40, 40), (225, 225, 225)
_SIZE = (560, 420)
_LEFT, _TOP, _RIGHT, _BOTTOM = 70, 40, 20, 50


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes; `curves`: for each name its runs, whose mean is drawn thick."""

    title: str
    x: str
    curves: Mapping[str, Sequence[Points]]
    low: float | None = None


def draw(panels: Sequence[Panel]) -> Picture:
    """All `panels` side by side.

    >>> draw([Panel("loss", "TFLOP", {"a": [[(0.0, 1.0), (1.0, 0.5)]]})]).shape
    (420, 560, 3)
    """
    return np.concatenate([_panel(panel) for panel in panels], 1)


def _panel(panel: Panel) -> Picture:
    width, height = _SIZE
    image = np.full((height, width, 3), 255, np.uint8)
    every = np.array([p for runs in panel.curves.values() for run in runs for p in run] or [(0.0, 0.0)])
    (x0, low), (x1, high) = every.min(0), every.max(0)
    low = low if panel.low is None else panel.low
    x1, high = max(x1, x0 + 1e-9), max(high, low + 1e-9)

    def place(x: float, y: float) -> tuple[int, int]:
        across = (x - x0) / (x1 - x0) * (width - _LEFT - _RIGHT)
        up = (y - low) / (high - low) * (height - _TOP - _BOTTOM)
        return round(_LEFT + across), round(height - _BOTTOM - up)

    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = x0 + share * (x1 - x0), low + share * (high - low)
        cv2.line(image, place(x0, y), place(x1, y), _GRID)
        cv2.line(image, place(x, low), place(x, high), _GRID)
        _write(image, f"{y:.3g}", (8, place(x0, y)[1] + 4))
        _write(image, f"{x:.3g}", (place(x, low)[0] - 14, height - _BOTTOM + 18))
    _write(image, panel.title, (_LEFT, 24), 0.55)
    _write(image, panel.x, (width // 2 - 20, height - 12))
    for i, (name, runs) in enumerate(panel.curves.items()):
        colour = _COLOURS[i % len(_COLOURS)]
        pale = tuple((c + 2 * 255) // 3 for c in colour)
        for run in runs:
            _line(image, [place(*p) for p in run], pale, 1)
        _line(image, [place(*p) for p in _mean(runs)], colour, 2)
        _write(image, name, (width - 120, 24 + 18 * i), colour=colour)
    return image


def _mean(runs: Sequence[Points]) -> Points:
    """The mean of the runs where all of them are."""
    runs = [sorted(run) for run in runs if len(run)]
    if not runs:
        return []
    start, end = max(run[0][0] for run in runs), min(run[-1][0] for run in runs)
    xs = [x for x, _ in runs[0] if start <= x <= end]
    ys = np.mean([np.interp(xs, *zip(*run, strict=True)) for run in runs], 0)
    return list(zip(xs, ys.tolist(), strict=True))


def _line(image: Picture, points: Sequence[tuple[int, int]], colour: tuple[int, ...], thick: int) -> None:
    if points:
        cv2.polylines(image, [np.array(points, np.int32)], False, colour, thick, cv2.LINE_AA)
        cv2.circle(image, points[-1], thick + 2, colour, -1, cv2.LINE_AA)


def _write(
    image: Picture,
    text: str,
    at: tuple[int, int],
    size: float = 0.42,
    *,
    colour: tuple[int, ...] = _INK,
) -> None:
    cv2.putText(image, text, at, _FONT, size, colour, 1, cv2.LINE_AA)
