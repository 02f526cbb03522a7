import numpy as np
import pytest

from sorakit.continuity import FLOOR, endpoint_psnr, facts_kept, psnr, seam_ratios
from sorakit.errors import UsageError
from sorakit.types import Rgb
from sorakit.world import parse, render

TEXT = "a big red circle orbits on a navy background"


def slope(*steps: int) -> Rgb:
    """Frames whose neighbours differ by `steps` everywhere."""
    levels = np.cumsum((0, *steps)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(levels[:, None, None, None], (len(levels), 4, 4, 3)))


def test_psnr_is_that_of_the_textbook() -> None:
    a, b = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 16, np.uint8)
    assert psnr(a, b) == pytest.approx(10 * np.log10(255**2 / 256))
    assert psnr(a, a) == 100
    with pytest.raises(UsageError):
        psnr(a, a[:2])


def test_endpoints_are_found_from_either_end() -> None:
    clip = slope(1, 1, 1)
    found = endpoint_psnr(clip, {0: clip[0], -1: clip[0]})
    assert found[0] == 100
    assert found[-1] == pytest.approx(psnr(clip[3], clip[0]))


def test_a_seam_is_a_step_larger_than_those_around() -> None:
    assert seam_ratios(slope(2, 2, 2, 6, 2, 2, 2), [4]) == [3.0]
    assert seam_ratios(slope(2, 2, 6, 2, 2, 6, 2, 2), [3, 6]) == [3.0, 3.0]
    assert seam_ratios(slope(9, 9, 2, 2, 2, 9, 9), [4], reach=1) == [1.0]


def test_still_clips_have_no_seam() -> None:
    assert seam_ratios(slope(*[0] * 8), [4]) == [1.0]
    assert seam_ratios(slope(0, 0, 0, 1, 0, 0), [4]) == [1 / FLOOR]


def test_the_truth_has_no_seam_and_keeps_its_facts() -> None:
    frames = render(parse(TEXT), 3, 64, span=16).frames
    assert np.mean(seam_ratios(frames, range(16, 64, 8))) == pytest.approx(1, abs=0.15)
    assert facts_kept(frames, TEXT, ("colour", "shape", "motion")) == {"colour": 1, "shape": 1, "motion": 1}


def test_facts_are_lost_by_the_window() -> None:
    red = render(parse(TEXT), 3, 32, span=16).frames
    cyan = render(parse(TEXT.replace("red", "cyan")), 3, 32, span=16).frames
    both = np.concatenate([red, cyan])
    assert facts_kept(both, TEXT) == {"colour": 0.5}
    story = [TEXT, TEXT, *[TEXT.replace("red", "cyan")] * 2]
    assert facts_kept(both, story) == {"colour": 1.0}
    assert facts_kept(both[:63], TEXT) == {"colour": pytest.approx(2 / 3)}  # 16, 16 and 31 frames


@pytest.mark.parametrize("seams", [[0], [8], [-1]])
def test_seams_outside_are_refused(seams: list[int]) -> None:
    with pytest.raises(UsageError, match="a seam must be"):
        seam_ratios(slope(*[1] * 7), seams)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(UsageError, match="no step beside it"):
        seam_ratios(slope(1), [1])
    with pytest.raises(UsageError, match="a window of 16"):
        facts_kept(slope(1, 1), TEXT)
    with pytest.raises(UsageError, match="one for each of the 2 windows, got 3"):
        facts_kept(np.zeros((32, 16, 16, 3), np.uint8), [TEXT] * 3)
