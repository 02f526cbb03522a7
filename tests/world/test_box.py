"""Boxes: overlap, the straight way, and that a sprite drawn at a box is found there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorakit.errors import UsageError
from sorakit.world.box import Box, box_of, boxes_between, iou, motion_between, picture_of
from sorakit.world.caption import parse
from sorakit.world.scene import COLOURS, SHAPES, Shot

sides = st.integers(0, 20)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x, y = draw(sides), draw(sides)
    return x, y, x + 1 + draw(sides), y + 1 + draw(sides)


def shot_of(text: str) -> Shot:
    return parse(f"{text} on a navy background").shots[0]


@given(boxes(), boxes())
def test_iou_agrees_with_counting_pixels(a: Box, b: Box) -> None:
    one, two = (np.zeros((50, 50), bool) for _ in range(2))
    for mask, box in ((one, a), (two, b)):
        x0, y0, x1, y1 = map(int, box)
        mask[y0:y1, x0:x1] = True
    assert iou(a, b) == pytest.approx((one & two).sum() / (one | two).sum())
    assert iou(a, b) == iou(b, a)


def test_the_way_is_straight_and_even() -> None:
    way = boxes_between((0, 0, 4, 4), (15, 30, 25, 40), 16)
    assert way[[0, -1]].tolist() == [[0, 0, 4, 4], [15, 30, 25, 40]]
    assert np.allclose(np.diff(way, axis=0), [1, 2, 1.4, 2.4])
    with pytest.raises(UsageError, match="at least 2"):
        boxes_between((0, 0, 1, 1), (0, 0, 1, 1), 1)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_drawn_at_a_box_is_found_there(colour: str, shape: str) -> None:
    shot = shot_of(f"a big {colour} {shape} stays still")
    box = (6, 9, 22, 25)
    found = box_of(picture_of(shot, box), colour)
    assert found is not None
    assert iou(box, found) >= (0.7 if shape == "triangle" else 0.85)


def test_no_pixel_no_box() -> None:
    assert box_of(np.zeros((8, 8, 3), np.uint8), "red") is None
    with pytest.raises(UsageError, match="`colour`"):
        box_of(np.zeros((8, 8, 3), np.uint8), "navy")


@pytest.mark.parametrize(
    ("last", "word"),
    [
        ((12, 0, 20, 8), "moves right"), ((0, 12, 8, 20), "moves down"), ((0, 0, 8, 8), "stays still"),
        ((0, 0, 14, 14), "moves right"), ((-3, -3, 11, 11), "grows"),
    ],
)  # fmt: skip
def test_the_way_has_a_word(last: Box, word: str) -> None:
    shot = motion_between(shot_of("a small red circle bounces"), (0, 0, 8, 8), last)
    assert shot.sprites[0].motion == word
    assert shot.sprites[0].shape == "circle"


def test_what_cannot_be_drawn_is_refused() -> None:
    red = shot_of("a big red circle stays still")
    for box in ((4, 4, 4, 8), (8, 4, 4, 8)):
        with pytest.raises(UsageError, match="x0 < x1"):
            picture_of(red, box)
    for box in ((-1, 4, 8, 8), (20, 4, 33, 8)):
        with pytest.raises(UsageError, match="lie in the frame"):
            picture_of(red, box)
    two = shot_of("a big red circle stays still and a small blue square stays still")
    with pytest.raises(UsageError, match="one sprite"):
        picture_of(two, (4, 4, 8, 8))
