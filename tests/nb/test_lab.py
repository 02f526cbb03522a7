"""The attack lab and the exercises: the same by button and by call, and what goes wrong is said."""

from pathlib import Path
from typing import Any

import pytest

from sorakit.errors import UsageError
from sorakit.nb import AttackLab, expect
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


def test_buttons_do_the_same_and_can_be_reached_by_keyboard(way: Any) -> None:
    ipywidgets = pytest.importorskip("ipywidgets")
    done = way.publish(way.clip(), "a.mp4")
    lab = AttackLab(done.path, ["remux", "flip_byte"], settings=way.settings)
    row, result = lab.widget().children
    assert [type(b) for b in row.children] == [ipywidgets.Button] * 2
    assert [b.description for b in row.children] == ["remux", "flip byte"]
    assert all(b.tooltip for b in row.children)
    row.children[0].click()
    assert "AI, recovered" in result.value
    done.path.unlink()
    row.children[1].click()
    assert 'role="alert"' in result.value
    assert "a.mp4" in result.value


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
    assert "lab.run(NAME)" in text
    assert all(name in text for name in ATTACKS)


def test_answers_are_compared_kindly() -> None:
    assert repr(expect(" AI_Recovered ", "ai_recovered", "h")) == "right"
    assert repr(expect(3, 3, "h")) == "right"
    assert repr(expect(False, True, "h")) == "not quite; hint: h"
    for nothing in (None, ...):
        assert repr(expect(nothing, "x", "look")) == "not answered yet; hint: look"
    assert "<b>" not in expect("no", "x", "<b>look").html
    assert "secret" not in expect("no", "secret", "look").html
