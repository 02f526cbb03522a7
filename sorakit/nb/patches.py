"""Pick a patch of a clip and see the token that it becomes: number, place, pixels and vector.

In: frames and the size of a patch, perhaps with what a model makes of each. Out: a `PatchPicker`, which a
notebook shows as frames to click on (or to walk over with the arrow keys), and `Token`s by call. Order and
numbering are those of `sorakit.model.patch`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError
from sorakit.nb.pictures import filmstrip
from sorakit.nb.pixels import pixels, png_uri
from sorakit.nb.shown import Shown
from sorakit.types import Rgb
from sorakit.video.convert import rgb_to_array

__all__ = ["PatchPicker", "Token"]

Floats = npt.NDArray[np.float32]

_STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True, eq=False)
class Token:
    """One patch as a model takes it.

    `place`: (t, y, x) in the grid of patches; `pixels` `uint8 (pt, ph, pw, 3)`; `vector` `(3·pt·ph·pw,)` in
    [-1, 1], colours first, then frames, rows, columns; `made` `(D,)`: what a model's first layer makes of it.
    """

    number: int
    place: tuple[int, int, int]
    pixels: Rgb
    vector: Floats
    made: Floats | None = None

    @property
    def where(self) -> str:
        """The frames, rows and columns that it covers, in words."""
        spans = zip(("frame", "row", "column"), self.place, self.pixels.shape, strict=False)
        return ", ".join(
            f"{name}s {i * n} to {i * n + n - 1}" if n > 1 else f"{name} {i}" for name, i, n in spans
        )

    def __repr__(self) -> str:
        low, high = float(self.vector.min()), float(self.vector.max())
        made = "" if self.made is None else f", which the model's first layer makes {len(self.made)}"
        return (
            f"token {self.number} at (t, y, x) = {self.place}: {self.where}; "
            f"{len(self.vector)} numbers from {low:.2f} to {high:.2f}{made}"
        )

    def _repr_html_(self) -> str:
        pt, ph, pw, _ = self.pixels.shape
        rows = _gray(self.vector.reshape(3 * pt, ph * pw))
        shown = filmstrip(list(self.pixels), gap=1)
        parts = [
            f"<div><strong>token {self.number}</strong>, at (t, y, x) = {self.place}: {self.where}</div>",
            _figure(f"its pixels in {pt} frame{'s' * (pt > 1)}", shown, 72),
            _figure(
                f"its vector: {len(self.vector)} numbers, here in {3 * pt} rows (red, green, blue × frames) "
                f"of {ph * pw}; black is −1, white 1",
                rows,
                12 * len(rows) if len(rows) < 16 else 192,
            ),
        ]
        if self.made is not None:
            scale = max(2.5 * float(self.made.std()), 1e-6)
            parts.append(_figure(f"what the model's first layer makes of it: {len(self.made)} numbers",
                                 _gray(self.made[None] / scale), 12))  # fmt: skip
        return "".join(parts)


class PatchPicker(Shown):
    """A clip to pick patches from; the same without a widget: `picker.token(17)` and `picker.at(1, 0, 1)`.

    `frames` `uint8 (T, H, W, 3)`, whose sides are multiples of `patch`; `made` `(N, D)`: a vector of a model
    for each token, to be shown too. Raises `UsageError` where they do not fit.

    >>> picker = PatchPicker(np.zeros((8, 16, 16, 3), np.uint8), (4, 8, 8))
    >>> picker.token(5).place, picker.token(5).where
    ((1, 0, 1), 'frames 4 to 7, rows 0 to 7, columns 8 to 15')
    """

    def __init__(
        self, frames: Rgb, patch: tuple[int, int, int] = (4, 8, 8), *, made: npt.ArrayLike | None = None
    ) -> None:
        if (
            min(patch) < 1
            or frames.ndim != 4
            or any(s % p for s, p in zip(frames.shape, patch, strict=False))
        ):
            raise UsageError(f"frames (T, H, W, 3) must be multiples of {patch}, got {frames.shape}")
        self.frames, self.patch = frames, patch
        self.grid = (frames.shape[0] // patch[0], frames.shape[1] // patch[1], frames.shape[2] // patch[2])
        self._values = rgb_to_array(frames)  # (3, T, H, W)
        self._made = None if made is None else np.asarray(made, np.float32)
        if self._made is not None and (self._made.ndim != 2 or len(self._made) != len(self)):
            raise UsageError(f"`made` must be ({len(self)}, D), a row a token, got {self._made.shape}")
        self.place: tuple[int, int, int] = (self.grid[0] // 2, self.grid[1] // 2, self.grid[2] // 2)

    def __len__(self) -> int:
        """The number of tokens."""
        return int(np.prod(self.grid))

    def token(self, number: int) -> Token:
        """The token of that number, 0 to `len(picker)` − 1: first along a row, then down, then in time."""
        if not 0 <= number < len(self):
            raise UsageError(f"`number` must be 0 to {len(self) - 1}, got {number}")
        t, y, x = (int(i) for i in np.unravel_index(number, self.grid))
        return self.at(t, y, x)

    def at(self, t: int, y: int, x: int) -> Token:
        """The token at place (t, y, x) of the grid."""
        place = (t, y, x)
        if any(not 0 <= i < n for i, n in zip(place, self.grid, strict=True)):
            raise UsageError(f"(t, y, x) must be under {self.grid}, got {place}")
        box = tuple(slice(i * p, i * p + p) for i, p in zip(place, self.patch, strict=True))
        number = int(np.ravel_multi_index(place, self.grid))
        vector = self._values[(slice(None), *box)].reshape(-1)
        return Token(
            number, place, self.frames[box], vector, None if self._made is None else self._made[number]
        )

    def __repr__(self) -> str:
        t, h, w = self.grid
        return (
            f"PatchPicker with {len(self)} tokens, {t} × {h} × {w} (time, rows, columns). "
            f"Call .token(NUMBER) or .at(T, Y, X); chosen: {self.at(*self.place)}"
        )

    def widget(self) -> Any:
        """The frames as an `anywidget.AnyWidget`: click, or walk with arrow keys, Page Up and Page Down."""
        import anywidget  # noqa: PLC0415 - an extra; `token` works without it
        import traitlets  # noqa: PLC0415

        class Picker(anywidget.AnyWidget):
            _esm = (_STATIC / "patches.js").read_text(encoding="utf-8")
            _css = (_STATIC / "patches.css").read_text(encoding="utf-8")
            strip = traitlets.Unicode(self._strip()).tag(sync=True)
            grid = traitlets.List(list(self.grid)).tag(sync=True)
            place = traitlets.List(list(self.place)).tag(sync=True)
            says = traitlets.Unicode(self.at(*self.place)._repr_html_()).tag(sync=True)

        made = Picker()

        def moved(change: Any) -> None:
            try:
                token = self.at(*change["new"])
            except (UsageError, TypeError) as e:
                made.says = f'<p role="alert">{e}</p>'
                return
            self.place = token.place
            made.says = token._repr_html_()

        made.observe(moved, "place")
        return made

    def _strip(self) -> str:
        """The first frame of each step of the grid, side by side."""
        return png_uri(filmstrip(list(self.frames[:: self.patch[0]])))


def _figure(text: str, picture: Rgb, height: int) -> str:
    return f'<div style="margin:.35rem 0;line-height:1.4">{text}<br>{pixels(picture, height, text)}</div>'


def _gray(values: Floats) -> Rgb:
    """Numbers in [-1, 1] `(H, W)` as a picture."""
    shade = np.rint((values.clip(-1, 1) + 1) * 127.5).astype(np.uint8)
    return np.repeat(shade[..., None], 3, -1)
