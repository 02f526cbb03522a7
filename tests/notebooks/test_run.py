"""Every notebook runs from top to bottom in a fresh home: as shipped, and with the solutions in place."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from sorakit.generate import DEFAULT_MODEL

SECONDS = 500  # a busy machine needs its time; on two idle cores none takes two minutes
SHORT = {"SORAKIT_COURSE_SECONDS": "20", "OMP_NUM_THREADS": "1"}  # two notebooks run at once on two cores

pytestmark = [pytest.mark.slow, pytest.mark.course, pytest.mark.timeout(SECONDS + 60)]


@pytest.fixture
def fresh_home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a kernel that finds no keys, no registry and no settings of this user."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("SORAKIT_") or "TEST" in k}
    folders = {
        "SORAKIT_HOME": "home",
        "IPYTHONDIR": "ipython",
        "JUPYTER_CONFIG_DIR": "config",
        "TMPDIR": "tmp",
    }
    for name in folders.values():
        (tmp_path / name).mkdir()
    yield env | {key: str(tmp_path / name) for key, name in folders.items()} | SHORT


def run(book: Any, content: Any, folder: Path, env: dict[str, str]) -> list[str]:
    """Execute a notebook by itself in `folder`; its outputs as text, one a cell that made any."""
    if not (DEFAULT_MODEL / "transformer").is_dir():
        pytest.skip("this checkout holds no weights")
    work = folder / "work"
    work.mkdir()
    nbformat.write(content, work / book.path.name)
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace"]
    command += [f"--ExecutePreprocessor.timeout={SECONDS}", book.path.name]
    done = subprocess.run(
        command, cwd=work, env=env, capture_output=True, text=True, timeout=SECONDS + 40, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert sorted(p.name for p in work.iterdir()) == [book.path.name], "it writes beside itself"
    ran = nbformat.read(work / book.path.name, as_version=4)
    outputs = [o for c in ran.cells if c.cell_type == "code" for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"], "warnings are no part of a lesson"
    return [str(o) for o in outputs]


def test_as_shipped_nothing_is_done_yet(book: Any, tmp_path: Path, fresh_home: dict[str, str]) -> None:
    shown = "\n".join(run(book, book.read(), tmp_path, fresh_home))
    for key in book.checks():
        assert f"{key}: not done yet" in shown
        assert f"{key}: right" not in shown
    if book.number == "00":
        for says in ("AI, declared", "AI, recovered", "Tampered"):
            assert says in shown


def test_with_the_solutions_every_check_passes(book: Any, tmp_path: Path, fresh_home: dict[str, str]) -> None:
    shown = "\n".join(run(book, book.solved(), tmp_path, fresh_home))
    for key in book.checks():
        assert f"{key}: right" in shown
        assert f"{key}: not" not in shown
