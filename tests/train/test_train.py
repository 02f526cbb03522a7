import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sorakit.errors import ModelError, UsageError
from sorakit.train.checkpoint import load_checkpoint
from sorakit.train.ema import Ema
from sorakit.train.loop import Budget, Trainer, learning_rate, train
from sorakit.train.objective import batch_loss
from sorakit.train.recipe import RECIPES
from sorakit.world.dataset import batches

TINY = replace(RECIPES["tiny"], prompts=2, steps=2)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    recipe = replace(TINY, bf16=False, warmup=1, decay=1e-9)  # the rate must not depend on the budget
    whole = train(recipe, tmp_path / "whole", Budget(steps=6))
    train(recipe, tmp_path / "parts", Budget(steps=3))
    parts = train(recipe, tmp_path / "parts", Budget(steps=6))
    assert (whole.step, parts.step) == (6, 6)
    assert same(whole.pair, parts.pair)
    assert same(whole.ema.model, parts.ema.model)


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    train(TINY, tmp_path, Budget(steps=2))
    before = Trainer(TINY)
    before.load(tmp_path / "last.safetensors")
    after = train(TINY, tmp_path, Budget(steps=2))
    assert after.step == 2
    assert same(before.pair, after.pair)


def test_the_loss_falls() -> None:
    trainer = Trainer(replace(TINY, bf16=False))
    stream = batches(1, TINY.draw)
    probe = next(batches(2, replace(TINY, batch=16).draw))

    def loss() -> float:
        with torch.no_grad():
            return float(
                batch_loss(
                    trainer.pair, probe, trainer.recipe, torch.Generator().manual_seed(0), trainer.codec
                )
            )

    before = loss()
    for _ in range(40):
        trainer.update(next(stream), 2e-3)
    assert loss() < 0.6 * before
    assert trainer.step == 40


def test_decoys_change_what_is_shown_and_not_what_is_wanted() -> None:
    recipe = replace(TINY, text_drop=0.0, decoy=1.0, decoy_from=0.0, bf16=False, probe=0.0, given=0.0)
    batch = next(batches(1, recipe.draw))
    trainer = Trainer(recipe)

    def loss(decoys: object) -> float:
        changed = replace(batch, decoys=decoys)  # type: ignore[arg-type]
        with torch.no_grad():
            return float(
                batch_loss(trainer.pair, changed, recipe, torch.Generator().manual_seed(0), trainer.codec)
            )

    assert loss(batch.decoys) == loss(batch.clips)  # a new network says nothing, so only the target counts
    with torch.no_grad():
        for p in trainer.pair.parameters():
            p.add_(0.05 * torch.randn_like(p))
    assert loss(batch.decoys) != loss(batch.clips)


def test_given_frames_cost_nothing() -> None:
    recipe = replace(TINY, bf16=False, probe=0.0, decoy=0.0)
    batch = next(batches(1, recipe.draw))
    trainer = Trainer(recipe)

    def loss(given: object) -> float:
        changed = replace(batch, given=given)  # type: ignore[arg-type]
        with torch.no_grad():
            return float(
                batch_loss(trainer.pair, changed, recipe, torch.Generator().manual_seed(0), trainer.codec)
            )

    everything = np.ones_like(batch.given)
    assert loss(everything) == 0
    everything[:, 3] = False
    assert loss(everything) > 0


def test_the_log_and_the_scores_are_json(tmp_path: Path) -> None:
    train(TINY, tmp_path, Budget(steps=50), save_every=0.1)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"step", "clips", "cpu_s", "tflop", "loss"} <= rows[0].keys()
    assert 0 <= rows[-1]["all_facts"] <= 1
    assert rows[-1]["clips"] == 50 * TINY.batch
    assert rows[-1]["tflop"] > 0
    assert [p.name for p in tmp_path.iterdir() if ".part" in p.name] == []


def test_sigterm_ends_with_a_checkpoint(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    timer = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    start = time.monotonic()
    trainer = train(TINY, tmp_path, Budget(hours=1))
    assert time.monotonic() - start < 60
    assert signal.getsignal(signal.SIGTERM) is before
    again = Trainer(TINY)
    again.load(tmp_path / "last.safetensors")
    assert again.step == trainer.step > 0


def test_a_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    Trainer(TINY).save(path)
    other = Trainer(replace(TINY, model=TINY.model | {"width": 32}))
    with pytest.raises(ModelError, match="does not fit"):
        other.load(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError):
        Trainer(TINY).load(path)
    path.write_bytes(os.urandom(4000))
    with pytest.raises(ModelError):
        Trainer(TINY).load(path)
    with pytest.raises(ModelError):
        load_checkpoint(tmp_path / "none", {}, [], torch.Generator())


def test_a_failed_save_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    trainer = Trainer(TINY)
    trainer.save(path)
    before = path.read_bytes()
    trainer.loss = object()  # type: ignore[assignment]  # cannot become JSON
    with pytest.raises(TypeError):
        trainer.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]


def test_a_diverged_run_stops_before_it_spoils_the_weights() -> None:
    trainer = Trainer(TINY)
    batch = next(batches(1, TINY.draw))
    with torch.no_grad():
        trainer.pair.dit.head.bias.fill_(float("inf"))
    before = trainer.ema.model.dit.embed.weight.clone()
    with pytest.raises(ModelError, match="loss became"):
        trainer.update(batch, 1e-3)
    assert torch.equal(trainer.ema.model.dit.embed.weight, before)


def test_muon_gets_the_hidden_matrices() -> None:
    trainer = Trainer(TINY)
    muon, adamw = trainer.optimisers
    shapes = [p.ndim for g in muon.param_groups for p in g["params"]]
    assert set(shapes) == {2}
    counts = [sum(len(g["params"]) for g in o.param_groups) for o in (muon, adamw)]
    assert sum(counts) == len(list(trainer.pair.parameters()))
    assert counts[0] == 4 * TINY.model["depth"] + 4 * 2  # four matrices a block, four a text block


def test_the_average_follows_the_weights() -> None:
    layer = torch.nn.Linear(2, 2)
    ema = Ema(layer, 0.9)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    for step in range(1, 200):
        ema.update(layer, step)
    torch.testing.assert_close(ema.model.weight, layer.weight, atol=1e-4, rtol=0)
    assert not ema.model.weight.requires_grad


def test_the_rate_warms_up_holds_and_decays() -> None:
    recipe = replace(TINY, lr=1.0, warmup=10, decay=0.5)
    assert learning_rate(recipe, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(recipe, 100, 0.4) == 1.0
    assert learning_rate(recipe, 100, 0.75) == pytest.approx(0.5)
    assert learning_rate(recipe, 100, 1.0) == pytest.approx(0.02)


def test_a_budget_must_end() -> None:
    with pytest.raises(UsageError):
        Budget()
    with pytest.raises(UsageError):
        Budget(hours=-1)


@pytest.mark.slow
def test_the_command_trains_and_exports(tmp_path: Path) -> None:
    def run(*args: str) -> None:
        subprocess.run([sys.executable, "-m", *args], check=True, capture_output=True, timeout=200)

    run("sorakit.train", "--recipe", "tiny", "--out", str(tmp_path / "run"), "--steps", "2")
    run("sorakit.train.export", str(tmp_path / "run"), str(tmp_path / "model"), "--recipe", "tiny")
    names = {p.name for p in (tmp_path / "model").iterdir()}
    assert {
        "model_index.json",
        "sorakit.json",
        "transformer",
        "text_encoder",
        "tokenizer",
        "scheduler",
    } <= names
    assert not list((tmp_path / "model").rglob("*.bin"))
