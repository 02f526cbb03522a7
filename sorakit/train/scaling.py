"""How loss falls with size and compute: many sizes of the DiT on one stream of batches, measured on the way.

In: sizes (width, depth), a seed and the steps at which to look. Out: a `Point` a size and step: parameters,
operations and the loss of the averaged weights on one fixed held-out set. All sizes see the same clips, noise
and noise levels in the same order, at one learning rate that never decays; the running mean stands in for the
decay, so that one run serves all budgets (Hägele et al. 2024, arXiv:2405.18392). The objective is the plain
one, without decoys, probe and given frames, and the text encoder has one size: only the DiT grows.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import torch

from sorakit.diffusion.flow import add_noise
from sorakit.errors import UsageError
from sorakit.train.loop import learning_rate
from sorakit.train.objective import Drawn, Pair, draw
from sorakit.train.recipe import RECIPES, Recipe
from sorakit.train.trainer import Trainer
from sorakit.world.dataset import batches, make_batch

__all__ = ["SIZES", "HeldOut", "Point", "PowerLaw", "fit_power_law", "grow", "recipe_of"]

SIZES = ((8, 1), (16, 1), (24, 2), (32, 2), (48, 3), (64, 3), (96, 4), (128, 4))
"""(width, depth), 17 thousand to 1.4 million parameters."""

_FLOORS = 200
_HELD_OUT = 11_000_003
"""No training stream starts from this seed."""


@dataclass(frozen=True, slots=True)
class Point:
    """One size after `step` steps; `parameters` of the DiT, `tflop` of its training, `loss` held out.

    `seconds` of this process so far went into this size's steps; rendering the clips is not in them.
    """

    width: int
    depth: int
    seed: int
    parameters: int
    step: int
    clips: int
    tflop: float
    loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """y = `floor` + exp(`height`) · x^`exponent`."""

    floor: float
    exponent: float
    height: float

    def at(self, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """What y is at `x`."""
        out: npt.NDArray[np.float64] = (
            self.floor + np.exp(self.height) * np.asarray(x, float) ** self.exponent
        )
        return out


def fit_power_law(x: npt.ArrayLike, y: npt.ArrayLike, *, floor: bool = True) -> PowerLaw:
    """The law through positive `x`, `y` with the least squared error in log y; without `floor` a plain one.

    For each of 200 floors from 0 to nearly the least y, a line through the logarithms of the rest.

    >>> law = fit_power_law([1, 10, 100], [3.0, 2.1, 2.01])
    >>> round(law.floor, 1), round(law.exponent, 1)
    (2.0, -1.0)
    """
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    if xs.shape != ys.shape or xs.size < 3 or min(xs.min(), ys.min()) <= 0:
        raise UsageError("a power law needs 3 pairs of positive numbers at least")
    tried = []
    for level in np.linspace(0, 0.999 * ys.min(), _FLOORS) if floor else (0.0,):
        exponent, height = np.polyfit(np.log(xs), np.log(ys - level), 1)
        tried.append(PowerLaw(float(level), float(exponent), float(height)))
    return min(tried, key=lambda law: float((np.log(law.at(xs) / ys) ** 2).sum()))


def recipe_of(width: int, depth: int, seed: int = 0, batch: int = 16) -> Recipe:
    """The recipe of one size: one sprite, 16 × 32 × 32, heads 8 to 32 features wide.

    Raises `UsageError` unless `width` is a multiple of 8 and `depth` positive.

    >>> recipe_of(64, 3).model["heads"]
    2
    """
    if width < 8 or width % 8 or depth < 1:
        raise UsageError(f"`width` must be a multiple of 8 and `depth` at least 1, got {width}, {depth}")
    head = next(h for h in (32, 24, 16, 8) if width % h == 0)
    model = RECIPES["one-object"].model | {"given_frames": False, "keep_given": False, "text_width": 32}
    model |= {"width": width, "depth": depth, "heads": width // head}
    return replace(
        RECIPES["one-object"], name=f"scaling-{width}-{depth}", shapes=((16, 32, 32),), odds=(1.0,),
        model=model, batch=batch, text_drop=0.0, decoy=0.0, given=0.0, probe=0.0, flicker=0.0,
        bf16=False, seed=seed,
    )  # fmt: skip


class HeldOut:
    """`count` clips that no run trains on, each with its own noise and noise level, the same for all sizes.

    The levels are the training distribution's quantiles, evenly spaced, so that a small set stands for all.
    """

    def __init__(self, count: int = 192, size: int = 32) -> None:
        recipe = recipe_of(8, 1)
        generator = torch.Generator().manual_seed(_HELD_OUT)
        order = torch.randperm(count, generator=generator)
        normal = NormalDist(*recipe.sigma)
        levels = torch.tensor([normal.inv_cdf((int(i) + 0.5) / count) for i in order]).sigmoid()  # (count,)
        codec = Trainer(recipe).codec
        self.parts: list[Drawn] = []
        for first in range(0, count, size):
            batch = make_batch(_HELD_OUT, first // size, replace(recipe.draw, size=min(size, count - first)))
            drawn = draw(batch, recipe, generator, codec, torch.device("cpu"))
            sigma = levels[first : first + size]
            noise = torch.randn(drawn.clean.shape, generator=generator)
            self.parts.append(drawn._replace(noisy=add_noise(drawn.clean, noise, sigma), sigma=sigma))

    @torch.no_grad()
    def loss(self, pair: Pair) -> float:
        """The mean loss of `pair`; batches of one size count alike."""
        device = next(pair.parameters()).device
        losses = [float(pair(*(t.to(device) for t in part))) for part in self.parts]
        return float(np.average(losses, weights=[len(p.sigma) for p in self.parts]))


def grow(
    sizes: Sequence[tuple[int, int]],
    steps: Sequence[int],
    seed: int = 0,
    *,
    device: str = "cpu",
    batch: int = 16,
    held_out: HeldOut | None = None,
    report: Callable[[int], None] | None = None,
) -> Iterator[Point]:
    """Train all `sizes` side by side up to the last of `steps`; a point of each at each of them.

    `report` is called after each step. Raises `UsageError` for sizes that cannot be and without steps.

    >>> [p.parameters for p in grow([(8, 1)], [1], batch=2, held_out=HeldOut(4))]
    [16984]
    """
    wanted = sorted(set(steps))
    if not wanted or wanted[0] < 1 or not sizes:
        raise UsageError(f"`sizes` and `steps` must name some, each at least 1, got {sizes} and {steps}")
    trainers = [Trainer(recipe_of(*size, seed, batch), device) for size in sizes]
    held_out = held_out or HeldOut()
    spent = [0.0] * len(trainers)
    stream = batches(seed, trainers[0].recipe.draw)
    for step in range(1, wanted[-1] + 1):
        made = next(stream)
        for i, trainer in enumerate(trainers):
            start = time.process_time()
            trainer.update(made, learning_rate(trainer.recipe, trainer.step, 0.0))
            spent[i] += time.process_time() - start
        if report is not None:
            report(step)
        if step in wanted:
            for trainer, size, seconds in zip(trainers, sizes, spent, strict=True):
                ledger, dit = trainer.ledger, trainer.pair.dit
                count = sum(p.numel() for p in dit.parameters())
                loss = held_out.loss(trainer.averaged())
                yield Point(
                    *size, seed, count, step, ledger.clips, ledger.tflop, round(loss, 6), round(seconds, 1)
                )
