"""The attack lab: the same by button and by call, and what goes wrong is said."""

import sys
from pathlib import Path
from typing import Any

import pytest

from sorakit.errors import UsageError
from sorakit.nb import AttackLab
from sorakit.types import Decision
from sorakit.watermark.attacks import ATTACKS


def test_it_attacks_checks_and_recovers(way: Any) -> None:
    done = way.publish(way.clip(), "a.mp4")
    lab = AttackLab(done.path, ["remux", "flip_byte"], settings=way.settings)
    gone = lab.run("remux")
    assert gone.verdict.decision is Decision.AI_RECOVERED
    assert gone.verdict.evidence.recovery.manifest_id == done.manifest_id
    assert lab.last is gone
    assert "AI, recovered" in gone._repr_html_()
    assert repr(gone).startswith("remux: ai_recovered")
    assert lab.run("flip_byte").verdict.decision is Decision.TAMPERED
    assert lab.run("remux").verdict.decision is Decision.AI_RECOVERED
    assert done.path.exists()


def test_the_widget_does_the_same_with_native_controls(way: Any) -> None:
    ipywidgets = pytest.importorskip("ipywidgets")
    done = way.publish(way.clip(), "a.mp4")
    lab = AttackLab(done.path, ["remux", "h264_crf28", "average_forge"], settings=way.settings)
    row, says, result = lab.widget().children
    chosen, slider, button = row.children
    assert [type(w) for w in row.children] == [
        ipywidgets.Dropdown,
        ipywidgets.FloatSlider,
        ipywidgets.Button,
    ]
    assert [label for label, _ in chosen.options] == ["remux", "h264 crf28", "average forge"]
    assert slider.disabled  # a remux has nothing to turn
    button.click()
    assert "AI, recovered" in result.value
    assert "before" in result.value
    assert f"the mark reads: {done.payload} (log10 p -" in result.value
    chosen.value = "h264_crf28"
    assert (slider.min, slider.value, slider.max, slider.disabled) == (10, 28, 51, False)
    assert "10 to 51 CRF" in says.value
    slider.value = 51
    button.click()
    assert "h264_crf28, strength 51" in result.value
    assert lab.last is not None
    assert lab.last.strength == 51
    assert not lab.last.verdict.evidence.watermark.found
    assert "the mark does not read" in result.value
    chosen.value = "average_forge"
    button.click()
    assert 'role="alert"' in result.value
    assert "needs 1 more video" in result.value


def test_wrong_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="got melt"):
        AttackLab(tmp_path / "a.mp4", ["remux", "melt"])
    with pytest.raises(UsageError, match="`names`"):
        AttackLab(tmp_path / "a.mp4", [])
    lab = AttackLab(tmp_path / "a.mp4", ["remux"])
    with pytest.raises(UsageError, match="one of remux, got 'mirror'"):
        lab.run("mirror")


def test_without_a_notebook_it_says_what_to_call(tmp_path: Path) -> None:
    text = repr(AttackLab(tmp_path / "a.mp4"))
    assert "lab.run(NAME, STRENGTH)" in text
    assert all((name in text) == (not ATTACKS[name].needs_others) for name in ATTACKS)


def test_a_notebook_without_widgets_shows_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[object] = []
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(display, "display", shown.append)
    AttackLab(tmp_path / "a.mp4", ["remux"])._ipython_display_()
    assert len(shown) == 1
    assert "lab.run(NAME, STRENGTH) with NAME one of remux" in str(shown[0])
