"""The strength lab: weaker marks cost evidence, the sliders do what the call does, and errors are shown."""

import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.nb import StrengthLab
from sorakit.types import Clip


@pytest.fixture(scope="module")
def clip(clip_factory: Any) -> Clip:
    made: Clip = clip_factory(seconds=0.5, size=(256, 256))
    return made


def test_a_weaker_mark_shows_less_and_lasts_less(clip: Clip) -> None:
    lab = StrengthLab(clip)
    strong, weak = lab.run(42, 34), lab.run(55, 34)
    assert strong.right
    assert not weak.right
    assert 41.5 < strong.psnr < 46  # a short clip ends before its first frame's extra is paid back
    assert weak.psnr > 54
    assert strong.found.log10_p < -12
    assert weak.found.log10_p == 0
    spread = [float(m.pictures[2].std()) for m in (strong, weak)]
    assert spread[0] > 2 * spread[1] > 0
    assert np.array_equal(strong.pictures[0], clip.frames[6])
    assert "the mark reads, log10 p -" in repr(strong)
    assert repr(weak).endswith("H.264 at CRF 34: the mark does not read")
    assert lab.tried == [strong, weak]
    assert strong._repr_html_().count("<img") == 3


def test_without_an_upload_it_reads_best(clip: Clip) -> None:
    lab = StrengthLab(clip)
    at_once, after = lab.run(48, None), lab.run(48, 40)
    assert at_once.found.log10_p < after.found.log10_p
    assert "no upload" in repr(at_once)
    assert at_once.written != after.written  # a fresh payload each time, so nothing is remembered


def test_the_sliders_do_what_the_call_does(clip: Clip) -> None:
    ipywidgets = pytest.importorskip("ipywidgets")
    lab = StrengthLab(clip)
    row, result, earlier = lab.widget().children
    strength, upload = row.children
    assert [type(w) for w in row.children] == [ipywidgets.FloatSlider, ipywidgets.IntSlider]
    assert repr(lab.tried[0]) in result.value
    strength.value, upload.value = 55.0, 40
    assert len(lab.tried) == 3
    assert lab.tried[-1].crf == 40
    assert "the mark does not read" in result.value
    assert earlier.value.count("<tr>") == 4
    upload.max = 51
    upload.value = 51  # beyond what is offered
    assert 'role="alert"' in result.value
    assert "`crf` must be 18 to 45" in result.value


@pytest.mark.parametrize(("psnr", "crf", "says"), [(30, 28, "`psnr`"), (56, 28, "`psnr`"), (45, 10, "`crf`")])
def test_strengths_out_of_range_are_refused(clip: Clip, psnr: float, crf: int, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        StrengthLab(clip).run(psnr, crf)


@pytest.mark.parametrize("size", [(64, 256), (129, 128)])
def test_clips_that_do_not_fit_are_refused(size: tuple[int, int]) -> None:
    frames = np.zeros((2, *size, 3), np.uint8)
    with pytest.raises(UsageError, match="even sides of 128 px or more"):
        StrengthLab(Clip(frames, Fraction(12)))


def test_without_a_notebook_it_says_what_to_call(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[object] = []
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(display, "display", shown.append)
    StrengthLab(clip)._ipython_display_()
    assert "lab.run(PSNR, CRF)" in str(shown[0])
