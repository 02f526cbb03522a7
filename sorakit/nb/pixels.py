"""Small pictures, pixel by pixel: enlarged by the browser without smoothing, so that pixels stay squares.

In: `uint8 (H, W, 3)` pictures or frames of a clip. Out: HTML. What is written on a picture is an SVG over it.
"""

import cv2
import numpy as np
from markupsafe import escape

from sorakit.errors import OutputError
from sorakit.nb.pictures import data_uri, filmstrip
from sorakit.types import Rgb

__all__ = ["evenly", "film", "pixels", "png_uri"]


def evenly(frames: int, n: int) -> list[int]:
    """The places of `n` of `frames` frames, first and last among them.

    >>> evenly(16, 4)
    [0, 5, 10, 15]
    """
    return [int(i) for i in np.linspace(0, frames - 1, min(n, frames)).round()]


def png_uri(picture: Rgb) -> str:
    """`picture` as PNG in a `data:` URI: small, and not a pixel changed."""
    ok, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not ok:
        raise OutputError(f"the picture could not be encoded as PNG, got {picture.shape}; use a smaller one")
    return data_uri(data.tobytes(), "image/png")


def pixels(picture: Rgb, height: int, alt: str, over: str = "") -> str:
    """`picture` as HTML, `height` px tall; `over`: SVG elements drawn on it, in units of its pixels."""
    h, w = picture.shape[:2]
    width = round(height * w / h)
    image = (
        f'<img src="{png_uri(picture)}" alt="{escape(alt)}" '
        'style="width:100%;height:100%;margin:0;display:block;image-rendering:pixelated;border-radius:3px">'
    )
    drawn = (
        f'<svg viewBox="0 0 {w} {h}" aria-hidden="true" '
        f'style="position:absolute;inset:0;width:100%;height:100%">{over}</svg>'
        if over
        else ""
    )
    # the box keeps its shape where the page is narrower than the picture
    shape = f"width:{width}px;max-width:100%;aspect-ratio:{w}/{h}"
    style = f"position:relative;display:inline-block;vertical-align:top;{shape}"
    return f'<span style="{style}">{image}{drawn}</span>'


def film(frames: Rgb, alt: str, n: int = 6, height: int = 72) -> str:
    """`n` of the frames `(T, H, W, 3)` side by side."""
    return pixels(filmstrip([frames[i] for i in evenly(len(frames), n)], gap=1), height, alt)
