"""Draw visible labels into codec frames, in the frames concerned alone.

In: frames that the encoder takes (yuv420p, yuvj420p, yuv420p10le), their time, and `Stamp`s. Out: the same
frames, with a dark box and white words in a corner. White and black have no colour, so the result is the
same under every matrix; levels follow the range, and the label stands upright for the viewer whatever turn,
mirroring and pixel shape the file asks players for. The box covers 85 % of what is under it, so that the
words reach a contrast of 15:1 over any picture (WCAG 2.2, 1.4.6, asks for 7:1).
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import av
import cv2
import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError
from sorakit.types import FrameGeometry
from sorakit.video.lettering import CAP_HEIGHT, Mask, round_box, text_mask

__all__ = ["BOX", "Stamp", "Stamper", "draw_stamp"]

BOX = 0.85
"""Opacity of the box behind the words."""

_MARGIN = 0.03


@dataclass(frozen=True, slots=True)
class Stamp:
    """One visible label. `tile`: a word set first, dark on a white tile; `text`: words after it, white.

    `size`: height of the smallest capital letter over the picture's shorter side, and at least
    `least` pixels. Shown for `seconds` from the first frame, and again so long every `every` seconds.
    """

    text: str
    tile: str = ""
    corner: Literal["top-left", "top-right"] = "top-right"
    size: float = 0.03
    least: int = 8
    seconds: float = 5.0
    every: float | None = None

    def shown(self, time: float) -> bool:
        """Whether the label stands at `time`, seconds since the first frame.

        >>> [Stamp("AI", seconds=5, every=30).shown(t) for t in (0, 4.9, 5, 30, 35)]
        [True, True, False, True, False]
        """
        return (time if self.every is None else time % self.every) < self.seconds

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, for a task in another process."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Stamp":
        """What `to_json` made."""
        return Stamp(**data)


@dataclass(frozen=True, slots=True)
class _Patch:
    """What one plane becomes under one stamp: `plane * keep + add` inside `rows`, `columns`."""

    rows: slice
    columns: slice
    keep: npt.NDArray[np.float32]
    add: npt.NDArray[np.float32]


class Stamper:
    """Call with each frame and its time in seconds since the first one.

    `geometry`: of the stored planes. `matrix`: the nine integers of the display matrix where there is one: it
    knows of mirroring, which `geometry.rotation` does not.
    """

    def __init__(
        self, stamps: tuple[Stamp, ...], geometry: FrameGeometry, matrix: tuple[int, ...] | None = None
    ) -> None:
        turn = _turn_of(matrix) or _TURNS[geometry.rotation % 360]
        self._parts = [(s, _patches(s, geometry, turn)) for s in stamps]

    def __call__(self, frame: av.VideoFrame, time: float) -> av.VideoFrame:
        """Draw what stands at `time` into the frame."""
        wanted = [patches for stamp, patches in self._parts if stamp.shown(time)]
        if not wanted:
            return frame
        frame.make_writable()  # the decoder predicts from what it handed out
        for patches in wanted:
            for plane, patch in zip(frame.planes, patches, strict=True):
                _apply(plane, patch, deep=frame.format.components[0].bits > 8)
        return frame


def draw_stamp(stamp: Stamp, width: int, height: int) -> tuple[Mask, Mask]:
    """(box, words): coverage `(height, width)` of the dark box and, on it, of white.

    Raises `UsageError` where the picture is too small for the words.

    >>> draw_stamp(Stamp("AI"), 320, 256)[0].shape
    (256, 320)
    """
    short = min(width, height)
    box, ink = _badge(stamp, max(float(stamp.least), stamp.size * short))
    margin = round(_MARGIN * short)
    h, w = box.shape
    if w + margin > width or h + margin > height:
        raise UsageError(f"a picture of {width}×{height} px has no room for the label {stamp.text!r}")
    left = margin if stamp.corner == "top-left" else width - margin - w
    where = np.s_[margin : margin + h, left : left + w]
    out = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    out[0][where], out[1][where] = box, ink
    return out


def _badge(stamp: Stamp, cap: float) -> tuple[Mask, Mask]:
    """(box, words) cut to the box; `cap`: height of a capital of `text`, px."""
    words = text_mask(stamp.text, cap / CAP_HEIGHT, tracking=0.02)
    gap = max(3, round(0.5 * cap))
    if not stamp.tile:
        height, width = words.shape[0] + 2 * gap, words.shape[1] + 2 * gap + gap // 2
        ink = np.zeros((height, width), np.uint8)
        _put(ink, words, (width - words.shape[1]) // 2)
        return round_box(width, height, 0.18 * height), ink
    head = text_mask(stamp.tile, 1.35 * cap / CAP_HEIGHT, tracking=0.02)
    inner = head.shape[0] + 2 * max(2, round(0.38 * cap))
    tile = round_box(head.shape[1] + 2 * max(3, round(0.5 * cap)), inner, 0.18 * inner)
    under = np.zeros_like(tile)
    _put(under, head, (tile.shape[1] - head.shape[1]) // 2)
    rim = max(2, round(0.18 * cap))
    height, width = inner + 2 * rim, rim + tile.shape[1] + words.shape[1] + 2 * gap
    ink = np.zeros((height, width), np.uint8)
    _put(ink, np.minimum(tile, 255 - under), rim)
    _put(ink, words, rim + tile.shape[1] + gap)
    return round_box(width, height, 0.2 * height), ink


def _put(canvas: Mask, part: Mask, left: int) -> None:
    top = (canvas.shape[0] - part.shape[0]) // 2
    canvas[top : top + part.shape[0], left : left + part.shape[1]] = part


_Turn = tuple[int, int, int, int]
"""(a, b, c, d): a stored step (x, y) is seen as (a·x + c·y, b·x + d·y); each -1, 0 or 1."""

_TURNS: dict[int, _Turn] = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def _turn_of(matrix: tuple[int, ...] | None) -> _Turn | None:
    """The quarter turn and mirroring nearest to a display matrix; None where it is none (all zero)."""
    if matrix is None or len(matrix) != 9:
        return None
    a, b, _, c, d = matrix[:5]
    upright = abs(a) + abs(d) >= abs(b) + abs(c)
    signs = (_sign(a), 0, 0, _sign(d)) if upright else (0, _sign(b), _sign(c), 0)
    return signs if signs[0] * signs[3] - signs[1] * signs[2] else None


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _stored(seen: Mask, turn: _Turn, size: tuple[int, int]) -> Mask:
    """A picture as the viewer sees it, as the file has to store it: turned back, pixels squeezed."""
    a, b, c, d = turn
    if a == 0:
        seen, a, d = seen.T, b, c
    seen = np.ascontiguousarray(seen[:: d if d else 1, :: a if a else 1])
    if seen.shape == size[::-1]:
        return seen
    return cv2.resize(seen, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _patches(stamp: Stamp, g: FrameGeometry, turn: _Turn) -> tuple[_Patch, _Patch, _Patch]:
    """What the stamp does to the three planes."""
    sideways = turn[0] == 0
    wide, high = max(1, round(g.width * g.sar)), g.height
    seen = draw_stamp(stamp, *((high, wide) if sideways else (wide, high)))
    box, ink = (_stored(m, turn, (g.width, g.height)) for m in seen)
    rows, columns = _even(box.max(1)), _even(box.max(0))
    alpha = box[rows, columns].astype(np.float32) * np.float32(BOX / 255)
    white = ink[rows, columns].astype(np.float32) / np.float32(255)
    keep = (1 - alpha) * (1 - white)
    scale = 1 << (g.bit_depth - 8)
    dark, light = ((0, 255) if g.full_range else (16, 235)) if scale == 1 else _deep(g.full_range)
    luma = _Patch(rows, columns, keep, dark * alpha * (1 - white) + light * white)
    half = cv2.resize(keep, (keep.shape[1] // 2, keep.shape[0] // 2), interpolation=cv2.INTER_AREA)
    rest = [slice(s.start // 2, s.stop // 2) for s in (rows, columns)]
    chroma = _Patch(rest[0], rest[1], half.astype(np.float32), ((1 - half) * 128 * scale).astype(np.float32))
    return luma, chroma, chroma


def _deep(full_range: bool) -> tuple[int, int]:
    """Black and white of 10-bit luma."""
    return (0, 1023) if full_range else (64, 940)


def _even(used: Mask) -> slice:
    """The used stretch, widened to whole chroma samples."""
    at = np.flatnonzero(used)
    return slice(int(at[0]) // 2 * 2, min(len(used), (int(at[-1]) + 2) // 2 * 2))


def _apply(plane: Any, patch: _Patch, *, deep: bool) -> None:
    dtype = np.uint16 if deep else np.uint8
    stride = plane.line_size // np.dtype(dtype).itemsize
    rows = np.frombuffer(memoryview(plane), dtype).reshape(-1, stride)
    part = rows[patch.rows, patch.columns]
    part[...] = np.rint(part.astype(np.float32) * patch.keep + patch.add).astype(dtype)
