"""Notebooks: stored without outputs, short cells, and they run from top to bottom in a fresh home."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from sorakit.generate import DEFAULT_MODEL

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MAX_LINES = 15
SECONDS = 500


def cells(path: Path, kind: str) -> list[Any]:
    """The notebook's cells of one kind."""
    book = nbformat.read(path, as_version=4)
    nbformat.validate(book)
    return [c for c in book.cells if c.cell_type == kind]


def test_there_are_notebooks() -> None:
    assert [p.name for p in NOTEBOOKS][:1] == ["00_five_minute_tour.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_output_is_stored_and_cells_are_short(path: Path) -> None:
    for cell in cells(path, "code"):
        assert cell.outputs == []
        assert cell.execution_count is None
        assert len(cell.source.splitlines()) <= MAX_LINES, cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_teaches(path: Path) -> None:
    """It opens with what one will be able to do, asks to predict, and ends with exercises and a recap."""
    text = [c.source for c in cells(path, "markdown")]
    assert text[0].startswith("# ")
    assert "you can" in text[0]
    whole = "\n".join(text).lower()
    for part in ("predict", "exercise", "recap", "read on"):
        assert part in whole, part


@pytest.fixture
def fresh_home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a kernel that finds no keys, no registry and no settings of this user."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("SORAKIT_")}
    folders = {
        "SORAKIT_HOME": "home",
        "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "config",
        "TMPDIR": "tmp",
    }
    for name in folders.values():
        (tmp_path / name).mkdir()
    yield env | {key: str(tmp_path / name) for key, name in folders.items()}


@pytest.mark.slow
@pytest.mark.timeout(600)  # a minute of work; a busy machine needs its time
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_runs_from_top_to_bottom(path: Path, tmp_path: Path, fresh_home: dict[str, str]) -> None:
    if importlib.util.find_spec("nbconvert") is None:
        pytest.skip("nbconvert is not installed")
    if not (DEFAULT_MODEL / "transformer").is_dir():
        pytest.skip("this checkout holds no weights")
    work = tmp_path / "work"
    work.mkdir()
    shutil.copy(path, work)
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace"]
    command += [f"--ExecutePreprocessor.timeout={SECONDS}", path.name]
    done = subprocess.run(
        command, cwd=work, env=fresh_home, capture_output=True, text=True, timeout=580, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    outputs = [o for c in cells(work / path.name, "code") for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert sorted(p.name for p in work.iterdir()) == [path.name]
    if path.name.startswith("00"):
        shown = str(outputs)
        assert "AI, declared" in shown
        assert "AI, recovered" in shown
        assert "Tampered" in shown
        assert shown.count("not answered yet") == 6  # three exercises, each as HTML and as text
