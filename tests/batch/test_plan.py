"""Which files are taken and how their outputs are called."""

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorakit.batch.plan import VIDEOS, _free, find
from sorakit.errors import OutputError, UsageError


def tree(base: Path, *names: str) -> Path:
    for name in names:
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(b"x")
    return base


def test_the_tree_is_mirrored_and_names_do_not_clash(tmp_path: Path) -> None:
    base = tree(
        tmp_path / "in", "a.mp4", "a.mkv", "a.webm", "B.MOV", "day 1/c.gif", "notes.txt", ".x/d.mp4", ".e.mp4"
    )
    (base / "link.mp4").symlink_to(base / "a.mp4")
    found = {i.source: i.output for i in find(base, tmp_path / "out")}
    assert found == {
        "a.mp4": "a.mp4",
        "a.mkv": "a.mkv.mp4",
        "a.webm": "a.webm.mp4",
        "B.MOV": "B.MOV",
        "day 1/c.gif": "day 1/c.mp4",
    }


def test_a_pattern_takes_names_or_paths(tmp_path: Path) -> None:
    base = tree(tmp_path / "in", "a.mp4", "day1/b.mov", "day1/c.dat")
    assert [i.source for i in find(base, tmp_path / "out", "*.mov")] == ["day1/b.mov"]
    assert [i.source for i in find(base, tmp_path / "out", "day1/*")] == ["day1/b.mov", "day1/c.dat"]


def test_an_output_folder_inside_the_input_is_passed_over(tmp_path: Path) -> None:
    base = tree(tmp_path / "in", "a.mp4", "out/a.mp4")
    assert [i.source for i in find(base, base / "out")] == ["a.mp4"]


def test_folders_that_cannot_be(tmp_path: Path) -> None:
    base = tree(tmp_path / "in", "a.mp4")
    with pytest.raises(UsageError, match="another folder"):
        find(base, base)
    with pytest.raises(UsageError, match="takes a folder"):
        find(base / "a.mp4", tmp_path / "out")
    with pytest.raises(OutputError, match="is a file"):
        find(base, base / "a.mp4")


@settings(deadline=None)
@given(st.sets(st.tuples(st.sampled_from("aAb"), st.sampled_from(sorted(VIDEOS))), max_size=20))
def test_no_two_outputs_are_one_on_any_file_system(names: set[tuple[str, str]]) -> None:
    taken: dict[str, str] = {}
    for stem, suffix in sorted(names):
        output = _free(stem + suffix, taken)
        assert output.casefold() not in taken
        assert PurePosixPath(output).suffix.lower() in (".mp4", ".mov", ".m4v")
        taken[output.casefold()] = stem
