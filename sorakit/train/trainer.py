"""One run's state and its step: gradients of the loss, Muon and AdamW, the running average, the ledger.

In: batches. Out: the loss. With `bf16`, bfloat16 copies of the float32 weights do the matrix products, on the
CPU as on one GPU; several processes use autocast (ddp) or FSDP2's policy (fsdp), see `parallel`.
"""

import copy
import gc
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from sorakit.errors import ModelError, UsageError
from sorakit.model.dit import forward_flops
from sorakit.train.checkpoint import load_checkpoint, save_checkpoint
from sorakit.train.codec import open_codec
from sorakit.train.ema import Ema
from sorakit.train.ledger import WORLD, Ledger, Meter, this_machine
from sorakit.train.objective import Pair, draw
from sorakit.train.optim import collect, optimisers, refresh, step
from sorakit.train.parallel import ALONE, Group, plain, shard
from sorakit.train.recipe import Recipe
from sorakit.world.dataset import Batch

__all__ = ["Trainer", "gpu_of"]


class Trainer:
    """One run's state and its step; `group`: processes that share it, `compiled`: torch.compile each block.

    Raises `UsageError` when the processes cannot share out the recipe's batches.
    """

    def __init__(
        self, recipe: Recipe, device: str = "cpu", *, group: Group = ALONE, compiled: bool = False
    ) -> None:
        _check_share(recipe, group)
        self.recipe, self.group, self.device = recipe, group, torch.device(device)
        with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU, so no GPU's state changes
            torch.default_generator.manual_seed(recipe.seed)
            self.pair = Pair(recipe).to(self.device)
        self.codec = open_codec(recipe.autoencoder, self.pair.dit, self.device)
        self.ema = Ema(self.pair, recipe.ema)
        alone = group.kind == "single"
        self.copied = recipe.bf16 and alone
        inner = copy.deepcopy(self.pair).to(torch.bfloat16) if self.copied else self.pair
        if compiled:
            for block in inner.dit.blocks:  # one block compiles in seconds, and all of them share the result
                cast(nn.Module, block).compile()
        self.work = group.spread(inner, recipe.bf16)
        if group.kind == "fsdp":
            shard(self.ema.model, bf16=False)
        self.optimisers = optimisers(self.pair, recipe.lr, bf16=recipe.bf16)
        self.generator = torch.Generator()
        self.step, self.loss = 0, math.nan
        self.ledger = Ledger()
        self.meter = Meter(self.ledger.watts_per_core, gpu=gpu_of(self.device))

    def update(self, batches: Batch | Sequence[Batch], lr: float, *, worker_cpu: float = 0.0) -> float:
        """One optimiser step on this process's share of a step's batches; their mean loss comes back.

        Raises `ModelError` when the loss is not finite, before any weight is changed.
        """
        parts = [batches] if isinstance(batches, Batch) else list(batches)
        loss = torch.zeros((), device=self.device)
        if self.copied:
            refresh(self.work, self.pair)
        for i, batch in enumerate(parts):
            with self.group.last(self.work, i == len(parts) - 1):
                loss += self._gradients(batch, i, len(parts))
        clips, flops = sum(len(b.clips) for b in parts), sum(self.flops(b.clips.shape) for b in parts)
        cpu, joules = self.meter.lap(worker_cpu)
        value, clips_all, work, cpu, joules = self.group.total(float(loss), clips, flops, cpu, joules)
        value /= self.group.size
        if not math.isfinite(value):
            raise ModelError(f"the loss became {value} at step {self.step}; lower `lr` or start again")
        self._apply(lr)
        self.step += 1
        self.ledger.add(clips=int(clips_all), work=int(work), cpu=cpu, joules=joules)
        self.ema.update(self.pair, self.step)
        self.loss = value if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * value
        return value

    def _gradients(self, batch: Batch, place: int, count: int) -> Tensor:
        """Add the gradients of `batch`, this process's `place`-th of `count`; its share of the loss."""
        number = self.step * self.recipe.accumulate + place * self.group.size + self.group.rank
        self.generator.manual_seed(_noise_seed(self.recipe.seed, number))
        drawn = draw(batch, self.recipe, self.generator, self.codec, self.device)
        with self._precision():
            loss: Tensor = self.work(*drawn) / count
        loss.backward()  # type: ignore[no-untyped-call]
        if self.copied:
            collect(self.pair, self.work)
        return loss.detach()

    def _precision(self) -> AbstractContextManager[Any]:
        if self.recipe.bf16 and self.group.kind == "ddp":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def _apply(self, lr: float) -> None:
        step(self.pair, self.optimisers, [lr] * len(self.optimisers), self.recipe.clip)

    def flops(self, shape: tuple[int, ...]) -> int:
        """Training operations of one batch of clips `(B, T, H, W, 3)`."""
        inside = self.codec.shape((shape[1], shape[2], shape[3]))
        return 3 * shape[0] * forward_flops(self.pair.dit, *inside, words=self.pair.words)

    def averaged(self) -> Pair:
        """The averaged weights, whole; with sharded weights all processes must call this."""
        if self.group.kind != "fsdp":
            return self.ema.model
        return cast(Pair, plain(lambda: Pair(self.recipe).to(self.device).eval(), self.ema.model))

    def save(self, path: Path) -> None:
        """Write everything needed to go on; all processes call this, the first one writes."""
        state = {"step": self.step, "loss": self.loss, "recipe": asdict(self.recipe)} | self.ledger.state()
        save_checkpoint(path, self._modules(), self.optimisers, None, state, write=self.group.first)

    def load(self, path: Path) -> None:
        """Go on from `path`, whatever number of processes wrote it."""
        state = load_checkpoint(path, self._modules(), self.optimisers, None)
        self.step, self.loss = int(state["step"]), float(state["loss"])
        watts, self.ledger = self.ledger.watts_per_core, Ledger.from_state(state)
        self.ledger.watts_per_core = watts

    def enter(self, watts_per_core: float, data: str = WORLD) -> None:
        """Note where, on what and under which assumption the run goes on."""
        self.ledger.watts_per_core = self.meter.watts_per_core = watts_per_core
        self.ledger.enter(this_machine(str(self.device), self.group.size, self.step), data)
        self.meter.lap()  # what went before belongs to no step

    def close(self) -> None:
        """Let go of what spreads the networks, before their group ends; no step may follow.

        DDP's reducer, if it were the last to hold gloo's threads, would wait for them with the interpreter
        locked, and one of them may wait for that lock: a process that never ends.
        """
        self.work = self.pair
        gc.collect()

    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.pair, "ema": self.ema.model}


def _check_share(recipe: Recipe, group: Group) -> None:
    if recipe.accumulate % group.size:
        count, batch = group.size, max(1, round(recipe.batch * recipe.accumulate / group.size))
        raise UsageError(
            f"`accumulate` must be a multiple of the {count} processes, got {recipe.accumulate}; for as many "
            f"clips a step add --set accumulate={count} --set batch={batch}"
        )


def gpu_of(device: torch.device) -> int | None:
    """The number of the GPU that `device` is, None for another kind; "cuda" is this process's own.

    >>> gpu_of(torch.device("cuda", 3)), gpu_of(torch.device("cpu"))
    (3, None)
    """
    if device.type != "cuda":
        return None
    return torch.cuda.current_device() if device.index is None else device.index


def _noise_seed(seed: int, number: int) -> int:
    """Seed of the noise of batch `number`: no process and no restart needs to know what was drawn before."""
    return int(np.random.SeedSequence([seed, number, 1]).generate_state(1, np.uint64)[0] >> 1)
