from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorakit.errors import UsageError
from sorakit.given import gather
from sorakit.types import Rgb

SIZE = (8, 4, 6)


def picture(seed: int, *run: int) -> Rgb:
    return np.random.default_rng(seed).integers(1, 256, (*run, 4, 6, 3), np.uint8)


@settings(deadline=None)
@given(st.sets(st.integers(-8, 7), max_size=6), st.integers(1, 3))
def test_frames_land_in_their_places(places: set[int], count: int) -> None:
    if len({p % 8 for p in places}) < len(places):
        return
    frames = {p: picture(p + 8) for p in places}
    out = gather(count, SIZE, frames=frames)
    if not places:
        assert out is None
        return
    assert out is not None
    made = np.zeros((count, *SIZE, 3), np.uint8)
    pasted = out.paste(made)
    for p in range(8):
        chosen = next((q for q in places if q % 8 == p), None)
        assert out.mask[:, p].all() == (chosen is not None)
        np.testing.assert_array_equal(pasted[-1, p], made[0, p] if chosen is None else frames[chosen])
    np.testing.assert_array_equal(out.paste(pasted), pasted)


def test_runs_images_and_clips_of_their_own() -> None:
    out = gather(2, SIZE, image=picture(1), last_image=[None, picture(2)], frames=[{2: picture(3, 3)}, None])
    assert out is not None
    assert out.mask.astype(int).tolist() == [[1, 0, 1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 1]]
    np.testing.assert_array_equal(out.pictures[0, 2:5], picture(3, 3))
    np.testing.assert_array_equal(out.pictures[1, 7], picture(2))


def test_a_group_holds_an_image_throughout() -> None:
    out = gather(1, SIZE, last_image=picture(1), group=4)
    assert out is not None
    assert out.mask[0].tolist() == [False] * 4 + [True] * 4
    assert (out.pictures[0, 4:] == picture(1)).all()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"image": picture(1).astype(float)}, "`image` must be uint8"),
        ({"image": picture(1)[:2]}, "must be 4×6 px as the clip, got 2×6; resize"),
        ({"image": [picture(1)]}, "one for each of the 2 prompts, got 1"),
        ({"image": 7}, "must be given as arrays or pictures, got int"),
        ({"image": picture(1), "frames": {0: picture(2)}}, "frame 0 is given twice"),
        ({"frames": {0: picture(1, 3), 2: picture(2)}}, "frame 2 is given twice"),
        ({"frames": {8: picture(1)}}, "must lie in the clip of 8 frames"),
        ({"frames": {-9: picture(1)}}, "must lie in the clip of 8 frames"),
        ({"frames": {6: picture(1, 3)}}, "got 3 frame"),
        ({"frames": {"0": picture(1)}}, "whole numbers"),
        ({"frames": [[picture(1)], None]}, "must map places"),
        ({"frames": {0: picture(1, 8)}}, "none is left to make"),
        ({"frames": {1: picture(1)}, "group": 4}, "4 at a time; got part of 0 to 3"),
    ],
)
def test_what_cannot_be_given_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        gather(2, SIZE, **change)
