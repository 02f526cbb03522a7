"""New noise at each step: diffusers' own, exact where the answer is known, and without memory of mistakes."""

from typing import Any

import pytest
import torch
from diffusers.schedulers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from sorakit.diffusion.solver import euler, sigmas
from sorakit.diffusion.stochastic import stochastic

CLIP = torch.linspace(-1, 1, 48).reshape(1, 3, 1, 4, 4)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(z: Tensor, sigma: float) -> Tensor:
    """The exact velocity for clips that are normal with mean 2 and deviation 0.5."""
    clean = 2 + (1 - sigma) * 0.25 / ((1 - sigma) ** 2 * 0.25 + sigma**2) * (z - (1 - sigma) * 2)
    return (z - clean) / sigma


def test_it_is_the_one_of_diffusers() -> None:
    scheduler: Any = FlowMatchEulerDiscreteScheduler(shift=3.0, stochastic_sampling=True)
    scheduler.set_timesteps(sigmas=[1 - i / 6 for i in range(6)])
    z = noise = torch.randn(2, 3, 1, 4, 4, generator=seeded())
    draws = seeded(1)
    for t, sigma in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
        z = scheduler.step(gaussian(z, float(sigma)), t, z, generator=draws).prev_sample
    torch.testing.assert_close(stochastic(gaussian, noise, sigmas(6, 3.0), seeded(1)), z)


def test_a_model_that_knows_the_clip_reaches_it_whatever_is_drawn() -> None:
    noise = torch.randn(CLIP.shape, generator=seeded())
    for seed in (1, 2):
        out = stochastic(lambda z, s: (z - CLIP) / s, noise, sigmas(5, 3.0), seeded(seed))
        torch.testing.assert_close(out, CLIP)


@pytest.mark.parametrize("steps", [64, 256])
def test_the_end_has_the_clips_mean_and_nearly_their_spread(steps: int) -> None:
    noise = torch.randn(20_000, 1, 1, 1, 1, generator=seeded())
    out = stochastic(gaussian, noise, sigmas(steps, 4.0), seeded(1))
    assert float(out.mean()) == pytest.approx(2, abs=0.02)
    assert 0.3 < float(out.std()) < 0.55


def test_a_mistake_at_the_start_is_forgotten_where_an_odes_path_keeps_it() -> None:
    noise = torch.zeros(4_000, 1, 1, 1, 1)
    wrong = noise + 3  # as if the first steps had gone astray
    levels = sigmas(32, 4.0)
    kept = (euler(gaussian, wrong, levels) - euler(gaussian, noise, levels)).mean()
    forgotten = (
        stochastic(gaussian, wrong, levels, seeded(1)) - stochastic(gaussian, noise, levels, seeded(1))
    ).mean()
    assert float(kept) > 1
    assert abs(float(forgotten)) < 0.05


def test_equal_seeds_give_equal_clips_and_without_one_the_global_noise_is_drawn() -> None:
    noise = torch.randn(CLIP.shape, generator=seeded())
    a, b, c = (stochastic(gaussian, noise, sigmas(4), seeded(s)) for s in (1, 1, 2))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        one = stochastic(gaussian, noise, sigmas(4))
        torch.manual_seed(7)
        assert torch.equal(one, stochastic(gaussian, noise, sigmas(4)))
