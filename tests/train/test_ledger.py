import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from sorakit.errors import ModelError, UsageError
from sorakit.model_info import WEIGHTS, load_info
from sorakit.train import ledger as ledger_module
from sorakit.train.card import card, read_scores
from sorakit.train.checkpoint import checkpoint_state
from sorakit.train.evaluate import Sampled, fixed_scenes
from sorakit.train.export import export, export_pipeline, recipe_of
from sorakit.train.ledger import Ledger, Machine, Meter, gpu_watts, this_machine
from sorakit.train.logs import Log, read_log
from sorakit.train.memory import keep_freed_pages
from sorakit.train.preview import draw_preview
from sorakit.train.recipe import RECIPES
from sorakit.train.trainer import Trainer, gpu_of
from sorakit.world.dataset import batches
from sorakit.world.render import render

TINY = RECIPES["tiny"]
OLD = {"step": 3, "clips": 24, "work_done": 10**12, "loss": 1.0, "wall": 5.0, "cpu": 4.0, "recipe": {}}


def test_a_ledger_survives_a_checkpoint() -> None:
    ledger = Ledger(watts_per_core=7.0)
    ledger.enter(Machine("a", 1, "Linux", {"torch": "2"}))
    ledger.add(clips=8, work=5, cpu=2.0, joules=14.0)
    ledger.enter(Machine("a", 1, "Linux", {"torch": "2"}, 1))  # the same machine: no new entry
    ledger.enter(Machine("b", 2, "Linux", {"torch": "2"}, 1), "my clips")
    assert len(ledger.machines) == 2
    assert Ledger.from_state(json.loads(json.dumps(ledger.state()))) == ledger


def test_a_state_without_energy_is_read() -> None:
    ledger = Ledger.from_state(OLD)
    assert (ledger.clips, ledger.tflop, ledger.joules) == (24, 1.0, 4.0 * ledger.watts_per_core)
    with pytest.raises(ModelError, match="ledger"):
        Ledger.from_state({"clips": 3})
    with pytest.raises(ModelError, match="ledger"):
        Ledger.from_state(OLD | {"ledger": {"machines": [{"speed": 1}]}})


def test_each_step_is_counted() -> None:
    trainer = Trainer(TINY)
    trainer.enter(5.0)
    batch = next(batches(0, TINY.draw))
    trainer.update([batch, batch], 1e-3, worker_cpu=2.0)
    ledger = trainer.ledger
    assert (ledger.clips, ledger.work_done) == (2 * len(batch.clips), 2 * trainer.flops(batch.clips.shape))
    assert ledger.cpu > 2.0
    assert ledger.joules == pytest.approx(5.0 * ledger.cpu)
    machine = ledger.machines[0]
    assert machine.versions["torch"]
    assert machine.device


def test_a_gpu_is_read_from_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 250.5\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert gpu_watts(0) == 250.5
    monkeypatch.setattr(ledger_module, "_GPU_EVERY", 0.0)
    _, joules = Meter(0.0, gpu=0).lap()
    assert joules > 0
    program.write_text("#!/bin/sh\nexit 9\n")
    assert gpu_watts(0) == 0.0


def test_a_card_says_what_was_measured_and_what_was_not(tmp_path: Path) -> None:
    trainer = Trainer(TINY)
    trainer.enter(10.0)
    trainer.update(next(batches(0, TINY.draw)), 1e-3)
    run, out = tmp_path / "last.safetensors", tmp_path / "model"
    trainer.save(run)
    assert recipe_of(run) == TINY
    assert checkpoint_state(run)["ledger"]["machines"][0]["processes"] == 1
    export(TINY, run, out, "0.1.0")
    text = (out / "MODEL_CARD.md").read_text()
    assert "Not measured yet" in text
    assert f"{trainer.ledger.clips:,} clips" in text
    assert this_machine("cpu").device in text
    info = load_info(out)
    assert (info.given_frames, info.latent, info.frames, info.width) == (True, False, 16, 32)
    scores = tmp_path / "scores.json"
    scores.write_text(
        json.dumps({"n": 64, "seed": 0, "all_facts": 0.5, "all_facts_ci": [0.4, 0.6], "shape": 0.25})
    )
    export(TINY, run, out, "0.1.0", scores)
    text = (out / "MODEL_CARD.md").read_text()
    assert "| all facts | 0.500 | 0.400–0.600 |" in text
    assert "| shape | 0.250 |  |" in text
    assert "n 64" in text


def test_a_card_of_foreign_clips_asks_whose_they_are() -> None:
    trainer = Trainer(TINY)
    trainer.enter(10.0, "7 clips in 1 shard(s)")
    info = load_info()
    text = card(info, TINY, trainer.ledger, steps=3, parameters=10**6)
    assert "7 clips in 1 shard(s)" in text
    assert "no outside data" not in text
    assert "under which licence" in text


def test_scores_must_be_scores(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    for content in ("{", "[]", '{"n": 3}'):
        path.write_text(content)
        with pytest.raises(UsageError, match=r"scores\.json"):
            read_scores(path)
    with pytest.raises(UsageError):
        read_scores(tmp_path / "none")


def test_a_log_goes_on_where_the_checkpoint_stands(tmp_path: Path) -> None:
    log = Log(tmp_path, 0)
    for step in (1, 2, 3, 4):
        log.row(step, {"loss": 1 / step, "nothing": float("nan")})
    log.close()
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')  # a crash in the middle of a line
    log = Log(tmp_path, 2)
    log.row(3, {"loss": 9.0})
    log.close()
    assert [(r["step"], r["loss"]) for r in read_log(tmp_path / "log.jsonl")] == [
        (1, 1.0),
        (2, 0.5),
        (3, 9.0),
    ]
    assert read_log(tmp_path / "log.jsonl")[0]["nothing"] is None


def test_tensorboard_gets_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415

    log = Log(tmp_path, 0, tensorboard=True)
    log.row(7, {"loss": 0.5, "bad": float("inf")})
    log.picture(7, np.zeros((4, 6, 3), np.uint8))
    log.close()
    found = EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [(e.step, e.value) for e in found.Scalars("loss")] == [(7, 0.5)]
    assert found.Tags()["images"] == ["samples"]
    assert found.Tags()["scalars"] == ["loss"]


def test_a_missing_tensorboard_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(ModelError, match=r"sorakit\[tensorboard\]"):
        Log(tmp_path, 0, tensorboard=True)


def test_a_preview_is_a_marked_still(tmp_path: Path) -> None:
    scenes = fixed_scenes(RECIPES["full-world"], 5)
    good = [render(s, 1).frames for s in scenes]
    sampled = Sampled(scenes, [*good[:4], np.zeros_like(good[0])], 1.0)
    path = tmp_path / "previews" / "step.png"
    picture = draw_preview(sampled, path, "a title", "what it cost")
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert "trainedAlgorithmicMedia" in str(image.info)
        assert np.array_equal(np.asarray(image), picture)
    green, red = np.array([225, 244, 234]), np.array([252, 231, 231])
    area = [int((picture == c).all(-1).sum()) for c in (green, red)]
    assert area[0] > 2 * area[1] > 0, "four clips obey in every fact, one in none"


def test_freed_pages_are_kept_where_glibc_is() -> None:
    assert keep_freed_pages() == (ledger_module.platform.libc_ver()[0] == "glibc")


def test_machines_are_plain_values() -> None:
    assert json.dumps(asdict(this_machine("cpu")))


def test_each_process_counts_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    found = [gpu_of(torch.device(name)) for name in ("cuda", "cuda:0", "cpu")]
    assert found == [1, 0, None]


def test_any_recipe_of_a_file_can_be_exported(tmp_path: Path) -> None:
    recipe = replace(TINY, name="My_Recipe 2")
    Trainer(recipe).save(tmp_path / "last.safetensors")
    with pytest.raises(UsageError, match="version 1_0"):
        export(recipe, tmp_path / "last.safetensors", tmp_path / "model", "1_0")
    assert not (tmp_path / "model").exists()
    export(recipe, tmp_path / "last.safetensors", tmp_path / "model", "1.0")
    assert load_info(tmp_path / "model").name == "sorakit-my-recipe-2"


def test_the_autoencoder_is_exported_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sorakit.train.codec.product_dtype", lambda _: torch.bfloat16)
    large = RECIPES["full-world-64"]
    pipe = export_pipeline(Trainer(replace(large, model=large.model | {"depth": 1})))
    packaged = load_file(WEIGHTS / "autoencoder" / "diffusion_pytorch_model.safetensors")
    found = pipe.vae.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in packaged.items())
