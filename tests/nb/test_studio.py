"""The studio: a sentence becomes a published, checked, attacked video, by form as by call."""

import sys
from pathlib import Path
from typing import Any

import pytest

from sorakit.errors import ModelError, UsageError
from sorakit.generate import DEFAULT_MODEL
from sorakit.nb import Studio
from sorakit.types import Decision

PROMPT = "a big red circle bounces on a navy background"

needs_weights = pytest.mark.skipif(
    not (DEFAULT_MODEL / "transformer").is_dir(), reason="this checkout holds no weights"
)


@needs_weights
def test_it_makes_publishes_checks_and_attacks(way: Any, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    studio = Studio(tmp_path, settings=way.settings)
    told: list[tuple[str, float]] = []
    made = studio.make(
        PROMPT, seed=3, size="wide", steps=2, progress=lambda s, share: told.append((s, share))
    )
    assert made is studio.last
    assert made.clip.frames.shape == (16, 32, 48, 3)
    assert made.clip.generation is not None
    assert (made.clip.generation.seed, made.clip.generation.parameters["steps"]) == (3, 2)
    assert made.verdict.decision is Decision.AI_DECLARED
    assert way.rows() == [made.published.manifest_id]
    assert "AI, declared" in made._repr_html_()
    assert "data:video/mp4" in made._repr_html_()
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert list(dict.fromkeys(s for s, _ in told)) == ["generate", "publish", "check"]
    assert 0.34 < told[1][1] < 0.36  # one of two steps
    assert studio.attack("remux").verdict.decision is Decision.AI_RECOVERED
    assert studio.make(PROMPT, steps=1).published.path.name == "clip-2.mp4"


@needs_weights
def test_the_form_does_the_same(way: Any) -> None:
    pytest.importorskip("ipywidgets")
    pytest.importorskip("torch")
    studio = Studio(settings=way.settings)
    prompt, hint, row, bar, result, attacks = studio.widget().children
    seed, size, steps, button = row.children
    assert [name for _, name in size.options] == list(studio.sizes)
    assert steps.value == studio.info.steps
    prompt.value = "a big purple circle bounces on a navy background"
    assert "“purple” (nearest: magenta)" in hint.value
    button.click()
    assert 'role="alert"' in result.value
    assert "nearest: magenta" in result.value
    assert (studio.last, bar.value, button.disabled) == (None, 0.0, False)
    prompt.value, seed.value, steps.value = PROMPT, 5, 1
    assert hint.value == ""
    button.click()
    assert "AI, declared" in result.value
    assert (bar.value, bar.description) == (1.0, "Done")
    assert studio.last is not None
    assert studio.last.clip.generation is not None
    assert studio.last.clip.generation.seed == 5
    (lab,) = attacks.children
    chosen, _, attack = lab.children[0].children[:3]
    chosen.value = "remux"
    attack.click()
    assert studio.lab is not None
    assert studio.lab.last is not None


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    studio = Studio(tmp_path)
    with pytest.raises(UsageError, match="nothing has been made"):
        studio.attack("remux")
    with pytest.raises(UsageError, match="usual, wide, tall, longer, got 'huge'"):
        studio.make(PROMPT, size="huge")
    for steps in (0, 65):
        with pytest.raises(UsageError, match="`steps`"):
            studio.make(PROMPT, steps=steps)
    with pytest.raises(UsageError, match="nearest"):
        studio.make("a big purple circle bounces on a navy background")
    with pytest.raises(ModelError):
        Studio(model=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_widgets_it_says_what_to_call(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[object] = []
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(display, "display", shown.append)
    Studio()._ipython_display_()
    assert "studio.make(PROMPT" in str(shown[0])
