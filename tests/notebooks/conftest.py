"""The course's notebooks, their cells and their solutions."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"^# %% (\d\d\.\d)[ ]*$", re.MULTILINE)


class Book:
    """One notebook of the course: its cells, and a copy in which solutions stand."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.number = path.name[:2]
        self.solutions = ROOT / "notebooks" / "solutions" / f"{path.stem}.py"

    def read(self) -> Any:
        """The notebook as stored."""
        book = nbformat.read(self.path, as_version=4)
        nbformat.validate(book)
        return book

    def cells(self, kind: str) -> list[Any]:
        """The cells of one kind."""
        return [c for c in self.read().cells if c.cell_type == kind]

    def checks(self) -> list[str]:
        """The exercises checked, in order."""
        return [k for c in self.cells("code") for k in re.findall(r'nb\.check\(\s*"([^"]+)"', c.source)]

    def answers(self) -> dict[str, str]:
        """The solution of each exercise, as the source of a cell."""
        parts = SECTION.split(self.solutions.read_text())[1:]
        return {key: text.strip() for key, text in zip(parts[::2], parts[1::2], strict=True)}

    def solved(self) -> Any:
        """The notebook with each cell that checks an exercise replaced by its solution."""
        book, answers = self.read(), self.answers()
        for cell in book.cells:
            for key in re.findall(
                r'nb\.check\(\s*"([^"]+)"', cell.source if cell.cell_type == "code" else ""
            ):
                cell.source = answers.pop(key)
        assert not answers, f"solutions of exercises that the notebook does not check: {sorted(answers)}"
        return book


BOOKS = [Book(p) for p in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `book` runs for each notebook."""
    if "book" in metafunc.fixturenames:
        metafunc.parametrize("book", BOOKS, ids=lambda b: b.path.stem)
