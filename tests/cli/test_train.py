import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sorakit.cli import app
from sorakit.errors import UsageError
from sorakit.train.logs import read_log

KIT = (sys.executable, "-P", "-c", "from sorakit.cli import main; main()")
TINY = ("--recipe", "tiny", "--set", "prompts=2", "--set", "batch=4")


def ask(*args: str) -> str:
    done = CliRunner().invoke(app, ["train", *args], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_recipes_are_listed() -> None:
    found = json.loads(ask("--list", "--json"))
    names = [r["name"] for r in found["recipes"]]
    assert {"one-object", "full-world", "tiny"} <= set(names)
    assert set(found["others"]) == {"autoencoder", "student"}


def test_help_shows_examples() -> None:
    text = ask("--help")
    assert "accelerate launch" in " ".join(text.split())
    assert "--set" in text


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--steps", "2"], "--out"),
        (["--out", "x"], "hours"),
        (["--out", "x", "--steps", "2", "--recipe", "tniy"], "nearest: tiny"),
        (["--out", "x", "--steps", "2", "--set", "batch=0"], "more than 0"),
        (["--out", "x", "--steps", "2", "--parallel", "fsdp"], "accelerate launch"),
        (["--out", "x", "--steps", "2", "--teacher", "y"], "student"),
        (["--out", "x", "--steps", "2", "--recipe", "student"], "--teacher"),
        (["--out", "x", "--steps", "2", "--recipe", "student", "--start", "one-object-4step"], "--teacher"),
        (["--out", "x", "--steps", "2", "--recipe", "autoencoder", "--set", "lr=1"], "--set"),
        (["--out", "x", "--steps", "2", "--recipe", "autoencoder", "--start", "one-object"], "--start"),
        (["--out", "x", "--steps", "2", "--recipe", "autoencoder", "--log-every", "5"], "--log-every"),
        (["--out", "x", "--steps", "2", "--recipe", "autoencoder", "--teacher", "x"], "--teacher"),
    ],
)
def test_wrong_options_are_refused_in_words(
    args: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["train", *args])
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
    assert not list(tmp_path.iterdir())


def test_it_trains_exports_and_goes_on(tmp_path: Path) -> None:
    run, model = tmp_path / "run", tmp_path / "model"
    first = json.loads(ask(*TINY, "--out", str(run), "--steps", "2", "--log-every", "1", "--json"))
    assert first["step"] == 2
    text = ask(*TINY, "--out", str(run), "--steps", "4", "--export", str(model), "--dtype", "float32")
    assert text == ""  # what is said is for people, on stderr
    assert read_log(run / "log.jsonl")[-1]["step"] == 4
    assert {"model_index.json", "sorakit.json", "MODEL_CARD.md"} <= {p.name for p in model.iterdir()}
    assert sorted(p.name for p in (run / "previews").iterdir()) == ["step-0000002.png", "step-0000004.png"]
    assert not [p for p in tmp_path.rglob("*") if p.suffix in (".mp4", ".gif", ".webm", ".bin", ".pt")]


def test_ctrl_c_ends_with_a_checkpoint_and_says_how_to_go_on(tmp_path: Path) -> None:
    args = (
        *KIT,
        "train",
        *TINY,
        "--out",
        str(tmp_path),
        "--hours",
        "1",
        "--log-every",
        "1",
        "--workers",
        "1",
    )
    with subprocess.Popen(
        args,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        end = time.monotonic() + 200
        while not read_log(tmp_path / "log.jsonl") and time.monotonic() < end:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
        _, said = process.communicate(timeout=100)
    assert process.returncode == 0, said
    assert "the same command goes on from there" in " ".join(said.split())
    assert (tmp_path / "last.safetensors").is_file()
