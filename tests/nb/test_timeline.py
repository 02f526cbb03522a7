"""The timeline: frames in order, given ones marked, seams with the ratio that `seam_ratios` gives."""

import re

import numpy as np
import pytest

from sorakit.continuity import seam_ratios
from sorakit.errors import UsageError
from sorakit.nb import seam_strip
from sorakit.types import Rgb


def fade(count: int = 12, jump: int = 20) -> Rgb:
    """Two grey levels a frame, `jump` more from frame 6 on."""
    levels = 2 * np.arange(count) + jump * (np.arange(count) >= 6)
    return np.repeat(levels.astype(np.uint8), 16 * 16 * 3).reshape(count, 16, 16, 3)


def test_it_marks_given_frames_and_seams() -> None:
    view = seam_strip(fade(), given=[0, 1, 2, -1], seams=[6], caption="<b>")
    ratio = seam_ratios(fade(), [6])[0]
    assert ratio == 11
    assert repr(view) == (
        "<b>: 12 frames, given: 0–2, 11; seam before frame 6: 11.00 times the steps around it"
    )
    assert view.html.count("<img") == 12
    assert view.html.count("4px solid #0072B2") == 4
    assert view.html.count("4px dotted #D55E00") == 8
    assert re.findall(r"seam<br>([\d.]+)×", view.html) == ["11.00"]
    assert "<bdi><b>" not in view.html
    assert 'aria-label="12 frames, given' in view.html


def test_bars_are_as_tall_as_the_steps() -> None:
    bars = [int(h) for h in re.findall(r"height:(\d+)px;min-height", seam_strip(fade(jump=6)).html)]
    assert len(bars) == 11
    assert max(bars) == bars[5] == 28
    assert set(bars[:5] + bars[6:]) == {7}


def test_without_seams_it_says_less() -> None:
    view = seam_strip(fade())
    assert repr(view) == "12 frames, given: none"
    assert "multiple" not in view.html


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="2 to 64"):
        seam_strip(np.zeros((65, 16, 16, 3), np.uint8))
    with pytest.raises(UsageError, match="`given` must lie"):
        seam_strip(fade(), given=[12])
    with pytest.raises(UsageError, match="a seam must be"):
        seam_strip(fade(), seams=[12])
    with pytest.raises(UsageError, match="`height`"):
        seam_strip(fade(), height=4)
