import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sorakit.diffusion.guidance import Guidance, guided_velocity
from sorakit.diffusion.solver import euler, sigmas
from sorakit.errors import ModelError, UsageError
from sorakit.generate import DEFAULT_MODEL, load_info
from sorakit.train.loop import Budget
from sorakit.train.match import Matcher, Tempo, main, match
from sorakit.train.teacher import Teacher, load_teacher, package
from sorakit.world.dataset import batches


@pytest.fixture
def teacher(folder: Path) -> Teacher:
    found = load_teacher(folder, "usual")
    return replace(
        found, recipe=replace(found.recipe, batch=4, prompts=2, bf16=False, warmup=1, decay=1e-9, ema=0.9)
    )


@pytest.fixture
def start(teacher: Teacher, tmp_path: Path) -> Teacher:
    """A student of two steps that makes everything too bright."""
    package(teacher, teacher.networks, tmp_path / "start", 2, 3.0)
    found = load_teacher(tmp_path / "start", "usual")
    with torch.no_grad():
        found.networks.dit.head.bias.add_(0.4)
    return found


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_the_critic_learns_alone_at_first_and_the_teacher_never(teacher: Teacher, start: Teacher) -> None:
    run = Matcher(teacher, start, Tempo(alone=2))
    stream = batches(0, run.recipe.draw)
    for _ in range(2):
        run.update(next(stream), 1e-3)
    assert same(run.networks, start.networks)
    assert not same(run.critic, teacher.networks)
    assert run.update(next(stream), 1e-3) > 0
    assert not same(run.networks, start.networks)
    assert same(run.guide, load_teacher(teacher.folder, "usual").networks)


def test_a_student_comes_to_make_what_its_teacher_makes(teacher: Teacher, start: Teacher) -> None:
    run = Matcher(teacher, start, Tempo(alone=10))
    batch = next(batches(9, run.recipe.draw))
    tokens = torch.from_numpy(batch.tokens)
    noise = torch.randn(4, 3, *teacher.recipe.shape, generator=torch.Generator().manual_seed(3))

    @torch.no_grad()
    def brightness(model: Teacher | Matcher, steps: int) -> float:
        networks = model.networks if isinstance(model, Teacher) else model.ema.model
        how = model.guidance if isinstance(model, Teacher) else Guidance(1.0)
        text, empty = networks.text(tokens), networks.text(torch.zeros_like(tokens))
        return float(euler(guided_velocity(networks.dit, text, empty, how), noise, sigmas(steps, 3.0)).mean())

    want = brightness(teacher, 16)
    before = abs(brightness(run, 2) - want)
    stream = batches(0, run.recipe.draw)
    for _ in range(70):
        run.update(next(stream), 1e-3)
    assert before > 0.2
    assert abs(brightness(run, 2) - want) < 0.5 * before


def test_a_stopped_run_goes_on_bit_for_bit(teacher: Teacher, start: Teacher, tmp_path: Path) -> None:
    tempo = Tempo(alone=1)
    whole = match(teacher, start, tmp_path / "whole", Budget(steps=4), tempo=tempo)
    match(teacher, start, tmp_path / "parts", Budget(steps=2), tempo=tempo)
    parts = match(teacher, start, tmp_path / "parts", Budget(steps=4), tempo=tempo)
    assert (whole.step, parts.step) == (4, 4)
    for name in ("networks", "critic"):
        assert same(getattr(whole, name), getattr(parts, name))
    info = load_info(tmp_path / "parts" / "model")
    assert (info.steps, info.guidance, info.name) == (2, 1.0, "sorakit-tiny-2step")


def test_bfloat16_copies_do_the_products(teacher: Teacher, start: Teacher) -> None:
    half = replace(teacher, recipe=replace(teacher.recipe, bf16=True))
    run = Matcher(half, start, Tempo(alone=0))
    assert run.update(next(batches(0, run.recipe.draw)), 1e-3) > 0
    assert run.critic_work.dit.head.weight.dtype == torch.bfloat16
    assert run.critic.dit.head.weight.dtype == torch.float32
    assert not same(run.critic, teacher.networks)


def test_given_frames_move_nothing(teacher: Teacher, start: Teacher) -> None:
    run = Matcher(teacher, start, Tempo(alone=0))
    batch = next(batches(0, run.recipe.draw))
    assert run.gradients(replace(batch, given=batch.given | True), 0.0) == 0


def test_a_student_of_another_form_is_refused(teacher: Teacher, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="another form"):
        match(teacher, load_teacher(DEFAULT_MODEL, "usual"), tmp_path / "run", Budget(steps=1))
    assert not (tmp_path / "run").exists()


def test_a_diverged_critic_stops_the_run(teacher: Teacher, start: Teacher) -> None:
    run = Matcher(teacher, start)
    with torch.no_grad():
        run.critic.dit.head.bias.fill_(float("inf"))
    with pytest.raises(ModelError, match="critic"):
        run.update(next(batches(0, run.recipe.draw)), 1e-3)


def test_clips_that_the_teacher_cannot_show_are_refused(
    folder: Path, teacher: Teacher, start: Teacher, tmp_path: Path
) -> None:
    assert teacher.recipe.space.cut == 0
    folders = ["--teacher", str(folder), "--start", str(start.folder), "--out", str(tmp_path / "run")]
    with pytest.raises(UsageError, match="--cut"):
        main([*folders, "--steps", "1", "--cut", "0.5"])
    assert not (tmp_path / "run").exists()


def test_noise_levels_without_a_shift_are_refused(
    folder: Path, teacher: Teacher, start: Teacher, tmp_path: Path
) -> None:
    folders = ["--teacher", str(folder), "--start", str(start.folder), "--out", str(tmp_path / "run")]
    with pytest.raises(UsageError, match="shift"):
        main([*folders, "--steps", "1", "--shift", "0"])
    assert not (tmp_path / "run").exists()


def test_the_command_makes_a_student(folder: Path, teacher: Teacher, start: Teacher, tmp_path: Path) -> None:
    assert start.folder.is_dir()
    options = ["--steps", "20", "--batch", "2", "--shapes", "usual", "--shift", "2.5"]
    folders = ["--teacher", str(folder), "--start", str(start.folder), "--out", str(tmp_path / "run")]
    assert main([*folders, *options]) == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[0]["step"] == 20
    assert 0 <= rows[-1]["all_facts"] <= 1
    assert load_teacher(tmp_path / "run" / "model", "usual").recipe.shift == 2.5
