"""Clips in rows and columns: every clip, its names and its mark."""

from fractions import Fraction

import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.nb import grid
from sorakit.types import Clip

CLIP = Clip(np.zeros((4, 16, 16, 3), np.uint8), Fraction(8))


def test_each_clip_stands_under_its_names_with_its_mark() -> None:
    view = grid(
        [[CLIP, CLIP], [CLIP, CLIP]], rows=["4 <steps>", "8"], columns=["1", "3"],
        right=[[False, True], [True, True]],
    )  # fmt: skip
    assert view.html.count("<figure") == 4
    assert view.html.count('scope="row"') == 2
    assert view.html.count("✓ as asked") == 3
    assert view.html.count("✗ not as asked") == 1
    assert "4 &lt;steps&gt;" in view.html
    assert view.text == "4 <steps>: 1 ✗  3 ✓\n8: 1 ✓  3 ✓"


def test_without_marks_only_the_clips_stand_there() -> None:
    view = grid([[CLIP]], rows=["a"], columns=["b"])
    assert "as asked" not in view.html
    assert view.text == "a: b"


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="`clips` must have 1 rows of 2"):
        grid([[CLIP]], rows=["a"], columns=["b", "c"])
    with pytest.raises(UsageError, match="`right` must have 1 rows of 1"):
        grid([[CLIP]], rows=["a"], columns=["b"], right=[])
