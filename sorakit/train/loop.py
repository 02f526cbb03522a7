"""The training loop: a recipe in, checkpoints, a log and stills of samples out.

Warm-up, constant and decaying learning rate, infinite data. SIGTERM and SIGINT end the run after the
current step with a checkpoint; a run started again in the same folder goes on from there. Under a budget of
steps a run that was killed at any moment ends with the same bits as one that was not; under a budget of
hours the learning rate follows the clock.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sorakit.errors import UsageError
from sorakit.precision import suited
from sorakit.train.data import Made, open_source, open_stream
from sorakit.train.evaluate import sample_all
from sorakit.train.ledger import WATTS_PER_CORE
from sorakit.train.logs import Log
from sorakit.train.parallel import ALONE, Group
from sorakit.train.preview import draw_preview
from sorakit.train.recipe import Recipe
from sorakit.train.start import start_from
from sorakit.train.stopping import stoppable
from sorakit.train.trainer import Trainer

__all__ = ["Budget", "Report", "Run", "Trainer", "learning_rate", "train"]

Report = Callable[[Trainer, float], None]
"""Called after each step with the trainer and the share of the budget that is used."""


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


@dataclass(frozen=True, slots=True)
class Run:
    """How to run a recipe; of all this, only `shards` and `start` change what a run of given steps learns.

    `save_every`, `evaluate_every` in seconds, `log_every` in steps; `workers`: processes that make batches;
    `shards`: folder of one's own clips; `watts_per_core`: assumed power of a busy core; `start`: folder of a
    model whose weights a new run begins from.
    """

    device: str = "cpu"
    workers: int = 0
    shards: Path | None = None
    compiled: bool = False
    tensorboard: bool = False
    save_every: float = 300
    evaluate_every: float = 600
    log_every: int = 50
    watts_per_core: float = WATTS_PER_CORE
    start: Path | None = None


def train(
    recipe: Recipe,
    out: Path,
    budget: Budget,
    run: Run = Run(),
    *,
    group: Group = ALONE,
    report: Report | None = None,
) -> Trainer:
    """Train `recipe` in folder `out` until `budget` is used; goes on from `out/last.safetensors` if present.

    Writes `last.safetensors`, `log.jsonl` and `previews/*.png`; returns the trainer. Raises `ModelError` when
    the loss is not finite or a checkpoint does not fit, `UsageError` when the recipe cannot run so.
    """
    recipe = suited(recipe, run.device)
    source = open_source(recipe, run.shards)
    trainer = Trainer(recipe, run.device, group=group, compiled=run.compiled)
    last = out / "last.safetensors"
    if last.exists():
        trainer.load(last)
    elif run.start is not None:
        start_from(trainer, run.start)
    trainer.enter(run.watts_per_core, source.about)
    out.mkdir(parents=True, exist_ok=True)
    first = trainer.step * recipe.accumulate + group.rank
    log = Log(out, trainer.step, tensorboard=run.tensorboard) if group.first else None
    batches = open_stream(source, first=first, step=group.size, workers=run.workers)
    with stoppable() as stop, batches as stream:
        try:
            _Loop(trainer, out, budget, run, log=log, report=report).go(stream, stop)
        finally:
            trainer.close()
            if log is not None:
                log.close()
    return trainer


class _Loop:
    """The loop's clocks and what happens at which of their marks."""

    def __init__(
        self,
        trainer: Trainer,
        out: Path,
        budget: Budget,
        run: Run,
        *,
        log: Log | None,
        report: Report | None,
    ) -> None:
        self.trainer, self.out, self.budget, self.run = trainer, out, budget, run
        self.log, self.report = log, report
        self.start = time.monotonic() - trainer.ledger.wall
        self.saved = self.measured = trainer.ledger.wall
        self.workers: dict[int, float] = {}

    def go(self, stream: Iterator[Made], stop: list[int]) -> None:
        """Step until the budget is used or a signal came."""
        trainer, fresh, begun = self.trainer, False, self.trainer.step
        while True:
            wall = trainer.ledger.wall
            used, stopped, save, measure = trainer.group.agree(
                self.budget.used(wall / 3600, trainer.step),
                bool(stop),
                wall - self.saved >= self.run.save_every,
                wall - self.measured >= self.run.evaluate_every,
            )
            if save or stopped or used >= 1:
                trainer.save(self.out / "last.safetensors")
                self.saved = wall
            if measure or (used >= 1 and not stopped and trainer.step > begun):
                self._measure()
                self.measured = trainer.ledger.wall = self._now()
                fresh = True
            if stopped or used >= 1:
                break
            fresh = False
            self._step(stream, used)
        if not fresh:
            self._row({"used": round(used, 4)})
        trainer.save(self.out / "last.safetensors")  # with the time that sampling took

    def _step(self, stream: Iterator[Made], used: float) -> None:
        trainer, recipe = self.trainer, self.trainer.recipe
        made = [next(stream) for _ in range(recipe.accumulate // trainer.group.size)]
        rate = learning_rate(recipe, trainer.step, used)
        trainer.update([m.batch for m in made], rate, worker_cpu=self._worker_seconds(made))
        trainer.ledger.wall = self._now()
        if trainer.step % self.run.log_every == 0:
            self._row({"used": round(used, 4), "lr": rate})
        if self.report is not None:
            self.report(trainer, self.budget.used(trainer.ledger.wall / 3600, trainer.step))

    def _now(self) -> float:
        return time.monotonic() - self.start

    def _worker_seconds(self, made: list[Made]) -> float:
        """CPU seconds of the data workers since they were last heard of."""
        spent = 0.0
        for m in made:
            spent += m.cpu - self.workers.get(m.worker, 0.0)
            self.workers[m.worker] = m.cpu
        return spent

    def _measure(self) -> None:
        """Sample, score and draw; the first process does, the others only help to gather the weights."""
        trainer = self.trainer
        pair = trainer.averaged()
        if self.log is None:
            return
        sampled = sample_all(pair.dit, pair.text, trainer.recipe, trainer.codec)
        self._row(sampled.scores | {"evaluation_cpu_s": round(sampled.cpu, 1)})
        about = f"{trainer.ledger.clips:,} clips, {trainer.ledger.tflop:,.1f} TFLOP, loss {trainer.loss:.4f}"
        title = f"{trainer.recipe.name}, step {trainer.step:,}"
        path = self.out / "previews" / f"step-{trainer.step:07d}.png"
        self.log.picture(trainer.step, draw_preview(sampled, path, title, about))

    def _row(self, extra: dict[str, float]) -> None:
        if self.log is None:
            return
        trainer, ledger = self.trainer, self.trainer.ledger
        row = {
            "clips": ledger.clips,
            "wall_s": round(ledger.wall, 1),
            "cpu_s": round(ledger.cpu, 1),
            "tflop": round(ledger.tflop, 2),
            "energy_wh": round(1000 * ledger.kwh, 3),
            "loss": round(trainer.loss, 5),
        }
        self.log.row(trainer.step, row | extra)


def learning_rate(recipe: Recipe, step: int, used: float) -> float:
    """Warm-up over steps, then constant, then linear decay over the last share of the budget.

    >>> from sorakit.train.recipe import RECIPES
    >>> learning_rate(RECIPES["tiny"], 1000, 0.5)
    0.002
    """
    decay = min(1.0, max(0.02, (1 - used) / recipe.decay))
    return recipe.lr * min(1.0, (step + 1) / recipe.warmup) * decay
