"""A curve that grows while a cell runs, with the newest clip below it.

In: points as they come, and clips now and then. Out: a `LiveCurve`, which redraws itself in its cell; text
in a terminal. At the end it is an ordinary output that stays.
"""

import io
import time
from typing import Any

import numpy as np
from markupsafe import escape

from sorakit.nb.pictures import data_uri
from sorakit.nb.plot import COLOURS
from sorakit.nb.view import View, strip
from sorakit.types import Clip

__all__ = ["LiveCurve"]

_SMOOTH = 0.95


class LiveCurve:
    """Points and their running mean; a notebook redraws it every `every` seconds at most.

    `x`, `y`: what the axes show, with units.

    >>> curve = LiveCurve("step", "loss", every=60)
    >>> curve.add(0, 1.0)
    >>> curve.add(1, 0.5)
    >>> curve
    loss at step 1: 0.975 (running mean of 2 points)
    """

    def __init__(self, x: str, y: str, *, every: float = 2.0) -> None:
        self.x, self.y, self.every = x, y, every
        self.points: list[tuple[float, float]] = []
        self.means: list[float] = []
        self._picture: View | None = None
        self._drawn = 0.0
        self._handle: Any = None

    def add(self, x: float, y: float) -> None:
        """One more point."""
        self.points.append((x, y))
        self.means.append(y if not self.means else _SMOOTH * self.means[-1] + (1 - _SMOOTH) * y)
        if time.monotonic() - self._drawn >= self.every:
            self.draw()

    def picture(self, clip: Clip, caption: str) -> None:
        """Show stills of `clip` below the curve from now on."""
        self._picture = strip(clip, 8, height=72, caption=caption)
        self.draw()

    def draw(self) -> None:
        """Redraw the cell's output; nothing happens outside of notebooks."""
        self._drawn = time.monotonic()
        try:
            from IPython import display, get_ipython  # noqa: PLC0415 - only a notebook has it
        except ImportError:
            return
        if get_ipython() is None:  # type: ignore[no-untyped-call,unused-ignore]
            return
        show: Any = display.display
        if self._handle is None:
            self._handle = show(self, display_id=True)
        else:
            self._handle.update(self)

    def _repr_html_(self) -> str:
        below = "" if self._picture is None else self._picture.html
        chart = "" if not self.points else f'<img src="{self._chart()}" alt="{escape(repr(self))}">'
        return f"{chart}{below}"

    def __repr__(self) -> str:
        if not self.points:
            return f"{self.y} against {self.x}: no points yet"
        return (
            f"{self.y} at {self.x} {self.points[-1][0]:g}: {self.means[-1]:.4g} "
            f"(running mean of {len(self.points)} points)"
        )

    def _chart(self) -> str:
        from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

        figure = Figure(figsize=(6.4, 2.6))
        axes = figure.subplots()
        xs, ys = np.asarray(self.points).T
        axes.plot(xs, ys, ".", color=COLOURS[5], ms=3, alpha=0.6)
        axes.plot(xs, self.means, color=COLOURS[0], label="running mean")
        axes.set(xlabel=self.x, ylabel=self.y, ylim=(0, 1.05 * float(np.quantile(ys, 0.98))))
        axes.legend()
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=100)
        return data_uri(out.getvalue(), "image/png")
