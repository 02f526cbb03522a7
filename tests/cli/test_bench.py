"""`sorakit bench generate` as a program: JSON alone on stdout, the rest on stderr; what it refuses."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from sorakit.cli import app
from sorakit.errors import SorakitError

QUICK = ("bench", "generate", "--n", "2", "--seeds", "1", "--steps", "1", "--threads", "1")


def kit(*args: object, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-P", "-c", "from sorakit.cli import main; main()", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, timeout=250)


def test_json_and_picture(tmp_path: Path) -> None:
    done = kit(*QUICK, "--json", "--combos", "both", "--picture", "clips.png", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    wanted = {"all_facts", "colour", "shape", "size", "motion", "count", "background", "camera"}
    assert wanted | {f"{w}_ci" for w in wanted} | {"n"} <= result.keys()
    assert (result["n"], result["seeds"], result["steps"], result["combos"]) == (2, 1, 1, "both")
    assert done.stderr == ""
    with Image.open(tmp_path / "clips.png") as sheet:
        assert sheet.format == "PNG"
    assert [p.name for p in tmp_path.iterdir()] == ["clips.png"]


def test_tables_for_people_go_to_stderr(tmp_path: Path) -> None:
    done = kit(*QUICK, "--frames", 24, "--width", 48, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "24 frames of 48 × 32 px" in done.stderr
    assert re.search(r"^all facts +\d\.\d{3} +\d\.\d{3} to \d\.\d{3} +\d\.\d{3}", done.stderr, re.M)
    assert re.search(r"^one object +2 ", done.stderr, re.M)
    assert "two objects" not in done.stderr  # the model shows one
    assert max(map(len, done.stderr.splitlines())) <= 80


@pytest.mark.parametrize(
    "bad",
    [("--n", "0"), ("--seeds", "0"), ("--combos", "odd"), ("--frames", "4"), ("--guidance", "-1"),
     ("--dtype", "int8")],
    ids=str,
)  # fmt: skip
def test_what_typer_refuses(bad: tuple[str, str]) -> None:
    assert CliRunner().invoke(app, ["bench", "generate", *bad]).exit_code == 2


@pytest.mark.parametrize(
    ("bad", "code", "words"),
    [
        (("--picture", "clips.jpg"), 2, ".png"),
        (("--picture", "none/clips.png"), 2, "folder that exists"),
        (("--model", "nowhere"), 1, "not a model folder"),
        (("--n", "1", "--combos", "both"), 2, "at least 2"),
        (("--n", "100000", "--seeds", "2"), 2, "100,000"),
    ],
    ids=str,
)
def test_what_the_kit_refuses(
    bad: tuple[str, ...], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SorakitError, match=re.escape(words)) as caught:
        CliRunner().invoke(app, [*QUICK, *bad], catch_exceptions=False)
    assert caught.value.exit_code == code
    assert list(tmp_path.iterdir()) == []


def test_help_has_an_example_and_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['sorakit', 'bench', 'generate', '--help']\n"
        "from sorakit.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    assert not {'torch', 'diffusers', 'PIL', 'cv2'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "sorakit bench generate --n 20" in done.stdout
