"""One run of a contest between networks: training that differs in nothing but the network.

In: a plan, a network, a learning rate, a seed. Out: a checkpoint and a curve, `NAME.safetensors`, `NAME.csv`.
A run ends when its operations (3 forward passes a clip, 2 a multiply-add, the text encoder left out) reach
the plan's budget. Run `k` of each network sees the same batches in the same order.
"""

import copy
import csv
import json
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sorakit.model.dit import forward_flops
from sorakit.model.family import dit_config, unet_like
from sorakit.model.unet import VideoUNet, unet_flops
from sorakit.precision import suited
from sorakit.train.checkpoint import load_checkpoint, save_checkpoint
from sorakit.train.codec import open_codec
from sorakit.train.ema import Ema
from sorakit.train.evaluate import evaluate
from sorakit.train.loop import learning_rate
from sorakit.train.objective import Pair, batch_loss
from sorakit.train.optim import collect, optimisers, refresh, step
from sorakit.train.recipe import RECIPES, Recipe
from sorakit.world.dataset import MAKEUP, Batch, batches, make_batch

__all__ = ["NETWORKS", "SCORES", "Contest", "Plan", "Row", "make_pair", "write_csv"]

NETWORKS = ("dit", "unet")
SCORES = ("all_facts", "coherent", "colour", "shape", "size", "motion")
FIELDS = ("network", "rate", "seed", "step", "clips", "tflop", "cpu_s", "loss", "held_out", *SCORES)
HELD_OUT = 7_000_003
"""No training stream starts from this seed."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is compared."""

    recipe: str
    depth: int
    tflop: float
    points: int
    prompts: int
    probe: bool

    @property
    def training(self) -> Recipe:
        """The recipe, its DiT as deep as the plan says."""
        recipe = RECIPES[self.recipe]
        size = {k: dit_config(self.depth)[k] for k in ("width", "depth", "heads")}
        probe = recipe.probe if self.probe else 0.0
        return replace(recipe, model=recipe.model | size, prompts=self.prompts, probe=probe)


class Contest:
    """One network, rate and seed: its state, its step and its curve."""

    def __init__(self, plan: Plan, network: str, rate: float, seed: int, out: Path) -> None:
        self.plan, self.network, self.rate, self.seed = plan, network, rate, seed
        self.recipe = recipe = suited(replace(plan.training, seed=seed, lr=rate), "cpu")
        self.name = f"{network}-{rate:g}-{seed}"
        self.state, self.curve = out / f"{self.name}.safetensors", out / f"{self.name}.csv"
        torch.manual_seed(seed)
        self.pair = make_pair(recipe, network)
        self.work = copy.deepcopy(self.pair).to(torch.bfloat16) if recipe.bf16 else self.pair
        self.codec = open_codec(recipe.autoencoder, self.pair.dit, torch.device("cpu"))
        self.ema = Ema(self.pair, recipe.ema)
        self.optimisers = optimisers(self.pair, rate, bf16=recipe.bf16)
        self.generator = torch.Generator().manual_seed(seed + 1)
        self.step, self.clips, self.work_done, self.loss, self.cpu = 0, 0, 0, math.nan, 0.0
        self.rows: list[Row] = []

    @property
    def used(self) -> float:
        """Share of the budget that is gone."""
        return self.work_done / (1e12 * self.plan.tflop)

    def flops(self, shape: tuple[int, int, int]) -> int:
        """Training operations of one clip (T, H, W)."""
        count = forward_flops if self.network == "dit" else unet_flops
        return 3 * count(self.pair.dit, *self.codec.shape(shape), words=self.pair.words)

    def update(self, batch: Batch) -> None:
        """One step."""
        if self.work is not self.pair:
            refresh(self.work, self.pair)
        loss = batch_loss(self.work, batch, self.recipe, self.generator, self.codec)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise SystemExit(f"{self.name}: the loss became {value} at step {self.step}")
        loss.backward()
        if self.work is not self.pair:
            collect(self.pair, self.work)
        rate = learning_rate(self.recipe, self.step, self.used)
        step(self.pair, self.optimisers, [rate] * len(self.optimisers), self.recipe.clip)
        self.step += 1
        self.clips += len(batch.clips)
        self.work_done += len(batch.clips) * self.flops(batch.clips.shape[1:4])
        self.ema.update(self.pair, self.step)
        self.loss = value if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * value

    def train(self, stop: list[int]) -> None:
        """Go on until the budget is used, or a signal came; measure at equal distances."""
        if self.state.exists():
            self.load()
        stream = batches(self.seed, self.recipe.draw, first=self.step)
        while self.used < 1 and not stop:
            start = time.process_time()
            self.update(next(stream))
            self.cpu += time.process_time() - start
            if self.used >= min(1.0, (len(self.rows) + 1) / self.plan.points):
                self.measure()
                self.save()
        if stop:
            self.save()

    def measure(self) -> None:
        """One more point of the curve."""
        pair = self.ema.model
        scores = evaluate(pair.dit, pair.text, self.recipe, self.codec)
        row = {
            "network": self.network, "rate": self.rate, "seed": self.seed, "step": self.step,
            "clips": self.clips, "tflop": round(self.work_done / 1e12, 4), "cpu_s": round(self.cpu, 1),
            "loss": round(self.loss, 5), "held_out": round(held_out(pair, self.recipe, self.codec), 5),
        }  # fmt: skip
        self.rows.append(row | {name: scores[name] for name in SCORES})
        print(json.dumps(self.rows[-1]), flush=True)

    def save(self) -> None:
        """Write the state and the curve so far."""
        state = {
            "step": self.step, "clips": self.clips, "work_done": self.work_done, "loss": self.loss,
            "cpu": self.cpu, "rows": self.rows,
        }  # fmt: skip
        modules = {"model": self.pair, "ema": self.ema.model}
        save_checkpoint(self.state, modules, self.optimisers, self.generator, state)
        write_csv(self.curve, self.rows)

    def load(self) -> None:
        """Go on from the last save."""
        modules = {"model": self.pair, "ema": self.ema.model}
        state = load_checkpoint(self.state, modules, self.optimisers, self.generator)
        self.step, self.clips, self.work_done = state["step"], state["clips"], state["work_done"]
        self.loss, self.cpu, self.rows = state["loss"], state["cpu"], state["rows"]


def make_pair(recipe: Recipe, network: str) -> Pair:
    """The recipe's networks, with the U-Net of equal cost in the DiT's place if asked for."""
    pair = Pair(recipe)
    if network == "unet":
        codec = open_codec(recipe.autoencoder, pair.dit, torch.device("cpu"))
        words = recipe.slots or recipe.length
        pair.dit = VideoUNet(**unet_like(recipe.model, codec.shape(recipe.shape), words))
        pair.probe = nn.Linear(pair.dit.width, MAKEUP) if recipe.probe else None
    return pair


@torch.no_grad()
def held_out(pair: Pair, recipe: Recipe, codec: Any, count: int = 8) -> float:
    """Mean loss on `count` batches that no run trains on, always with the same noise, without the probe."""
    generator = torch.Generator().manual_seed(HELD_OUT)
    probe, pair.probe = pair.probe, None
    try:
        losses = [
            batch_loss(pair, make_batch(HELD_OUT, i, recipe.draw), recipe, generator, codec)
            for i in range(count)
        ]
    finally:
        pair.probe = probe
    return float(torch.stack(losses).mean())


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """`rows` as CSV, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)
