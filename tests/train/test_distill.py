import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.schedulers import FlowMatchEulerDiscreteScheduler

from sorakit.diffusion.distill import Plan
from sorakit.diffusion.guidance import Guidance, guided_velocity
from sorakit.diffusion.solver import euler
from sorakit.errors import ModelError, UsageError
from sorakit.generate import DEFAULT_MODEL, generate, load_info
from sorakit.model.dit import VideoDiT
from sorakit.model.text import TextEncoder
from sorakit.model.tokenizer import build_tokenizer
from sorakit.model.vae import VideoVAE
from sorakit.pipeline import SoraPipeline
from sorakit.train.distill import Distiller, distill, main
from sorakit.train.loop import Budget
from sorakit.train.recipe import RECIPES
from sorakit.train.teacher import Teacher, as_folder, load_teacher, package
from sorakit.world.dataset import batches

PROMPT = "a big red circle bounces on a navy background"


@pytest.fixture
def teacher(folder: Path) -> Teacher:
    found = load_teacher(folder, "usual")
    return replace(found, recipe=replace(found.recipe, batch=4, prompts=2, bf16=False, warmup=1))


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_a_teacher_knows_how_it_is_sampled(teacher: Teacher) -> None:
    tiny = RECIPES["tiny"]
    assert (teacher.guidance.scale, teacher.guidance.low) == (tiny.guidance, tiny.guidance_low)
    assert teacher.recipe.shift == tiny.shift
    assert teacher.recipe.space.combinations == "seen"
    assert teacher.recipe.given > 0  # it can be given frames, and so will its student
    assert not any(p.requires_grad for p in teacher.networks.parameters())
    with pytest.raises(UsageError, match="shapes"):
        load_teacher(teacher.folder, "none")


def test_a_student_begins_as_its_teacher_and_the_teacher_stays(teacher: Teacher) -> None:
    run = Distiller(teacher, Plan(2, 2, 4.0))
    assert same(run.networks, teacher.networks)
    run.update(next(batches(0, run.recipe.draw)), 1e-3)
    assert not same(run.networks, teacher.networks)
    assert same(run.guide, load_teacher(teacher.folder, "usual").networks)
    assert run.step == 1


def test_a_student_comes_near_the_teachers_clips(teacher: Teacher) -> None:
    plan = Plan(2, 4, 4.0)
    run = Distiller(teacher, plan)
    batch = next(batches(9, run.recipe.draw))
    tokens = torch.from_numpy(batch.tokens)
    noise = torch.randn(4, 3, *teacher.recipe.shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        text, empty = teacher.networks.text(tokens), teacher.networks.text(torch.zeros_like(tokens))
    field = guided_velocity(teacher.networks.dit, text, empty, teacher.guidance)
    levels = [plan.fine[0][0]] + [s for part in plan.fine for s in part[1:]]
    end = euler(field, noise, levels)

    def miss() -> float:
        with torch.no_grad():
            said = run.ema.model.text(tokens)
        student = guided_velocity(run.ema.model.dit, said, said, Guidance(1.0))
        return float((euler(student, noise, [1.0, plan.fine[1][0], 0.0]) - end).square().mean())

    before = miss()
    stream = batches(0, run.recipe.draw)
    for _ in range(60):
        run.update(next(stream), 2e-3)
    assert miss() < 0.5 * before


def test_a_model_of_pixels_without_slots_or_given_frames_teaches(text_only: Path) -> None:
    teacher = load_teacher(text_only, "usual")
    teacher = replace(teacher, recipe=replace(teacher.recipe, batch=2, bf16=True))
    run = Distiller(teacher, Plan(4, 2, 4.0))
    before = run.networks.dit.head.weight.clone()
    assert run.update(next(batches(0, run.recipe.draw)), 1e-3) > 0
    assert run.networks.dit.head.weight.dtype == torch.float32
    assert not torch.equal(run.networks.dit.head.weight, before)


def test_a_model_of_latents_teaches(tmp_path: Path) -> None:
    vae = VideoVAE(channels=6, encoder_widths=(8, 8), decoder_widths=(8, 8, 8))
    dit = VideoDiT(channels=6, patch=(1, 2, 2), width=32, depth=1, heads=2, text_width=32, given_frames=True)
    text = TextEncoder(length=24, width=32, depth=1, heads=2, slots=2)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    with torch.no_grad():
        dit.head.weight.normal_(std=0.1)
    pipe = SoraPipeline(build_tokenizer(24), text, dit, scheduler, vae)
    pipe.save_pretrained(tmp_path / "model", safe_serialization=True)
    said = json.loads((DEFAULT_MODEL / "sorakit.json").read_bytes())
    (tmp_path / "model" / "sorakit.json").write_text(json.dumps(said | {"name": "sorakit-latent"}))
    teacher = load_teacher(tmp_path / "model")
    assert teacher.codec.shape((16, 64, 64)) == (4, 8, 8)
    teacher = replace(teacher, recipe=replace(teacher.recipe, batch=2, prompts=2))
    run = distill(teacher, Plan(2, 2, 3.0), tmp_path / "run", Budget(steps=1))
    assert run.loss > 0
    student = load_teacher(tmp_path / "run" / "model")
    assert student.info.steps == 2
    assert (tmp_path / "run" / "model" / "vae").is_dir()


def test_given_frames_teach_nothing_and_are_shown(teacher: Teacher) -> None:
    run = Distiller(teacher, Plan(2, 2, 4.0))
    batch = next(batches(0, run.recipe.draw))
    losses = []
    for given in (np.zeros_like(batch.given), np.ones_like(batch.given)):
        run.generator.manual_seed(0)
        losses.append(run.gradients(replace(batch, given=given), 0.0))
    assert losses[0] > 1e-3
    assert losses[1] < 1e-6


def test_a_stopped_run_goes_on_bit_for_bit(teacher: Teacher, tmp_path: Path) -> None:
    steady = replace(teacher, recipe=replace(teacher.recipe, decay=1e-9))  # the rate forgets the budget
    plan = Plan(2, 2, 4.0)
    whole = distill(steady, plan, tmp_path / "whole", Budget(steps=4))
    distill(steady, plan, tmp_path / "parts", Budget(steps=2))
    parts = distill(steady, plan, tmp_path / "parts", Budget(steps=4))
    assert (whole.step, parts.step) == (4, 4)
    assert same(whole.networks, parts.networks)
    assert same(whole.ema.model, parts.ema.model)


def test_another_plan_does_not_go_on(teacher: Teacher, tmp_path: Path) -> None:
    distill(teacher, Plan(2, 2, 4.0), tmp_path, Budget(steps=1))
    with pytest.raises(UsageError, match="evaluations"):
        distill(teacher, Plan(4, 2, 4.0), tmp_path, Budget(steps=2))


def test_sigterm_ends_with_a_checkpoint_and_a_model(
    teacher: Teacher, tmp_path: Path, sigterm_later: Callable[[], None]
) -> None:
    sigterm_later()
    run = distill(teacher, Plan(2, 2, 4.0), tmp_path, Budget(hours=1))
    again = Distiller(teacher, Plan(2, 2, 4.0))
    again.load(tmp_path / "last.safetensors")
    assert again.step == run.step > 0
    assert load_info(tmp_path / "model").steps == 2


def test_a_packaged_student_is_an_ordinary_model(teacher: Teacher, tmp_path: Path) -> None:
    run = distill(teacher, Plan(4, 2, 3.0), tmp_path, Budget(steps=1))
    made = tmp_path / "model"
    info = load_info(made)
    assert (info.steps, info.guidance, info.name) == (4, 1.0, "sorakit-tiny-4step")
    clip = generate(PROMPT, seed=1, model=made)
    assert clip.frames.shape == (16, 32, 32, 3)
    assert clip.generation is not None
    assert clip.generation.parameters["steps"] == 4
    student = load_teacher(made, "usual")
    assert student.recipe.shift == 3.0
    assert not student.guidance.active(1.0)
    for p, q in zip(student.networks.parameters(), run.ema.model.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-4)
    package(teacher, run.ema.model, made, 4, 3.0)  # again, over itself


def test_the_log_is_json(teacher: Teacher, tmp_path: Path) -> None:
    distill(teacher, Plan(1, 2, 4.0), tmp_path, Budget(steps=20), save_every=0.1)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"step", "clips", "cpu_s", "loss", "used"} <= rows[0].keys()
    assert 0 <= rows[-1]["all_facts"] <= 1
    assert rows[0]["clips"] == 20 * 4


def test_a_diverged_run_stops_before_it_spoils_the_weights(teacher: Teacher) -> None:
    run = Distiller(teacher, Plan(2, 2, 4.0))
    with torch.no_grad():
        run.networks.dit.head.bias.fill_(float("inf"))
    before = run.ema.model.dit.embed.weight.clone()
    with pytest.raises(ModelError, match="loss became"):
        run.update(next(batches(0, run.recipe.draw)), 1e-3)
    assert torch.equal(run.ema.model.dit.embed.weight, before)


def test_a_training_run_can_teach(run_folder: Path, folder: Path, tmp_path: Path) -> None:
    found = as_folder(run_folder, tmp_path / "teacher")
    assert load_info(found).name == "sorakit-tiny"
    assert same(load_teacher(found).networks, load_teacher(folder).networks)
    assert as_folder(run_folder, tmp_path / "teacher") == found  # and is not exported again
    assert as_folder(folder, tmp_path / "teacher") == folder


def test_a_run_without_a_known_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "last.safetensors").write_bytes(os.urandom(100))
    with pytest.raises(ModelError, match="recipe"):
        as_folder(tmp_path, tmp_path / "teacher")
    with pytest.raises(ModelError):
        load_teacher(as_folder(tmp_path / "none", tmp_path / "teacher"))


@pytest.mark.parametrize(
    "wrong",
    [["--evaluations", "0"], *(["--evaluations", "4", "--substeps", n] for n in "01"), ["--shift", "0"]],
)
def test_the_command_refuses_what_cannot_be_learned(folder: Path, tmp_path: Path, wrong: list[str]) -> None:
    with pytest.raises(UsageError):
        main(["--teacher", str(folder), "--out", str(tmp_path / "run"), "--steps", "1", *wrong])
    assert not (tmp_path / "run").exists()


def test_the_command_makes_a_student(folder: Path, tmp_path: Path) -> None:
    options = ["--evaluations", "1", "--steps", "1", "--batch", "2"]
    assert main(["--teacher", str(folder), "--out", str(tmp_path), *options]) == 0
    assert load_info(tmp_path / "model").steps == 1
