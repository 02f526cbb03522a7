"""The noise slider: its levels add up, the slider changes the picture, and what goes wrong is said."""

import sys
from pathlib import Path
from typing import Any

import pytest

from sorakit.errors import ModelError, UsageError
from sorakit.generate import DEFAULT_MODEL
from sorakit.nb import NoiseSlider

torch = pytest.importorskip("torch")

PROMPT = "a big red circle moves right on a navy background"


@pytest.fixture(scope="module")
def slider() -> NoiseSlider:
    if not (DEFAULT_MODEL / "transformer").is_dir():
        pytest.skip("this checkout holds no weights")
    return NoiseSlider(PROMPT, seed=3)


def test_levels_lie_on_one_line(slider: NoiseSlider) -> None:
    half, whole, none = slider.at(0.5), slider.at(1.0), slider.at(0.0)
    assert torch.allclose(whole.noisy, whole.noise)
    assert torch.allclose(none.noisy, none.clean)
    assert torch.allclose(half.noisy - 0.5 * half.velocity, half.clean, atol=1e-5)
    assert half.pictures["noisy"].shape == (16, 32, 32, 3)


def test_less_noise_and_the_prompt_help_the_guess(slider: NoiseSlider) -> None:
    assert slider.at(0.3).psnr > slider.at(1.0).psnr > slider.at(1.0, told=False).psnr
    assert "not told the prompt" in repr(slider.at(1.0, told=False))


def test_moving_the_slider_changes_pictures_and_text(slider: NoiseSlider) -> None:
    ipywidgets = pytest.importorskip("ipywidgets")
    row, result = slider.widget().children
    level, told = row.children
    assert [type(w) for w in row.children] == [ipywidgets.FloatSlider, ipywidgets.Checkbox]
    before = result.value
    assert "noise level 0.50" in before
    assert before.count("<img") == 4
    level.value = 0.9
    assert "noise level 0.90: the model, told the prompt" in result.value
    told.value = False
    assert "noise level 0.90: the model, not told the prompt" in result.value
    assert result.value.split("<img")[1] != before.split("<img")[1]


def test_errors_are_shown_where_the_reader_looks(
    slider: NoiseSlider, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ipywidgets")
    row, result = slider.widget().children
    broken = torch.nn.Linear(1, 1)
    monkeypatch.setattr(slider.pipe.transformer, "embed", broken)
    row.children[0].value = 0.1
    assert 'role="alert"' in result.value
    assert "mat1 and mat2" in result.value


def test_what_cannot_be_shown_is_refused(slider: NoiseSlider, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"got 1\.5"):
        slider.at(1.5)
    with pytest.raises(UsageError, match="does not know"):
        NoiseSlider("a purple cat")
    with pytest.raises(ModelError):
        NoiseSlider(PROMPT, model=tmp_path)


def test_without_widgets_it_says_what_to_call(slider: NoiseSlider, monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[Any] = []
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(display, "display", shown.append)
    slider._ipython_display_()
    assert "slider.at(SIGMA)" in str(shown[0])
