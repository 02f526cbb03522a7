import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sorakit.errors import ModelError, UsageError
from sorakit.train.checkpoint import checkpoint_state, load_checkpoint, save_checkpoint
from sorakit.train.ema import Ema
from sorakit.train.export import recipe_of
from sorakit.train.logs import read_log
from sorakit.train.loop import Budget, Run, Trainer, learning_rate, train
from sorakit.train.objective import batch_loss, draw
from sorakit.train.recipe import RECIPES
from sorakit.train.trainer import _noise_seed
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


def test_gpus_that_are_not_used_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    before = torch.get_rng_state()
    trainer = Trainer(TINY)  # without a warning that there are many
    assert torch.equal(torch.get_rng_state(), before)
    assert same(trainer.pair, Trainer(TINY).pair)


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
    train(TINY, tmp_path, Budget(steps=50), Run(save_every=0.1))
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"step", "clips", "cpu_s", "tflop", "loss"} <= rows[0].keys()
    assert 0 <= rows[-1]["all_facts"] <= 1
    assert rows[-1]["clips"] == 50 * TINY.batch
    assert rows[-1]["tflop"] > 0
    assert [p.name for p in tmp_path.iterdir() if ".part" in p.name] == []


def test_sigterm_ends_with_a_checkpoint(tmp_path: Path, sigterm_later: Callable[[], None]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    sigterm_later()
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


def test_a_killed_run_ends_with_the_same_bits(tmp_path: Path) -> None:
    """SIGKILL leaves no time to save: the lost steps are made again from the last checkpoint."""
    steps, fields = 30, ["prompts=2", "steps=2", "accumulate=2", "batch=4"]
    recipe = replace(TINY, accumulate=2, batch=4)
    whole = train(recipe, tmp_path / "whole", Budget(steps=steps), Run(log_every=1, evaluate_every=1e9))
    out = tmp_path / "killed"
    command = [
        sys.executable,
        "-m",
        "sorakit.train",
        "--recipe",
        "tiny",
        "--out",
        str(out),
        "--steps",
        str(steps),
    ]
    command += ["--save-every", "0.2", "--preview-every", "1e9", "--log-every", "1"]
    with subprocess.Popen([*command, *(x for f in fields for x in ("--set", f))]) as process:
        end = time.monotonic() + 240
        while process.poll() is None and time.monotonic() < end:
            if len(read_log(out / "log.jsonl")) >= 8 and (out / "last.safetensors").exists():
                process.kill()
            time.sleep(0.01)
    assert process.returncode == -signal.SIGKILL
    stopped = checkpoint_state(out / "last.safetensors")["step"]
    assert 0 < stopped < steps
    parts = train(recipe, out, Budget(steps=steps), Run(log_every=1, evaluate_every=1e9, workers=2))
    assert (whole.step, parts.step) == (steps, steps)
    a, b = (load_file(tmp_path / n / "last.safetensors") for n in ("whole", "killed"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)
    curves = [
        [(r["step"], r["loss"]) for r in read_log(tmp_path / n / "log.jsonl")] for n in ("whole", "killed")
    ]
    assert curves[0] == curves[1]
    assert len(curves[0]) == steps + 1


def test_accumulated_batches_make_one_gradient() -> None:
    recipe = replace(TINY, bf16=False, accumulate=2)
    parts = list(islice(batches(recipe.seed, recipe.draw), 2))
    trainer = Trainer(recipe)
    grads = []
    for i, part in enumerate(parts):
        generator = torch.Generator().manual_seed(_noise_seed(recipe.seed, i))
        batch_loss(trainer.pair, part, recipe, generator, trainer.codec).backward()
        grads.append([p.grad.clone() for p in trainer.pair.parameters() if p.grad is not None])
        trainer.pair.zero_grad(set_to_none=True)
    kept: list[torch.Tensor] = []
    trainer._apply = lambda _lr: kept.extend(  # type: ignore[method-assign]
        p.grad for p in trainer.pair.parameters() if p.grad is not None
    )
    trainer.update(parts, 1e-3)
    for a, b, c in zip(*grads, kept, strict=True):
        torch.testing.assert_close((a + b) / 2, c, atol=1e-6, rtol=1e-4)


def test_the_loss_is_the_flow_loss_and_the_probe() -> None:
    recipe = replace(TINY, bf16=False, probe=0.0, object_weight=3.0, texture_weight=2.0)
    batch = next(batches(4, recipe.draw))
    pair = Trainer(recipe).pair
    with torch.no_grad():
        for p in pair.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
        drawn = draw(
            batch, recipe, torch.Generator().manual_seed(1), Trainer(recipe).codec, torch.device("cpu")
        )
        x, _ = pair.dit.run(drawn.noisy, 1000 * drawn.sigma, *pair.text(drawn.tokens), drawn.given)
        error = (x - drawn.clean) / drawn.sigma.clamp(min=recipe.cap).view(-1, 1, 1, 1, 1)
        wanted = (drawn.weight * error.square()).mean()
        torch.testing.assert_close(pair(*drawn), wanted, rtol=1e-5, atol=0)
        torch.testing.assert_close(drawn.weight.mean(), torch.tensor(1.0), rtol=1e-5, atol=0)


def test_flicker_is_what_differences_of_neighbouring_frames_miss() -> None:
    recipe = replace(TINY, bf16=False, probe=0.0, given=1.0)
    batch = next(batches(4, recipe.draw))
    plain, pair = Trainer(recipe).pair, Trainer(replace(recipe, flicker=0.5)).pair
    drawn = draw(batch, recipe, torch.Generator().manual_seed(1), Trainer(recipe).codec, torch.device("cpu"))
    assert bool(drawn.given.any()) and not bool(drawn.given.all())
    with torch.no_grad():
        for network in (plain, pair):
            for i, p in enumerate(network.parameters()):
                p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(i)))
        x, _ = pair.dit.run(drawn.noisy, 1000 * drawn.sigma, *pair.text(drawn.tokens), drawn.given)
        error = (x - drawn.clean) * (1 - drawn.given)[:, None, :, None, None]  # given frames come out exactly
        error = (error[:, :, 1:] - error[:, :, :-1]) / drawn.sigma.clamp(min=recipe.cap).view(-1, 1, 1, 1, 1)
        weight = torch.maximum(drawn.weight[:, :, 1:], drawn.weight[:, :, :-1])
        wanted = 0.5 * (weight * error.square()).mean()
        torch.testing.assert_close(pair(*drawn) - plain(*drawn), wanted, rtol=1e-4, atol=1e-5)


def test_a_checkpoint_of_the_first_format_is_read(tmp_path: Path) -> None:
    """Files written before the ledger have a generator and five sums; they load, go on and export."""
    trainer = Trainer(TINY)
    trainer.update(next(batches(0, TINY.draw)), 1e-3)
    state = {
        "step": 1, "clips": 8, "work_done": 7, "loss": 2.0, "wall": 3.0, "cpu": 2.5, "recipe": asdict(TINY),
    }  # fmt: skip
    for name in ("accumulate", "about", "texture_weight"):
        del state["recipe"][name]  # type: ignore[attr-defined]
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, trainer._modules(), trainer.optimisers, torch.Generator(), state)
    assert recipe_of(path) == replace(TINY, about="")
    again = train(TINY, tmp_path, Budget(steps=2))
    assert (again.step, again.ledger.clips, again.ledger.wall > 3.0) == (2, 8 + TINY.batch, True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch 2.13 warns of its own insides while it compiles
def test_compiled_blocks_learn_the_same(tmp_path: Path) -> None:
    recipe = replace(TINY, bf16=False, shapes=((16, 32, 32),), odds=(1.0,))
    plain = train(recipe, tmp_path / "plain", Budget(steps=3))
    compiled = train(recipe, tmp_path / "compiled", Budget(steps=3), Run(compiled=True))
    assert compiled.loss == pytest.approx(plain.loss, rel=1e-4)
    assert same_names(plain.pair, compiled.pair)


def same_names(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return list(a.state_dict()) == list(b.state_dict())
