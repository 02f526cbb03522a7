"""Samples clips for a fixed set of prompts and lets the oracle score them."""

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch

from sorakit.diffusion.guidance import Guidance, guided_velocity
from sorakit.diffusion.solver import euler, sigmas
from sorakit.diffusion.stochastic import stochastic
from sorakit.model.dit import VideoDiT
from sorakit.model.text import TextEncoder
from sorakit.train.codec import Codec
from sorakit.train.recipe import Recipe
from sorakit.types import Rgb
from sorakit.world.caption import caption, encode
from sorakit.world.oracle import mean_scores
from sorakit.world.scene import Scene, sample_scene

__all__ = ["Sampled", "evaluate", "fixed_scenes", "sample_all", "sample_clips"]

_PROMPT_SEED = 1_000_003
"""No training stream starts from this seed."""


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """Clips sampled for scenes, one each, and the CPU-seconds that took."""

    scenes: list[Scene]
    clips: list[Rgb]
    cpu: float

    @property
    def scores(self) -> dict[str, float]:
        """The oracle's means over all clips."""
        return {k: round(v, 4) for k, v in mean_scores(self.clips, self.scenes).items()}


@torch.no_grad()
def sample_clips(
    dit: VideoDiT,
    text: TextEncoder,
    prompts: list[str],
    recipe: Recipe,
    *,
    guidance: Guidance,
    codec: Codec,
    seed: int = 5,
) -> Rgb:
    """Clips `uint8 (N, T, H, W, 3)` for `prompts`, with the recipe's solver, steps and shift."""
    device = next(dit.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.from_numpy(np.stack([encode(p, recipe.length) for p in prompts])).to(device)
    noise = torch.randn(len(prompts), dit.channels, *codec.shape(recipe.shape), generator=generator).to(
        device
    )
    if recipe.bf16:
        dit, text = copy.deepcopy(dit).bfloat16(), copy.deepcopy(text).bfloat16()
    velocity = guided_velocity(dit, text(tokens), text(torch.zeros_like(tokens)), guidance)
    levels = sigmas(recipe.steps, recipe.shift)
    if recipe.solver == "stochastic":
        z = stochastic(velocity, noise, levels, generator)  # (N, C, T, H, W)
    else:
        z = euler(velocity, noise, levels)  # (N, C, T, H, W)
    return codec.decode(z)


def sample_all(
    dit: VideoDiT, text: TextEncoder, recipe: Recipe, codec: Codec, guidance: float | None = None
) -> Sampled:
    """A clip for each of the recipe's fixed prompts."""
    start = time.process_time()
    scenes = fixed_scenes(recipe, recipe.prompts)
    how = Guidance(recipe.guidance if guidance is None else guidance, recipe.guidance_low)
    clips: list[Rgb] = []
    for i in range(0, len(scenes), 24):
        part = [caption(s) for s in scenes[i : i + 24]]
        clips += list(sample_clips(dit, text, part, recipe, guidance=how, codec=codec, seed=5 + i))
    return Sampled(scenes, clips, time.process_time() - start)


def evaluate(
    dit: VideoDiT, text: TextEncoder, recipe: Recipe, codec: Codec, guidance: float | None = None
) -> dict[str, float]:
    """Mean oracle scores over the recipe's fixed prompts, and the CPU-seconds that sampling took."""
    sampled = sample_all(dit, text, recipe, codec, guidance)
    return sampled.scores | {"evaluation_cpu_s": round(sampled.cpu, 1)}


def fixed_scenes(recipe: Recipe, count: int, seed: int = _PROMPT_SEED) -> list[Scene]:
    """`count` scenes of the recipe's space from a seed that no training stream has."""
    rng = np.random.default_rng(seed)
    return [sample_scene(rng, recipe.space) for _ in range(count)]
