"""A widget where one can be, and what stands in for it where none can."""

from typing import Any

import pytest

from sorakit.nb.shown import Shown


class Answer(Shown):
    """Counts as a widget what is given to it."""

    def __init__(self, widget: object) -> None:
        self.made = widget

    def widget(self) -> Any:
        if isinstance(self.made, Exception):
            raise self.made
        return self.made

    def __repr__(self) -> str:
        return "the answer in words"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    display = pytest.importorskip("IPython.display")
    seen: list[object] = []
    monkeypatch.setattr(display, "display", seen.append)
    return seen


def test_the_widget_is_shown(shown: list[object]) -> None:
    Answer(42)._ipython_display_()
    assert shown == [42]


def test_without_its_packages_or_a_kernel_words_are(
    shown: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    Answer(ImportError("ipywidgets"))._ipython_display_()
    monkeypatch.setenv("SORAKIT_WIDGETS", "none")
    Answer(42)._ipython_display_()
    assert shown == ["the answer in words"] * 2


def test_other_errors_are_not_hidden(shown: list[object]) -> None:
    with pytest.raises(ZeroDivisionError):
        Answer(ZeroDivisionError())._ipython_display_()
    assert shown == []
