"""The working copy: whole, the reader's own work safe, the installed notebooks untouched; and its command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sorakit.errors import OutputError, UsageError
from sorakit.nb.course import find, home, titles, working_copy


def sorakit(*words: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-P", "-c", "from sorakit.cli import main; main()", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_copy_holds_the_notebooks_and_what_they_link_to(tmp_path: Path) -> None:
    added = working_copy(tmp_path / "mine")
    for name in titles().values():
        copy = tmp_path / "mine" / "notebooks" / name
        assert copy in added
        assert copy.read_bytes() == (home() / "notebooks" / name).read_bytes()
    assert (tmp_path / "mine" / "docs" / "verifying.md").is_file()
    assert not list((tmp_path / "mine").rglob("solutions"))


def test_the_readers_work_stays(tmp_path: Path) -> None:
    working_copy(tmp_path)
    mine = tmp_path / "notebooks" / find("0")
    mine.write_text("mine")
    assert working_copy(tmp_path) == []
    assert mine.read_text() == "mine"
    assert working_copy(tmp_path, fresh=find("00")) == [mine]
    assert mine.read_text() != "mine"
    assert [p.read_text() for p in mine.parent.glob("*.mine-*.ipynb")] == ["mine"]


def test_the_course_itself_is_no_working_copy(tmp_path: Path) -> None:
    for folder in (home(), home() / "notebooks"):
        with pytest.raises(UsageError, match="the course itself"):
            working_copy(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write the course"):
        working_copy(tmp_path / "file")


def test_the_command_lists_and_refuses() -> None:
    listed = sorakit("lab", "--list")
    assert listed.stdout.split() == list(titles().values())
    for words, says in (
        (("lab", "77"), "choose one of 00"),
        (("lab", "04", "--app"), "only notebooks 00 and 13"),
        (("lab", "--fresh"), "needs the number"),
    ):
        done = sorakit(*words)
        assert done.returncode == 2
        assert says in " ".join(done.stderr.split())


@pytest.mark.skipif(os.name != "posix", reason="a stand-in for the server")
def test_it_serves_from_the_copy_on_this_machine_alone(tmp_path: Path) -> None:
    """What is started is looked at without starting it: a package of the same name, found first."""
    (tmp_path / "jupyterlab").mkdir()
    (tmp_path / "jupyterlab" / "__init__.py").write_text("")
    (tmp_path / "jupyterlab" / "__main__.py").write_text("import sys, os; print(os.getcwd(), *sys.argv[1:])")
    command = [sys.executable, "-c", "from sorakit.cli import main; main()", "lab", "0", "--no-browser"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(home())])}
    done = subprocess.run(
        [*command, "--folder", tmp_path / "mine", "--port", "9999"],
        env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    where, *words = done.stdout.split()
    assert Path(where) == (tmp_path / "mine").resolve()
    assert {"--ServerApp.ip=127.0.0.1", "--ServerApp.port=9999", "--no-browser"} <= set(words)
    assert words[-1] == f"notebooks/{find('00')}"
