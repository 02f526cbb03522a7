"""What all ways of making a few-step student share: a run's state, its files and its loop.

In: a teacher and a way to update. Out: in the run's folder a checkpoint, a log and, at its end, the student
as an ordinary model's folder.
"""

import argparse
import copy
import json
import math
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sorakit.diffusion.guidance import Held
from sorakit.errors import ModelError, UsageError
from sorakit.train.checkpoint import load_checkpoint, save_checkpoint
from sorakit.train.ema import Ema
from sorakit.train.evaluate import evaluate
from sorakit.train.loop import Budget, learning_rate
from sorakit.train.optim import collect, optimisers, refresh, step
from sorakit.train.recipe import Recipe
from sorakit.train.stopping import stoppable
from sorakit.train.teacher import Networks, Teacher, package
from sorakit.world.dataset import Batch, batches

__all__ = ["Student", "options", "run"]

_STATE = ("step", "clips", "loss", "wall", "cpu")


class Student(ABC):
    """One run's state. `start`: the networks that it begins as; `plan`: what must not change when it goes on.

    `networks` hold the weights; `work` is what computes, a copy in bfloat16 where the recipe says so.
    """

    def __init__(
        self, teacher: Teacher, start: Networks, recipe: Recipe, plan: dict[str, Any], device: str
    ) -> None:
        self.teacher, self.recipe, self.plan = teacher, recipe, plan
        self.device = torch.device(device)
        self.kind = torch.bfloat16 if recipe.bf16 else torch.float32
        self.networks = copy.deepcopy(start).requires_grad_(True)
        self.work = copy.deepcopy(self.networks).to(self.kind) if recipe.bf16 else self.networks
        self.ema = Ema(self.networks, recipe.ema)
        self.optimisers = optimisers(self.networks, recipe.lr, bf16=recipe.bf16)
        self.generator = torch.Generator().manual_seed(recipe.seed + 1)
        self.step, self.clips, self.loss = 0, 0, math.nan
        self.wall = self.cpu = 0.0

    @abstractmethod
    def gradients(self, batch: Batch, lr: float) -> float:
        """Leave the gradients of one update in `work`; what they say, as a number that falls."""

    def update(self, batch: Batch, lr: float) -> float:
        """One optimiser step; what `gradients` says. Raises `ModelError` when that is not finite."""
        if self.work is not self.networks:
            refresh(self.work, self.networks)
        value = self.gradients(batch, lr)
        if not math.isfinite(value):
            raise ModelError(f"the loss became {value} at step {self.step}; lower `--lr` or start again")
        if self.work is not self.networks:
            collect(self.networks, self.work)
        step(self.networks, self.optimisers, [lr] * len(self.optimisers), self.recipe.clip)
        self.step, self.clips = self.step + 1, self.clips + len(batch.clips)
        self.ema.update(self.networks, self.step)
        self.loss = value if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * value
        return value

    def held(self, batch: Batch, clean: Tensor) -> Held | None:
        """The given frames; None for a model that takes none. A frame of latents needs all its pictures."""
        if self.networks.dit.given is None:
            return None
        given = batch.given.reshape(len(clean), clean.shape[2], -1).all(-1)
        return Held(clean, torch.from_numpy(given.astype(np.float32)).to(self.device))

    def scores(self) -> dict[str, float]:
        """The oracle's, of the averaged student with its own number of steps."""
        return evaluate(self.ema.model.dit, self.ema.model.text, self.recipe, self.teacher.codec)

    def save(self, path: Path) -> None:
        """Write everything needed to go on."""
        state = {k: getattr(self, k) for k in _STATE} | {"plan": self.plan}
        save_checkpoint(path, self._modules(), self._optimisers(), self.generator, state)

    def load(self, path: Path) -> None:
        """Go on from `path`; raises `UsageError` when it was made by another plan."""
        state = load_checkpoint(path, self._modules(), self._optimisers(), self.generator)
        if state["plan"] != self.plan:
            raise UsageError(f"{path} was made with {state['plan']}, got {self.plan}; use a new folder")
        for name in _STATE:
            setattr(self, name, state[name])

    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.networks, "ema": self.ema.model}

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        return self.optimisers


def run(student: Student, out: Path, budget: Budget, *, save_every: float = 300) -> None:
    """Train in folder `out` until `budget` is used; goes on from `out/last.safetensors` if present.

    `save_every`: seconds. Writes `log.jsonl`, `last.safetensors` and the model's folder `model`.
    """
    last = out / "last.safetensors"
    if last.exists():
        student.load(last)
    out.mkdir(parents=True, exist_ok=True)
    stream = batches(student.recipe.seed, student.recipe.draw, first=student.step)
    with (out / "log.jsonl").open("a") as log, stoppable() as stop:
        saved = student.wall
        clock = (time.monotonic() - student.wall, time.process_time() - student.cpu)
        while (used := budget.used(student.wall / 3600, student.step)) < 1 and not stop:
            student.update(next(stream), learning_rate(student.recipe, student.step, used))
            student.wall, student.cpu = time.monotonic() - clock[0], time.process_time() - clock[1]
            if student.step % 20 == 0:
                _log(log, student, {"used": round(used, 4)})
            if student.wall - saved >= save_every:
                student.save(last)
                saved = student.wall
        student.save(last)
        recipe = student.recipe
        package(student.teacher, student.ema.model, out / "model", recipe.steps, recipe.shift)
        _log(log, student, {} if stop else student.scores())  # whoever stops a run will not wait for samples


def options(prog: str, about: str, *, lr: float, teacher: str) -> argparse.ArgumentParser:
    """The options that all ways share. `lr`: the usual rate; `teacher`: what may be one."""
    parser = argparse.ArgumentParser(
        prog=prog, description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", type=Path, required=True, help=teacher)
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints, log and student")
    parser.add_argument("--shapes", choices=("all", "usual"), default="all", help="clips that it trains on")
    parser.add_argument("--hours", type=float, default=math.inf)
    parser.add_argument("--steps", type=float, default=math.inf)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--lr", type=float, default=lr, help="the student's highest rate")
    parser.add_argument("--shift", type=float, help="of the student's noise levels (default: as it begins)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    return parser


def _log(file: Any, student: Student, extra: dict[str, float]) -> None:
    row = {
        "step": student.step, "clips": student.clips, "wall_s": round(student.wall, 1),
        "cpu_s": round(student.cpu, 1), "loss": None if math.isnan(student.loss) else round(student.loss, 6),
    }  # fmt: skip
    file.write(json.dumps(row | extra) + "\n")
    file.flush()
