"""Draw boxes on a frame and see what is made of them: a widget, or plain calls.

In: a frame and, if you like, a function that makes a clip of the boxes. Out: a `BoxDrawer` (pointer, arrow
keys or `draw`), whose boxes are `(x0, y0, x1, y1)` in pixels; `box_strip` shows boxes on a clip's frames.
"""

from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from markupsafe import escape

from sorakit.errors import SorakitError, UsageError
from sorakit.nb.pictures import filmstrip
from sorakit.nb.pixels import png_uri
from sorakit.nb.shown import Shown
from sorakit.nb.view import View, show
from sorakit.types import Clip, Rgb

__all__ = ["BoxDrawer", "box_strip"]

Box = tuple[int, int, int, int]

_LEAST = 2  # px a side
_WANTED, _FOUND = (255, 255, 255), (230, 159, 0)


class BoxDrawer(Shown):
    """Boxes on `frame` `uint8 (H, W, 3)`, one for each of `labels`; the same in code: `drawer.draw(box)`.

    `make`: called with all boxes when they are confirmed (Enter, the button, or `confirm`); its `Clip` or
    `View` is shown below. `boxes`: those drawn so far, by label; `last`: what was made of them.

    >>> drawer = BoxDrawer(np.zeros((32, 32, 3), np.uint8), ["start", "end"])
    >>> drawer.draw((2, 12, 11, 21))
    >>> drawer.boxes
    {'start': (2, 12, 11, 21)}
    """

    def __init__(
        self,
        frame: Rgb,
        labels: Sequence[str] = ("start", "end"),
        make: Callable[[dict[str, Box]], Clip | View] | None = None,
        *,
        action: str = "Make the clip",
    ) -> None:
        """Raises `UsageError` for a frame that is no picture and unless 1 to 4 different labels are given."""
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
            raise UsageError(f"`frame` must be uint8 (H, W, 3), got {frame.dtype} {frame.shape}")
        if not 1 <= len(labels) <= 4 or len(set(labels)) < len(labels):
            raise UsageError(f"`labels` must be 1 to 4 different names, got {list(labels)}")
        self.frame, self.labels, self.make, self.action = frame, tuple(labels), make, action
        self.boxes: dict[str, Box] = {}
        self.last: View | None = None
        self._active = 0
        self._canvases: list[Any] = []

    def draw(self, box: Sequence[float], label: str | None = None) -> None:
        """Draw `box`, rounded to whole pixels, as `label`; as the next one when no label is given.

        Raises `UsageError` for a box outside the frame or under 2 px a side, and an unknown label.
        """
        if label is not None and label not in self.labels:
            raise UsageError(f"`label` must be one of {', '.join(self.labels)}, got {label!r}")
        name = self.labels[self._active] if label is None else label
        self.boxes = self._ordered(self.boxes | {name: self._checked(box)})
        self._active = (self.labels.index(name) + 1) % len(self.labels)
        self._tell()

    def confirm(self) -> View | None:
        """Make of the boxes what `make` does, None without one; raises `UsageError` while one is missing."""
        missing = [label for label in self.labels if label not in self.boxes]
        if missing:
            raise UsageError(f"draw first: {', '.join(missing)}")
        if self.make is None:
            return None
        made = self.make(dict(self.boxes))
        self.last = show(made) if isinstance(made, Clip) else made
        return self.last

    def __repr__(self) -> str:
        drawn = ", ".join(f"{k} {v}" for k, v in self.boxes.items()) or "none"
        height, width = self.frame.shape[:2]
        call = "drawer.draw((x0, y0, x1, y1)) draws the next, drawer.confirm() goes on"
        return f"BoxDrawer on {width}×{height} px for {', '.join(self.labels)}; boxes: {drawn}; {call}"

    def widget(self) -> Any:
        """The frame to draw on and, below, what was made: an `ipywidgets.VBox`."""
        import ipywidgets  # noqa: PLC0415 - an extra; `draw` works without it

        height, width = self.frame.shape[:2]
        canvas = _canvas()(
            frame=png_uri(self.frame), width=width, height=height, labels=list(self.labels),
            boxes=self._listed(), active=self._active, action=self.action,
        )  # fmt: skip
        result = ipywidgets.HTML()

        def drawn(_change: Any) -> None:
            try:
                found = {k: self._checked(b) for k, b in zip(self.labels, canvas.boxes, strict=True) if b}
            except UsageError as error:
                result.value = _problem(str(error))
                return
            self.boxes, self._active = found, canvas.active

        def confirmed(_change: Any) -> None:
            result.value = '<p role="status">working …</p>'
            try:
                made = self.confirm()
            except SorakitError as error:  # shown where the reader looks; a traceback would go to the log
                result.value = _problem(str(error))
                return
            except Exception as error:
                result.value = _problem(f"{type(error).__name__}: {error}")
                raise
            result.value = "" if made is None else f'<div role="status">{made.html}</div>'

        canvas.observe(drawn, ["boxes", "active"])
        canvas.observe(confirmed, "confirmed")
        self._canvases.append(canvas)
        return ipywidgets.VBox([canvas, result])

    def _checked(self, box: Sequence[float]) -> Box:
        height, width = self.frame.shape[:2]
        if len(box) != 4:
            raise UsageError(f"a box is (x0, y0, x1, y1), got {tuple(box)}")
        x0, y0, x1, y1 = (round(v) for v in box)
        if not (0 <= x0 <= x1 - _LEAST and x1 <= width and 0 <= y0 <= y1 - _LEAST and y1 <= height):
            raise UsageError(
                f"a box must lie in the frame of {width}×{height} px, {_LEAST} px a side at least, "
                f"got {(x0, y0, x1, y1)}"
            )
        return x0, y0, x1, y1

    def _ordered(self, boxes: dict[str, Box]) -> dict[str, Box]:
        return {label: boxes[label] for label in self.labels if label in boxes}

    def _listed(self) -> list[list[int]]:
        return [list(self.boxes.get(label, ())) for label in self.labels]

    def _tell(self) -> None:
        """Show the boxes wherever the widget is on a page."""
        for canvas in self._canvases:
            canvas.boxes, canvas.active = self._listed(), self._active


def box_strip(
    clip: Clip | Rgb,
    wanted: npt.ArrayLike,
    found: Sequence[Sequence[float] | None] = (),
    *,
    n: int = 8,
    scale: int = 4,
    caption: str | None = None,
) -> View:
    """`n` frames, each `scale` times as large, with the box wanted (white) and the one found (orange).

    `wanted` `(T, 4)`, `found` the same or None where nothing was found. Raises `UsageError` when there is
    not one box a frame.
    """
    frames = clip.frames if isinstance(clip, Clip) else clip
    paths = [(np.asarray(wanted, float).tolist(), _WANTED), (list(found), _FOUND)]
    for path, _ in paths:
        if len(path) not in (0, len(frames)):
            raise UsageError(f"one box a frame is needed, got {len(path)} for {len(frames)} frames")
    chosen = np.linspace(0, len(frames) - 1, min(n, len(frames))).round().astype(int)
    pictures = []
    for i in chosen:
        large = np.ascontiguousarray(frames[i].repeat(scale, 0).repeat(scale, 1))
        for path, colour in paths:
            if path and path[i] is not None:
                x0, y0, x1, y1 = (round(scale * v) for v in path[i])
                cv2.rectangle(large, (x0, y0), (x1 - 1, y1 - 1), colour, max(1, scale // 2))
        pictures.append(large)
    text = f"frames {', '.join(map(str, chosen))} with the boxes wanted" + (" and found" if found else "")
    uri = png_uri(filmstrip(pictures, gap=4))
    style = "max-width:100%;height:auto;display:block"
    legend = "White: wanted" + ("; orange: found." if found else ".")
    html = (
        f'<figure style="margin:.3rem 0"><img src="{uri}" alt="{escape(text)}" style="{style}">'
        f'<figcaption style="font-size:.9em;opacity:.85">{escape(caption or text)}. {legend}</figcaption>'
        "</figure>"
    )
    return View(html, text if caption is None else f"{caption}: {text}")


@cache
def _canvas() -> Any:
    """The class of the canvas; made when first needed, since anywidget is an extra."""
    import anywidget  # noqa: PLC0415
    import traitlets  # noqa: PLC0415

    static = files("sorakit.nb") / "static"

    class BoxCanvas(anywidget.AnyWidget):
        _esm = (static / "boxes.js").read_text()
        _css = (static / "boxes.css").read_text()
        frame = traitlets.Unicode().tag(sync=True)
        width = traitlets.Int().tag(sync=True)
        height = traitlets.Int().tag(sync=True)
        labels: Any = traitlets.List().tag(sync=True)
        boxes: Any = traitlets.List().tag(sync=True)
        active = traitlets.Int(0).tag(sync=True)
        confirmed = traitlets.Int(0).tag(sync=True)
        action = traitlets.Unicode().tag(sync=True)

    return BoxCanvas


def _problem(text: str) -> str:
    return f'<p role="alert">{escape(text)}</p>'
