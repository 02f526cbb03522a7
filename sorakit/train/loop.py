"""The training loop: a recipe in, checkpoints and a JSONL log out.

Muon (Jordan 2024; RMS-matched as in Liu et al. 2025, arXiv:2502.16982) on the hidden matrices and AdamW on
the rest, warm-up, constant and decaying learning rate, EMA, text drop, infinite data. SIGTERM and SIGINT end
the run after the current step with a checkpoint; a run started again in the same folder goes on.
"""

import copy
import json
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sorakit.errors import ModelError, UsageError
from sorakit.model.dit import forward_flops
from sorakit.train.checkpoint import load_checkpoint, save_checkpoint
from sorakit.train.codec import open_codec
from sorakit.train.ema import Ema
from sorakit.train.evaluate import evaluate
from sorakit.train.objective import Pair, batch_loss
from sorakit.train.recipe import Recipe
from sorakit.world.dataset import Batch, batches

__all__ = ["Budget", "Trainer", "train"]


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop: after `hours` of wall time or `steps`, whichever comes first; one must be given."""

    hours: float = math.inf
    steps: float = math.inf

    def __post_init__(self) -> None:
        """Refuse a budget without an end."""
        if math.isinf(self.hours) and math.isinf(self.steps):
            raise UsageError("a budget needs `hours` or `steps`, got neither")
        if self.hours <= 0 or self.steps <= 0:
            raise UsageError(f"a budget must be positive, got {self.hours} hours, {self.steps} steps")

    def used(self, hours: float, steps: int) -> float:
        """Share of the budget gone, 0 to 1."""
        return min(1.0, max(hours / self.hours, steps / self.steps))


class Trainer:
    """One run's state and its step."""

    def __init__(self, recipe: Recipe, device: str = "cpu") -> None:
        self.recipe, self.device = recipe, torch.device(device)
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            self.pair = Pair(recipe).to(self.device)
        self.work = copy.deepcopy(self.pair).to(torch.bfloat16) if recipe.bf16 else self.pair
        self.codec = open_codec(recipe.autoencoder, self.pair.dit, self.device)
        self.ema = Ema(self.pair, recipe.ema)
        self.optimisers = _optimisers(self.pair, recipe.lr)
        self.generator = torch.Generator().manual_seed(recipe.seed + 1)
        self.step, self.clips, self.work_done, self.loss = 0, 0, 0, math.nan
        self.wall = self.cpu = 0.0

    def update(self, batch: Batch, lr: float) -> float:
        """One optimiser step on `batch`; the loss comes back. Raises `ModelError` when it is not finite."""
        recipe = self.recipe
        if self.work is not self.pair:  # bfloat16 copies of the float32 weights do the matrix products
            with torch.no_grad():
                torch._foreach_copy_(list(self.work.parameters()), list(self.pair.parameters()))
        loss = batch_loss(self.work, batch, recipe, self.generator, self.codec)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(f"the loss became {value} at step {self.step}; lower `lr` or start again")
        loss.backward()  # type: ignore[no-untyped-call]
        if self.work is not self.pair:
            self._take_gradients()
        nn.utils.clip_grad_norm_(self.pair.parameters(), recipe.clip)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = lr
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self.clips += len(batch.clips)
        self.work_done += self.flops(batch.clips.shape)
        self.ema.update(self.pair, self.step)
        self.loss = value if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * value
        return value

    def _take_gradients(self) -> None:
        for p, q in zip(self.pair.parameters(), self.work.parameters(), strict=True):
            p.grad = None if q.grad is None else q.grad.float()
            q.grad = None

    def flops(self, shape: tuple[int, ...]) -> int:
        """Training operations of one step on clips `(B, T, H, W, 3)`."""
        words = self.recipe.slots or self.recipe.length
        joint = words if self.pair.dit.text_tokens is not None else 0
        inside = self.codec.shape((shape[1], shape[2], shape[3]))
        return 3 * shape[0] * forward_flops(self.pair.dit, *inside, words=joint)

    def save(self, path: Path) -> None:
        """Write everything needed to go on."""
        state = {
            "step": self.step, "clips": self.clips, "work_done": self.work_done, "loss": self.loss,
            "wall": self.wall, "cpu": self.cpu, "recipe": asdict(self.recipe),
        }  # fmt: skip
        save_checkpoint(path, self._modules(), self.optimisers, self.generator, state)

    def load(self, path: Path) -> None:
        """Go on from `path`."""
        state = load_checkpoint(path, self._modules(), self.optimisers, self.generator)
        self.step, self.loss = int(state["step"]), float(state["loss"])
        self.clips, self.work_done = int(state["clips"]), int(state["work_done"])
        self.wall, self.cpu = float(state["wall"]), float(state["cpu"])

    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.pair, "ema": self.ema.model}


def train(
    recipe: Recipe,
    out: Path,
    budget: Budget,
    *,
    device: str = "cpu",
    save_every: float = 300,
    evaluate_every: float = 600,
) -> Trainer:
    """Train `recipe` in folder `out` until `budget` is used; goes on from `out/last.safetensors` if present.

    `save_every`, `evaluate_every`: seconds. Writes `log.jsonl`, `last.safetensors`; returns the trainer.
    """
    trainer = Trainer(recipe, device)
    last = out / "last.safetensors"
    if last.exists():
        trainer.load(last)
    out.mkdir(parents=True, exist_ok=True)
    stream = batches(recipe.seed, recipe.draw, first=trainer.step)
    with (out / "log.jsonl").open("a") as log, _stoppable() as stop:
        saved = measured = trainer.wall
        clock = (time.monotonic() - trainer.wall, time.process_time() - trainer.cpu)
        while (used := budget.used(trainer.wall / 3600, trainer.step)) < 1 and not stop:
            trainer.update(next(stream), learning_rate(recipe, trainer.step, used))
            trainer.wall, trainer.cpu = time.monotonic() - clock[0], time.process_time() - clock[1]
            if trainer.step % 50 == 0:
                _log(log, trainer, {"used": round(used, 4)})
            if trainer.wall - saved >= save_every:
                trainer.save(last)
                saved = trainer.wall
            if trainer.wall - measured >= evaluate_every:
                _log(
                    log,
                    trainer,
                    evaluate(trainer.ema.model.dit, trainer.ema.model.text, recipe, trainer.codec),
                )
                measured = trainer.wall
        trainer.save(last)
        _log(log, trainer, evaluate(trainer.ema.model.dit, trainer.ema.model.text, recipe, trainer.codec))
    return trainer


def learning_rate(recipe: Recipe, step: int, used: float) -> float:
    """Warm-up over steps, then constant, then linear decay over the last share of the budget."""
    decay = min(1.0, max(0.02, (1 - used) / recipe.decay))
    return recipe.lr * min(1.0, (step + 1) / recipe.warmup) * decay


def _optimisers(pair: Pair, lr: float) -> list[torch.optim.Optimizer]:
    hidden = [
        p for n, p in pair.named_parameters() if p.ndim == 2 and ".blocks." in n and "modulation" not in n
    ]
    ids = {id(p) for p in hidden}
    rest = [p for p in pair.parameters() if id(p) not in ids]
    return [
        torch.optim.Muon(hidden, lr=lr, momentum=0.95, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _log(file: Any, trainer: Trainer, extra: dict[str, float]) -> None:
    row = {
        "step": trainer.step,
        "clips": trainer.clips,
        "wall_s": round(trainer.wall, 1),
        "cpu_s": round(trainer.cpu, 1),
        "tflop": round(trainer.work_done / 1e12, 2),
        "loss": round(trainer.loss, 5),
    }
    file.write(json.dumps(row | extra) + "\n")
    file.flush()


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """A list that SIGTERM or SIGINT makes non-empty; the old handlers come back at the end."""
    caught: list[int] = []
    names = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(s, lambda number, _: caught.append(number)) for s in names]
    try:
        yield caught
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)
