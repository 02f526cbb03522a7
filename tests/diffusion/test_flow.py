import math
from itertools import pairwise

import pytest
import torch

from sorakit.diffusion.flow import (
    add_noise,
    flow_loss,
    prediction_type,
    sample_sigma,
    to_clean,
    to_velocity,
)
from sorakit.diffusion.guidance import Guidance, guided_velocity
from sorakit.diffusion.solver import euler, heun, sigmas
from sorakit.errors import UsageError
from sorakit.model.dit import VideoDiT


@pytest.mark.parametrize("kind", ["x", "v", "eps"])
def test_every_parametrisation_means_the_same_clip(kind: str) -> None:
    x, e = torch.randn(2, 4, 3, 4, 8, 8)
    sigma = torch.tensor([0.1, 0.4, 0.6, 0.9])
    z = add_noise(x, e, sigma)
    output = {"x": x, "v": e - x, "eps": e}[kind]
    torch.testing.assert_close(to_velocity(kind, output, z, sigma), e - x, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(to_clean(kind, output, z, sigma), x, rtol=1e-4, atol=1e-4)


def test_a_wrong_parametrisation_is_refused() -> None:
    with pytest.raises(UsageError, match="prediction"):
        prediction_type("w")


def test_noise_levels_are_logit_normal() -> None:
    s = sample_sigma(200_000, 1.3, 1.2, torch.Generator().manual_seed(0))
    logit = torch.log(s / (1 - s))
    assert float(logit.mean()) == pytest.approx(1.3, abs=0.02)
    assert float(logit.std()) == pytest.approx(1.2, abs=0.02)


def test_the_loss_is_the_velocity_error_above_the_cap_and_capped_below() -> None:
    x, guess = torch.randn(2, 2, 3, 4, 8, 8)
    one = torch.ones(2, 1, 4, 8, 8)
    sigma = torch.tensor([0.5, 0.5])
    expected = (((guess - x) / 0.5) ** 2).mean()
    torch.testing.assert_close(flow_loss(guess, x, sigma, one, cap=0.2), expected)
    capped = (((guess - x) / 0.2) ** 2).mean()
    torch.testing.assert_close(flow_loss(guess, x, torch.tensor([0.01, 0.1]), one, cap=0.2), capped)
    heavy = one.clone()
    heavy[:, :, 0] = 5
    assert flow_loss(guess, x, sigma, heavy) > flow_loss(guess, x, sigma, one)


def gaussian(z: torch.Tensor, sigma: float) -> torch.Tensor:
    """The exact velocity when the data are N(0, 4)."""
    a, s = 1 - sigma, sigma
    return z * (s - 4 * a) / (4 * a * a + s * s)


def error(solver: object, steps: int) -> float:
    noise = torch.randn(1, 1, 1, 1, 1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    out = solver(gaussian, noise, sigmas(steps))  # type: ignore[operator]
    return float((out - 2 * noise).abs().mean())  # the flow of a Gaussian scales it


def test_solvers_have_their_order() -> None:
    first = math.log2(error(euler, 32) / error(euler, 64))
    second = math.log2(error(heun, 32) / error(heun, 64))
    assert first == pytest.approx(1, abs=0.15)
    assert second == pytest.approx(2, abs=0.3)
    assert error(heun, 64) < 0.01


def test_noise_levels_fall_from_one_to_zero() -> None:
    levels = sigmas(16, 4.0)
    assert (levels[0], levels[-1], len(levels)) == (1.0, 0.0, 17)
    assert all(a > b for a, b in pairwise(levels))
    assert sum(s > 0.5 for s in levels) > sum(s > 0.5 for s in sigmas(16))
    for bad in ({"steps": 0}, {"steps": 2000}, {"steps": 4, "shift": 0.0}, {"steps": 4, "shift": math.nan}):
        with pytest.raises(UsageError):
            sigmas(**bad)  # type: ignore[arg-type]


def test_guidance_extrapolates_and_only_inside_its_interval() -> None:
    torch.manual_seed(0)
    model = VideoDiT(width=32, depth=1, heads=2, text_width=8)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    prompt, empty = ((torch.randn(2, 4, 8), torch.randn(2, 8)) for _ in range(2))
    z = torch.randn(2, 3, 4, 8, 8)
    with torch.no_grad():
        full = guided_velocity(model, prompt, empty, Guidance(1.0))(z, 0.5)
        none = guided_velocity(model, prompt, empty, Guidance(0.0))(z, 0.5)
        three = guided_velocity(model, prompt, empty, Guidance(3.0))(z, 0.5)
        outside = guided_velocity(model, prompt, empty, Guidance(3.0, 0.6, 1.0))(z, 0.5)
    torch.testing.assert_close(three, none + 3 * (full - none), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(outside, full)
    assert not torch.allclose(full, none)


@pytest.mark.parametrize("bad", [(-1.0, 0.0, 1.0), (math.nan, 0.0, 1.0), (2.0, 0.7, 0.3), (2.0, -0.1, 1.0)])
def test_wrong_guidance_is_refused(bad: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError):
        Guidance(*bad)
