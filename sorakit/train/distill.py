"""Makes a few-step student of a model.

    python -m sorakit.train.distill --teacher FOLDER --out runs/NAME --evaluations 4 --hours 0.3

The teacher is a model's folder, or the folder of a training run, whose averaged weights are exported first.
The student starts as its copy and learns to do without guidance and with `--evaluations` steps (see
`sorakit.diffusion.distill`). Out: checkpoints and a log in `--out`, and in `--out/model` an ordinary model's
folder, whose `sorakit.json` names those steps and guidance 1. SIGTERM ends the run with a checkpoint and the
folder as far as it came; the same command goes on from there.

Measured on the one-object model of version 0.1.0, 71 CPU-seconds (103 steps of 12 clips), 256 prompts: .97 of
the student's clips obey in everything with 4 evaluations, .98 of the teacher's with 16 and .55 with 4.
"""

import argparse
import copy
import json
import math
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sorakit.diffusion.distill import Plan, mixed_restart, walk
from sorakit.diffusion.guidance import Guidance, Held, guided_velocity
from sorakit.errors import ModelError, UsageError
from sorakit.precision import suited
from sorakit.train.checkpoint import load_checkpoint, save_checkpoint
from sorakit.train.ema import Ema
from sorakit.train.evaluate import evaluate
from sorakit.train.loop import Budget, learning_rate
from sorakit.train.optim import collect, optimisers, refresh, step
from sorakit.train.stopping import stoppable
from sorakit.train.teacher import Teacher, as_folder, load_teacher, package
from sorakit.world.dataset import Batch, batches

__all__ = ["Distiller", "distill"]

_STATE = ("step", "clips", "loss", "wall", "cpu")


class Distiller:
    """One run's state and its step; `own`: share of clips on which the student goes its own way."""

    def __init__(self, teacher: Teacher, plan: Plan, own: float = 0.75, device: str = "cpu") -> None:
        self.teacher, self.plan, self.own, self.device = teacher, plan, own, torch.device(device)
        self.recipe = replace(teacher.recipe, steps=plan.evaluations, shift=plan.shift)
        self.networks = copy.deepcopy(teacher.networks).requires_grad_(True)
        kind = torch.bfloat16 if self.recipe.bf16 else torch.float32
        self.guide = copy.deepcopy(teacher.networks).to(kind)
        self.work = copy.deepcopy(self.networks).to(kind) if self.recipe.bf16 else self.networks
        self.ema = Ema(self.networks, self.recipe.ema)
        self.optimisers = optimisers(self.networks, self.recipe.lr, bf16=self.recipe.bf16)
        self.generator = torch.Generator().manual_seed(self.recipe.seed + 1)
        self.step, self.clips, self.loss = 0, 0, math.nan
        self.wall = self.cpu = 0.0

    def update(self, batch: Batch, lr: float) -> float:
        """One optimiser step on a walk over all levels; the mean loss of a level comes back.

        Raises `ModelError` when it is not finite.
        """
        if self.work is not self.networks:
            refresh(self.work, self.networks)
        value = self._walk(batch)
        if not math.isfinite(value):
            raise ModelError(f"the loss became {value} at step {self.step}; lower `--lr` or start again")
        if self.work is not self.networks:
            collect(self.networks, self.work)
        step(self.networks, self.optimisers, [lr] * len(self.optimisers), self.recipe.clip)
        self.step, self.clips = self.step + 1, self.clips + len(batch.clips)
        self.ema.update(self.networks, self.step)
        self.loss = value if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * value
        return value

    def _walk(self, batch: Batch) -> float:
        """Gradients of all levels; the mean loss of a level."""
        clean = self.teacher.codec.encode(batch.clips)  # (B, C, T, H, W)
        noise = torch.randn(clean.shape, generator=self.generator).to(self.device)
        own = torch.rand(len(clean), generator=self.generator).to(self.device) < self.own  # (B,)
        tokens = torch.from_numpy(batch.tokens).to(self.device)  # (B, L)
        held = self._held(batch, clean)
        with torch.no_grad():
            empty = self.guide.text(torch.zeros_like(tokens))
            prompt = self.guide.text(tokens)
        leads = guided_velocity(self.guide.dit, prompt, empty, self.teacher.guidance, held)

        def follows(z: Tensor, sigma: float) -> Tensor:
            text = self.work.text(tokens)  # again at each level: its graph is gone after `backward`
            return guided_velocity(self.work.dit, text, text, Guidance(1.0), held)(z, sigma)

        total, count = 0.0, self.plan.evaluations
        for loss in walk(follows, leads, noise, self.plan, mixed_restart(own, clean, noise)):
            (loss / count).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total / count

    def _held(self, batch: Batch, clean: Tensor) -> Held | None:
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
        state = {k: getattr(self, k) for k in _STATE} | {"plan": asdict(self.plan)}
        save_checkpoint(path, self._modules(), self.optimisers, self.generator, state)

    def load(self, path: Path) -> None:
        """Go on from `path`; raises `UsageError` when it was made by another plan."""
        state = load_checkpoint(path, self._modules(), self.optimisers, self.generator)
        if state["plan"] != asdict(self.plan):
            raise UsageError(
                f"{path} was made with {state['plan']}, got {asdict(self.plan)}; use a new folder"
            )
        for name in _STATE:
            setattr(self, name, state[name])

    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.networks, "ema": self.ema.model}


def distill(
    teacher: Teacher, plan: Plan, out: Path, budget: Budget, *,
    own: float = 0.75, device: str = "cpu", save_every: float = 300,
) -> Distiller:  # fmt: skip
    """Train a student in folder `out` until `budget` is used; goes on from `out/last.safetensors` if present.

    `save_every`: seconds. Writes `log.jsonl`, `last.safetensors` and the model's folder `model`.
    """
    teacher = replace(teacher, recipe=suited(teacher.recipe, device))
    run = Distiller(teacher, plan, own, device)
    last = out / "last.safetensors"
    if last.exists():
        run.load(last)
    out.mkdir(parents=True, exist_ok=True)
    stream = batches(run.recipe.seed, run.recipe.draw, first=run.step)
    with (out / "log.jsonl").open("a") as log, stoppable() as stop:
        saved = run.wall
        clock = (time.monotonic() - run.wall, time.process_time() - run.cpu)
        while (used := budget.used(run.wall / 3600, run.step)) < 1 and not stop:
            run.update(next(stream), learning_rate(run.recipe, run.step, used))
            run.wall, run.cpu = time.monotonic() - clock[0], time.process_time() - clock[1]
            if run.step % 20 == 0:
                _log(log, run, {"used": round(used, 4)})
            if run.wall - saved >= save_every:
                run.save(last)
                saved = run.wall
        run.save(last)
        package(teacher, run.ema.model, out / "model", plan.evaluations, plan.shift)
        _log(log, run, {} if stop else run.scores())  # whoever stops a run will not wait for samples
    return run


def _log(file: Any, run: Distiller, extra: dict[str, float]) -> None:
    row = {
        "step": run.step, "clips": run.clips, "wall_s": round(run.wall, 1), "cpu_s": round(run.cpu, 1),
        "loss": None if math.isnan(run.loss) else round(run.loss, 6),
    }  # fmt: skip
    file.write(json.dumps(row | extra) + "\n")
    file.flush()


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when the budget is used or the run was stopped in good order."""
    parser = argparse.ArgumentParser(
        prog="python -m sorakit.train.distill", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--teacher", type=Path, required=True, help="folder of a model or of a training run")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints, log and student")
    parser.add_argument("--evaluations", type=int, default=4, help="steps of the student")
    parser.add_argument(
        "--substeps", type=int, help="teacher's steps in each (default: 8 in all, at least 2)"
    )
    parser.add_argument("--shift", type=float, help="of the student's noise levels (default: the teacher's)")
    parser.add_argument("--shapes", choices=("all", "usual"), default="all", help="clips that it trains on")
    parser.add_argument("--hours", type=float, default=math.inf)
    parser.add_argument("--steps", type=float, default=math.inf)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--own", type=float, default=0.75, help="share of clips on the student's own path")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    budget = Budget(args.hours, args.steps)
    substeps = args.substeps or max(2, 8 // max(1, args.evaluations))
    teacher = load_teacher(as_folder(args.teacher, args.out / "teacher"), args.shapes, args.device)
    plan = Plan(args.evaluations, substeps, args.shift or teacher.recipe.shift)
    teacher = replace(teacher, recipe=replace(teacher.recipe, batch=args.batch, lr=args.lr))
    distill(teacher, plan, args.out, budget, own=args.own, device=args.device)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
