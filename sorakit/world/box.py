"""Boxes around sprites: draw a sprite where a box is, find the box of a colour, compare boxes.

In and out: boxes `(x0, y0, x1, y1)` in pixels, x0 < x1 and y0 < y1; the right and lower edge lie outside.
IoU: intersection over union, the measure of PASCAL VOC (Everingham et al. 2010).
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError
from sorakit.types import Rgb
from sorakit.world.render import coverage
from sorakit.world.scene import BACKGROUNDS, COLOURS, Shot, Sprite

__all__ = ["Box", "box_of", "boxes_between", "iou", "motion_between", "picture_of"]

Box = tuple[float, float, float, float]

_NEAR = 0.35
"""Distance in RGB, each 0 to 1, below which a pixel counts as a colour: half-covered edges do not."""


def iou(a: Box, b: Box) -> float:
    """Area that two boxes share over the area that they cover together: 1 for equal ones, 0 for disjoint.

    Raises `UsageError` for a box without area.

    >>> iou((0, 0, 2, 2), (1, 0, 3, 2))
    0.3333333333333333
    """
    both = [max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1)]
    shared = both[0] * both[1]
    return shared / (_area(a) + _area(b) - shared)


def boxes_between(first: Box, last: Box, frames: int) -> npt.NDArray[np.float64]:
    """`(frames, 4)`: the boxes on the straight way from `first` to `last`, both included, at even speed.

    >>> boxes_between((0, 0, 4, 4), (2, 0, 6, 4), 3)[1].tolist()
    [1.0, 0.0, 5.0, 4.0]
    """
    if frames < 2:
        raise UsageError(f"`frames` must be at least 2, got {frames}")
    way = np.linspace(0, 1, frames)[:, None]
    return np.asarray(first) * (1 - way) + np.asarray(last) * way


def box_of(frame: Rgb, colour: str) -> Box | None:
    """The smallest box around the pixels of `frame` `(H, W, 3)` near `colour`, None when there are none.

    >>> from sorakit.world.caption import parse
    >>> (shot,) = parse("a big red circle stays still on a navy background").shots
    >>> box_of(picture_of(shot, (8, 8, 24, 24)), "red")
    (8.0, 8.0, 24.0, 24.0)
    """
    if colour not in COLOURS:
        raise UsageError(f"`colour` must be one of {', '.join(COLOURS)}; got {colour!r}")
    away = np.linalg.norm(frame / 255.0 - np.asarray(COLOURS[colour]), axis=-1)  # (H, W)
    y, x = np.nonzero(away < _NEAR)
    if len(x) == 0:
        return None
    return float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1)


def picture_of(shot: Shot, box: Box, height: int = 32, width: int = 32) -> Rgb:
    """The sprite of `shot` drawn where `box` is, `uint8 (height, width, 3)`.

    Sprites have one radius, so a box that is no square gives its middle and its mean side. Raises
    `UsageError` for a shot of two sprites or a texture, and for a box without area or outside the frame.
    """
    if len(shot.sprites) != 1 or shot.texture != "plain":
        raise UsageError("a box places one sprite on a plain background; give a prompt that says so")
    _area(box)
    if min(box[:2]) < 0 or box[2] > width or box[3] > height:
        raise UsageError(f"`box` must lie in the frame of {width}×{height} px, got {box}")
    unit, sprite = min(height, width), shot.sprites[0]
    reach = {"square": 0.88}.get(sprite.shape, 1.0)  # how far a shape of radius 1 reaches sideways
    radius = (box[2] - box[0] + box[3] - box[1]) / 4 / reach / unit
    middle = [(box[0] + box[2]) / 2 / unit, (box[1] + box[3]) / 2 / unit]
    mask = coverage(sprite.shape, _floats([middle]), _floats([radius]), height, width)[0]  # (H, W)
    ground, colour = _floats(BACKGROUNDS[shot.background]), _floats(COLOURS[sprite.colour])
    picture = ground + mask[..., None] * (colour - ground)  # (H, W, 3)
    out: Rgb = np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
    return out


def motion_between(shot: Shot, first: Box, last: Box) -> Shot:
    """`shot` with the word for the way from `first` to `last`: the axis that it goes further along.

    Less than 1 px is "grows" where the box gains a quarter in side, else "stays still".
    """
    across, down = ((last[i] + last[i + 2] - first[i] - first[i + 2]) / 2 for i in (0, 1))
    sides = [(b[2] - b[0] + b[3] - b[1]) / 2 for b in (first, last)]
    if max(abs(across), abs(down)) < 1:
        word = "grows" if sides[1] > 1.25 * sides[0] else "stays still"
    elif abs(across) >= abs(down):
        word = "moves right" if across > 0 else "moves left"
    else:
        word = "moves down" if down > 0 else "moves up"
    sprite = shot.sprites[0]
    return replace(shot, sprites=(Sprite(sprite.size, sprite.colour, sprite.shape, word),))


def _floats(values: object) -> npt.NDArray[np.float32]:
    return np.asarray(values, np.float32)


def _area(box: Box) -> float:
    if not (box[2] > box[0] and box[3] > box[1]):
        raise UsageError(f"a box is (x0, y0, x1, y1) with x0 < x1 and y0 < y1, got {box}")
    return (box[2] - box[0]) * (box[3] - box[1])
