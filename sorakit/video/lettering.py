"""Draw short words as anti-aliased masks, with the few glyphs that labels need.

In: text and a size in pixels. Out: `uint8 (H, W)` coverage, 0 to 255. The outlines ship with the kit
(`glyphs/bold.json`, SIL Open Font License 1.1, see `glyphs/OFL.txt`), so no font has to be installed; they
are lines and cubic curves in PostScript's sense, filled by the even-odd rule.
"""

import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError

__all__ = ["CAP_HEIGHT", "Mask", "round_box", "text_mask"]

Mask = npt.NDArray[np.uint8]
"""Coverage of each pixel, `(H, W)`: 0 none, 255 all."""

CAP_HEIGHT = 0.733
"""Height of a capital letter over the em."""

_FINE = 8
"""Drawn this much larger, then averaged down: that is the anti-aliasing."""

_SUBPIXEL = 4
_CURVE_STEPS = 12
_FILE = Path(__file__).parent / "glyphs" / "bold.json"


def text_mask(text: str, em: float, *, tracking: float = 0.0) -> Mask:
    """`text` at `em` pixels an em, cut to its ink; `tracking`: extra space between letters, in ems.

    Raises `UsageError` for a character whose outline does not ship.

    >>> text_mask("AI", 20).shape
    (15, 19)
    """
    shapes, pen = [], 0.0
    for char in text:
        advance, contours = _glyph(char)
        shapes += [contour + np.array([pen, 0.0]) for contour in contours]
        pen += advance + tracking
    if not shapes or not 1 <= em <= 4096:
        raise UsageError(f"`text` must have ink and `em` be 1 to 4096, got {text!r} at {em}")
    low = np.min([s.min(0) for s in shapes], 0)
    high = np.max([s.max(0) for s in shapes], 0)
    width, height = (max(1, int(np.ceil(v * em - 1e-6))) for v in high - low)
    canvas = np.zeros((height * _FINE, width * _FINE), np.uint8)
    scale = em * _FINE * (1 << _SUBPIXEL)
    flipped = [np.stack([s[:, 0] - low[0], high[1] - s[:, 1]], 1) for s in shapes]  # rows grow downwards
    cv2.fillPoly(canvas, [np.rint(s * scale).astype(np.int32) for s in flipped], 255, shift=_SUBPIXEL)
    return _smaller(canvas, width, height)


def round_box(width: int, height: int, radius: float) -> Mask:
    """A filled box with round corners, `(height, width)`.

    >>> round_box(8, 4, 1)[2, 4]
    np.uint8(255)
    """
    w, h, r = width * _FINE, height * _FINE, max(0, round(radius * _FINE))
    canvas = np.zeros((h, w), np.uint8)
    canvas[r : h - r] = 255
    canvas[:, r : w - r] = 255
    for x, y in ((r, r), (w - r - 1, r), (r, h - r - 1), (w - r - 1, h - r - 1)):
        cv2.circle(canvas, (x, y), r, 255, -1)
    return _smaller(canvas, width, height)


def _smaller(canvas: Mask, width: int, height: int) -> Mask:
    return cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


@cache
def _outlines() -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(_FILE.read_text(encoding="utf-8"))["glyphs"]
    return found


@cache
def _glyph(char: str) -> tuple[float, tuple[npt.NDArray[np.float64], ...]]:
    """(advance, contours) in ems; each contour `(points, 2)`, curves flattened."""
    if char == " ":
        return 0.25, ()
    entry = _outlines().get(char)
    if entry is None:
        raise UsageError(f"no outline ships for {char!r}; there are {''.join(_outlines())}")
    contours, points = list[npt.NDArray[np.float64]](), list[npt.NDArray[np.float64]]()
    for op, numbers in _commands(str(entry["path"])):
        if op == "M":
            points = [numbers[0]]
        elif op == "L":
            points.append(numbers[0])
        elif op == "C":
            points += _curve(points[-1], numbers)
        elif points:
            contours.append(np.array(points) / 1000)
    return float(str(entry["advance"])) / 1000, tuple(contours)


def _commands(path: str) -> list[tuple[str, npt.NDArray[np.float64]]]:
    """("M" | "L" | "C" | "Z", points `(n, 2)`) for each command of a path."""
    found: list[tuple[str, list[float]]] = []
    for word in path.split():
        if word[0].isalpha():
            found.append((word[0], []))
            word = word[1:]  # noqa: PLW2901 - the number that stands against its letter
        if word:
            found[-1][1].append(float(word))
    return [(op, np.array(numbers).reshape(-1, 2)) for op, numbers in found]


def _curve(start: npt.NDArray[np.float64], rest: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
    """Points on a cubic Bézier curve, its start left out."""
    a, b, c = rest
    return [
        (1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * a + 3 * (1 - t) * t**2 * b + t**3 * c
        for t in np.linspace(0, 1, _CURVE_STEPS + 1)[1:]
    ]
