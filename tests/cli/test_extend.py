"""`sorakit extend` as a program: the source stays, the manifest names it, what it cannot do it says."""

import hashlib
import json
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.schedulers import FlowMatchEulerDiscreteScheduler
from typer.testing import CliRunner

from sorakit.cli import app
from sorakit.config import Settings
from sorakit.errors import InputError, SorakitError, UsageError
from sorakit.generate import DEFAULT_MODEL
from sorakit.model.dit import VideoDiT
from sorakit.model.text import TextEncoder
from sorakit.model.tokenizer import build_tokenizer
from sorakit.pipeline import SoraPipeline
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import read_credential
from sorakit.types import Clip
from sorakit.video.read import read_clip
from sorakit.video.write import write_clip
from sorakit.world import parse, render
from sorakit.world.caption import EXAMPLE


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model that takes frames."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    dit = VideoDiT(width=16, depth=1, heads=2, text_width=16, given_frames=True)
    text = TextEncoder(width=16, heads=2)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=4.0)
    SoraPipeline(build_tokenizer(), text, dit, scheduler).save_pretrained(folder)
    said = json.loads((DEFAULT_MODEL / "sorakit.json").read_text()) | {"name": "sorakit-test", "steps": 1}
    (folder / "sorakit.json").write_text(json.dumps(said))
    return folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "in.mp4"
    frames = render(parse(EXAMPLE), 1, 24, 64, 96).frames
    write_clip(Clip(frames, Fraction(24)), path)
    return path


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_source_stays_and_is_named(
    model: Path, source: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SORAKIT_HOME", str(settings.home))
    arguments = ["extend", source, EXAMPLE, "-o", "out.mp4", "--seconds", 2, "--model", model, "--json"]
    command = [sys.executable, "-P", "-c", "from sorakit.cli import main; main()", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=250)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["file"] == "out.mp4"
    clip = read_clip(tmp_path / "out.mp4")
    assert clip.frames.shape == (24, 256, 384, 3)
    assert clip.fps == 12
    before = read_clip(source).frames[::2]
    small, large = (f[:12].mean((1, 2)) for f in (before, clip.frames))
    assert np.abs(small - large).max() < 6
    said = read_credential(tmp_path / "out.mp4", Trust()).generation
    assert said is not None
    assert said["model"]["name"] == "sorakit-test"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert said["parameters"]["source_file"] == f"sha256:{digest}"
    assert said["parameters"]["source_frames"] == 12
    assert EXAMPLE not in json.dumps(said)


def test_a_model_without_given_frames_is_refused(text_only: Path, source: Path, work: Path) -> None:
    args = ["extend", str(source), EXAMPLE, "-o", "out.mp4", "--seconds", "2", "--model", str(text_only)]
    done = CliRunner().invoke(app, args)
    assert isinstance(done.exception, UsageError)
    assert "sorakit-text-only was not trained to be given images or frames" in str(done.exception)
    assert not list(work.iterdir())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"source": "none.mp4"}, (InputError, "no such file")),
        ({"--seconds": "1"}, (UsageError, "`seconds` must be over the clip's 1.00")),
        ({"--output": "out.avi"}, (UsageError, "must end in")),
        ({"prompt": "a red dragon"}, (UsageError, "does not know “dragon”")),
        ({"--known": "16"}, (UsageError, "`known` must be")),
    ],
)
def test_what_it_cannot_do_it_says(
    model: Path,
    source: Path,
    work: Path,
    change: dict[str, str],
    expected: tuple[type[SorakitError], str],
) -> None:
    kind, problem = expected
    given = {"source": str(source), "prompt": EXAMPLE, "--output": "out.mp4", "--seconds": "2"}
    given |= {"--model": str(model)} | change
    options = [x for k, v in given.items() if k.startswith("--") for x in (k, v)]
    done = CliRunner().invoke(app, ["extend", str(given["source"]), str(given["prompt"]), *options])
    assert isinstance(done.exception, kind)
    assert problem in str(done.exception)
    assert list(work.iterdir()) == []


def test_help_shows_an_example() -> None:
    done = CliRunner().invoke(app, ["extend", "--help"], env={"COLUMNS": "200"})
    assert "Example:" in done.stdout
    assert re.search(r"--direction.*forward\|backward", done.stdout)
