"""See where attention looks: a patch is chosen, and its attention lies as light over all frames.

In: frames and weights as from `attention_weights`. Out: an `AttentionMap`, which a notebook shows with two
lists (block, head) and the frames, where the pointer or the arrow keys choose the patch; and a terminal as
text. `of` and `still` give the same by call.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError
from sorakit.nb.pictures import data_uri
from sorakit.nb.shown import Shown
from sorakit.nb.view import View
from sorakit.types import Rgb

__all__ = ["AttentionMap"]

Shares = npt.NDArray[np.float32]

_STATIC = Path(__file__).parent / "static"
_SIDE, _GAP, _CELL = 160, 8, 22
_LIGHT = np.array([230, 159, 0], np.float32)
_DARK = np.array([40, 40, 40], np.float32)


class AttentionMap(Shown):
    """Attention of one patch over a clip.

    `frames` `uint8 (T, H, W, 3)`; `weights` `(layers, heads, t, h, w, S + t·h·w)`: from each patch to S text
    vectors and to all patches. `layer`, `head` (None: the mean of all) and `at` (t, y, x) are what is shown;
    `choose` changes them, as the widget's controls do. Raises `UsageError` where the two do not fit.

    >>> rng = np.random.default_rng(0)
    >>> weights = rng.dirichlet(np.ones(10), (1, 2, 2, 2, 2))
    >>> looks = AttentionMap(np.zeros((4, 16, 16, 3), np.uint8), weights)
    >>> looks.of(0, 1, 1).shape, looks.words(0, 1, 1).shape
    ((2, 2, 2), (2,))
    """

    def __init__(self, frames: Rgb, weights: npt.ArrayLike) -> None:
        self.frames, self.weights = frames, np.asarray(weights, np.float32)
        shape = self.weights.shape
        fits = len(shape) == 6 and shape[-1] >= int(np.prod(shape[2:5])) > 0
        if not fits or frames.ndim != 4 or any(a % b for a, b in zip(frames.shape, shape[2:5], strict=False)):
            raise UsageError(
                "need frames (T, H, W, 3) and weights (layers, heads, t, h, w, S + t·h·w), t, h and w parts "
                f"of T, H and W; got {frames.shape} and {shape}"
            )
        self.grid: tuple[int, int, int] = (shape[2], shape[3], shape[4])
        self.layer = shape[0] - 1
        self.head: int | None = None
        self.at = (shape[2] // 2, shape[3] // 2, shape[4] // 2)
        self._shown: list[Any] = []

    def choose(
        self, layer: int | None = None, head: int | None = None, at: tuple[int, int, int] | None = None
    ) -> "AttentionMap":
        """Show another layer, another head (−1: the mean of all) or another patch (t, y, x); itself."""
        layers, heads = self.weights.shape[:2]
        if layer is not None:
            self.layer = _within("layer", layer, 0, layers)
        if head is not None:
            head = _within("head", head, -1, heads)
            self.head = None if head < 0 else head
        if at is not None:
            t, y, x = (_within(n, i, 0, top) for n, i, top in zip("tyx", at, self.grid, strict=True))
            self.at = (t, y, x)
        for widget in self._shown:
            widget.state = self._state()
        return self

    def of(self, t: int, y: int, x: int) -> Shares:
        """Shares of the patch's attention that go to each patch, `(t, h, w)`, in the chosen head."""
        return self._row((t, y, x))[-int(np.prod(self.grid)) :].reshape(self.grid)

    def words(self, t: int, y: int, x: int) -> Shares:
        """Share of the patch's attention that goes to each of the S text vectors, `(S,)`."""
        return self._row((t, y, x))[: -int(np.prod(self.grid))]

    def still(self, t: int, y: int, x: int) -> View:
        """The picture that the widget shows for this patch; below the frames a cell for each text vector."""
        self.choose(at=(t, y, x))
        row = self._row(self.at)
        light = 0.85 * (row / max(float(row.max()), 1e-9)) ** 0.7
        words, patches = light[: self._slots], light[self._slots :].reshape(self.grid)
        parts = []
        for k, (gray, colour) in enumerate(zip(*self._pictures(), strict=True)):
            share = cv2.resize(patches[k], gray.shape[1::-1], interpolation=cv2.INTER_NEAREST)[..., None]
            picture = (gray + share * (_LIGHT - gray)).astype(np.uint8)
            if k == t:
                _frame(picture, colour, (y, x), self.grid[1:])
            parts.append(picture)
        uri = _png(parts, _GAP, (_DARK + words[:, None] * (_LIGHT - _DARK)).astype(np.uint8))
        return View(
            f'<figure style="margin:.3rem 0"><img src="{uri}" alt="{self.says()}" '
            f'style="max-width:100%"><figcaption>{self.says()}</figcaption></figure>',
            self.says(),
        )

    def says(self) -> str:
        """Where the chosen patch looks, in words."""
        t, y, x = self.at
        light = self.of(t, y, x)
        order = np.argsort(light, axis=None)[::-1][:3]
        best = [np.unravel_index(int(i), self.grid) for i in order]
        named = ", ".join(f"({a}, {b}, {c}) {100 * light[a, b, c]:.0f} %" for a, b, c in best)
        who = "all heads" if self.head is None else f"head {self.head}"
        text = f"; {100 * float(self.words(t, y, x).sum()):.0f} % on the words" if self._slots else ""
        own = f"{100 * float(light[t].sum()):.0f} % in its own frame"
        return f"block {self.layer}, {who}: patch ({t}, {y}, {x}) looks most at {named}; {own}{text}"

    def __repr__(self) -> str:
        layers, heads = self.weights.shape[:2]
        return (
            f"AttentionMap of {layers} blocks with {heads} heads, patches (t, y, x) in {self.grid}. "
            f"{self.says()}. Call .choose(layer, head, at) and .still(t, y, x) or .of(t, y, x)"
        )

    def widget(self) -> Any:
        """The frames with two native lists above; an `anywidget.AnyWidget` that needs no kernel to answer."""
        import anywidget  # noqa: PLC0415 - an extra; `still` works without it
        import traitlets  # noqa: PLC0415

        says = self.__repr__

        class Map(anywidget.AnyWidget):
            _esm = (_STATIC / "attention.js").read_text(encoding="utf-8")
            _css = (_STATIC / "attention.css").read_text(encoding="utf-8")
            dim = traitlets.Unicode(_png(self._pictures()[0])).tag(sync=True)
            clear = traitlets.Unicode(_png(self._pictures()[1])).tag(sync=True)
            shape = traitlets.List(list(self.weights.shape)).tag(sync=True)
            shares = traitlets.Bytes(np.rint(self.weights * 65535).astype("<u2").tobytes()).tag(sync=True)
            state = traitlets.List(self._state()).tag(sync=True)

            def __repr__(self) -> str:
                return says()

        def moved(change: Any) -> None:
            layer, head, *at = change["new"]
            if change["new"] != self._state():
                self.choose(layer, head, tuple(at))

        made = Map()
        made.observe(moved, "state")
        self._shown.append(made)
        return made

    def instead(self) -> View:
        """The stills of the same."""
        return self.still(*self.at)

    @property
    def _slots(self) -> int:
        return int(self.weights.shape[-1]) - int(np.prod(self.grid))

    def _state(self) -> list[int]:
        return [self.layer, -1 if self.head is None else self.head, *self.at]

    def _row(self, at: tuple[int, int, int]) -> Shares:
        t, y, x = (_within(n, i, 0, top) for n, i, top in zip("tyx", at, self.grid, strict=True))
        rows: Shares = self.weights[self.layer, :, t, y, x]  # (heads, S + N)
        row: Shares = rows.mean(0) if self.head is None else rows[self.head]
        return row

    def _pictures(self) -> tuple[list[Rgb], list[Rgb]]:
        """One frame for each step of the grid in time, gray and in colour, about 160 px high."""
        step = len(self.frames) // self.grid[0]
        scale = max(1, round(_SIDE / self.frames.shape[1]))
        clear = [np.repeat(np.repeat(f, scale, 0), scale, 1) for f in self.frames[step // 2 :: step]]
        gray = [np.repeat(f.mean(-1, keepdims=True) * 0.6 + 12, 3, -1).astype(np.uint8) for f in clear]
        return gray, clear


def _frame(picture: Rgb, colour: Rgb, at: tuple[int, int], grid: tuple[int, int]) -> None:
    """The chosen patch in its own colours, with a light and a dark line around it."""
    h, w = picture.shape[0] // grid[0], picture.shape[1] // grid[1]
    y, x = at[0] * h, at[1] * w
    picture[y : y + h, x : x + w] = colour[y : y + h, x : x + w]
    cv2.rectangle(picture, (x, y), (x + w - 1, y + h - 1), (0, 0, 0), 3)
    cv2.rectangle(picture, (x, y), (x + w - 1, y + h - 1), (255, 255, 255), 1)


def _png(parts: list[Rgb], gap: int = 0, cells: Rgb | None = None) -> str:
    """Pictures in a row, and below them a row of cells in the colours `cells` `(S, 3)`; clear in between."""
    height, width = parts[0].shape[:2]
    below = 0 if cells is None or not len(cells) else _CELL + _GAP
    out = np.zeros((height + below, len(parts) * (width + gap) - gap, 4), np.uint8)
    for k, picture in enumerate(parts):
        out[:height, k * (width + gap) :][:, :width] = cv2.cvtColor(picture, cv2.COLOR_RGB2BGRA)
    for k, colour in enumerate(cells if below and cells is not None else ()):
        out[height + _GAP :, k * (_CELL + 4) :][:, :_CELL] = (*colour[::-1].tolist(), 255)
    return data_uri(cv2.imencode(".png", out)[1].tobytes(), "image/png")


def _within(name: str, value: int, low: int, top: int) -> int:
    if not low <= value < top:
        raise UsageError(f"`{name}` must be {low} to {top - 1}, got {value}")
    return int(value)
