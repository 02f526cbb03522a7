"""Notebooks are stored without outputs, in short cells, and each teaches in the same steps."""

import re
from pathlib import Path
from typing import Any

from sorakit.nb.course import titles
from sorakit.nb.exercise import exercises

MAX_LINES = 15


def test_the_course_is_whole() -> None:
    """Fourteen notebooks, and three exercises each: 42."""
    numbers = [f"{n:02}" for n in range(14)]
    assert list(titles()) == numbers
    assert [e.key for n in numbers for e in exercises(n)] == [f"{n}.{k}" for n in numbers for k in (1, 2, 3)]


def test_no_output_is_stored_and_cells_are_short(book: Any) -> None:
    for cell in book.cells("code"):
        assert cell.outputs == []
        assert cell.execution_count is None
        assert len(cell.source.splitlines()) <= MAX_LINES, cell.source


def test_it_teaches(book: Any) -> None:
    """It opens with what one will be able to do, asks to predict, and closes with a recap."""
    text = [c.source for c in book.cells("markdown")]
    assert text[0].startswith("# ")
    assert "you can" in text[0]
    whole = "\n".join(text).lower()
    for part in ("predict", "exercise", "recap", "read on"):
        assert part in whole, part


def test_it_checks_three_exercises_and_each_has_a_solution_apart(book: Any) -> None:
    keys = [f"{book.number}.{k}" for k in (1, 2, 3)]
    assert book.checks() == keys
    assert list(book.answers()) == keys
    for cell in book.solved().cells:
        assert len(cell.source.splitlines()) <= MAX_LINES or cell.cell_type != "code", cell.source
    everything = "\n".join(c.source for c in book.read().cells)
    assert "<summary>Solution" not in everything


def test_its_links_to_files_lead_somewhere(book: Any) -> None:
    for cell in book.cells("markdown"):
        for target in re.findall(r"\]\(([^)#]+)", cell.source):
            if "://" not in target:
                assert (Path(book.path).parent / target).exists(), target
