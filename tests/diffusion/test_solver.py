import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from diffusers.schedulers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from sorakit.diffusion.flow import Prediction, shifted, to_velocity
from sorakit.diffusion.guidance import Guidance, Held, guided_velocity
from sorakit.diffusion.solver import SOLVERS, Velocity, dpm, euler, heun, sigmas
from sorakit.errors import UsageError
from sorakit.model.dit import VideoDiT

NEAR = {"rtol": 1e-3, "atol": 1e-4}
"""Their arithmetic is float32 in another order."""

KINDS: tuple[Prediction, ...] = ("x", "v", "eps")


def gaussian(kind: Prediction = "v") -> Velocity:
    """The exact flow when the data are N(0, 4), through a network that predicts `kind`."""

    def velocity(z: Tensor, sigma: float) -> Tensor:
        a, s = 1 - sigma, sigma
        x = z * 4 * a / (4 * a * a + s * s)
        e = z * s / (4 * a * a + s * s)
        output = {"x": x, "v": e - x, "eps": e}[kind]
        return to_velocity(kind, output, z, torch.full((len(z),), sigma, dtype=z.dtype))

    return velocity


def start() -> Tensor:
    return torch.randn(1, 1, 1, 1, 1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def error(name: str, steps: int, shift: float = 1.0, kind: Prediction = "v") -> float:
    noise = start()
    out = SOLVERS[name](gaussian(kind), noise, sigmas(steps, shift))
    return float((out - 2 * noise).abs().mean())  # the flow of a Gaussian scales it


@pytest.mark.parametrize(("name", "order", "slack"), [("euler", 1, 0.15), ("heun", 2, 0.3), ("dpm", 2, 0.3)])
@pytest.mark.parametrize("shift", [1.0, 4.0])
def test_each_solver_has_its_order(name: str, order: int, slack: float, shift: float) -> None:
    rates = [math.log2(error(name, n, shift) / error(name, 2 * n, shift)) for n in (64, 128)]
    assert rates == pytest.approx([order, order], abs=slack)


def test_at_equal_evaluations_the_second_order_wins() -> None:
    assert error("dpm", 16) < 0.5 * error("euler", 16)
    assert error("dpm", 16, 4.0) < error("heun", 8, 4.0) < error("euler", 16, 4.0)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_network_predicts_does_not_matter(name: str, kind: Prediction) -> None:
    levels = [0.9, 0.8, 0.6, 0.3, 0.1]  # at 1 a network that predicts the noise says nothing of the clip
    ends = [SOLVERS[name](gaussian(k), start(), levels) for k in (kind, "v")]
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("levels", [[1.0, 0.0], [0.9, 0.5], [0.8, 0.6, 0.3, 0.0], [0.7]])
def test_any_part_of_the_way_can_be_gone(name: str, levels: list[float]) -> None:
    noise = start()
    out = SOLVERS[name](gaussian(), noise, levels)
    assert out.shape == noise.shape
    assert torch.isfinite(out).all()
    if len(levels) == 1:
        assert torch.equal(out, noise)


@pytest.mark.parametrize("name", SOLVERS)
def test_straight_ways_are_gone_exactly(name: str) -> None:
    noise, clip = torch.randn(2, 1, 3, 4, 8, 8, dtype=torch.float64)
    out = SOLVERS[name](lambda z, s: (z - clip) / s, noise, sigmas(5, 3.0))
    torch.testing.assert_close(out, clip)


def test_with_one_or_two_steps_dpm_is_euler() -> None:
    for steps in (1, 2):
        levels = sigmas(steps, 3.0)
        torch.testing.assert_close(dpm(gaussian(), start(), levels), euler(gaussian(), start(), levels))


@contextmanager
def network(kind: str, scale: float = 0.08) -> Iterator[tuple[VideoDiT, Velocity, Tensor]]:
    """A small random network with guidance, as a velocity field, and its starting noise."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = VideoDiT(width=32, depth=1, heads=2, text_width=8, prediction=kind, given_frames=True)
        for p in model.parameters():
            p.add_(scale * torch.randn_like(p))
        text = [(torch.randn(2, 4, 8), torch.randn(2, 8)) for _ in range(2)]
        field = guided_velocity(model, text[0], text[1], Guidance(2.0, 0.3))
        yield model, field, torch.randn(2, 3, 4, 16, 16)


def walk(scheduler: Any, velocity: Velocity, z: Tensor) -> Tensor:
    """`z` through a scheduler of diffusers that has its time steps."""
    for t in scheduler.timesteps:
        if scheduler.step_index is None:
            scheduler._init_step_index(t)
        z = scheduler.step(velocity(z, float(scheduler.sigmas[scheduler.step_index])), t, z).prev_sample
    return z


@pytest.mark.parametrize("kind", KINDS)
def test_euler_is_the_one_of_diffusers(kind: str) -> None:
    with network(kind) as (_, field, noise):
        scheduler: Any = FlowMatchEulerDiscreteScheduler(shift=3.0)
        scheduler.set_timesteps(sigmas=[1 - i / 6 for i in range(6)])
        levels = sigmas(6, 3.0)
        torch.testing.assert_close(scheduler.sigmas, torch.tensor(levels))
        torch.testing.assert_close(euler(field, noise, levels), walk(scheduler, field, noise), **NEAR)


@pytest.mark.parametrize("kind", KINDS)
def test_heun_is_the_one_of_diffusers(kind: str) -> None:
    with network(kind) as (_, field, noise):
        scheduler: Any = FlowMatchHeunDiscreteScheduler(shift=3.0)
        scheduler.set_timesteps(6)
        levels = [float(scheduler.sigmas[0]), *map(float, scheduler.sigmas[1::2])]
        torch.testing.assert_close(heun(field, noise, levels), walk(scheduler, field, noise), **NEAR)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers with NumPy 2
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [2, 6, 20])
def test_dpm_is_the_one_of_diffusers(kind: str, steps: int) -> None:
    with network(kind) as (_, field, noise):
        scheduler: Any = DPMSolverMultistepScheduler(
            use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0
        )
        scheduler.set_timesteps(steps)
        levels = scheduler.sigmas.tolist()
        assert levels[0] < 1  # theirs begins beside the end, ours may begin at it
        torch.testing.assert_close(dpm(field, noise, levels), walk(scheduler, field, noise), **NEAR)


def unipc(steps: int, *, correct: bool) -> Any:
    scheduler: Any = UniPCMultistepScheduler(
        use_flow_sigmas=True,
        prediction_type="flow_prediction",
        flow_shift=3.0,
        disable_corrector=[] if correct else list(range(steps)),
    )
    scheduler.set_timesteps(steps)
    return scheduler


def test_dpm_is_the_predictor_of_unipc() -> None:
    with network("x") as (_, field, noise):
        scheduler = unipc(8, correct=False)
        levels = scheduler.sigmas.tolist()
        torch.testing.assert_close(dpm(field, noise, levels), walk(scheduler, field, noise), **NEAR)


def test_all_lead_to_the_same_clip() -> None:
    with network("x", 0.03) as (_, field, noise):
        exact = heun(field, noise, sigmas(200, 3.0))
        scheduler = unipc(60, correct=True)
        ends = {name: solve(field, noise, sigmas(60, 3.0)) for name, solve in SOLVERS.items()}
        ends["unipc"] = walk(scheduler, field, noise)
        far = {name: float((end - exact).abs().mean()) for name, end in ends.items()}
        assert max(far.values()) < 0.05 * float((noise - exact).abs().mean()), far


@pytest.mark.parametrize("name", SOLVERS)
def test_given_frames_arrive_as_they_are(name: str) -> None:
    with network("x") as (model, _, noise):
        text = torch.randn(2, 4, 8), torch.randn(2, 8)
        mask = torch.zeros(2, 4)
        mask[:, 0] = 1
        held = Held(torch.randn_like(noise), mask)
        out = SOLVERS[name](guided_velocity(model, text, text, Guidance(2.0), held), noise, sigmas(4, 3.0))
        torch.testing.assert_close(out[:, :, 0], held.clean[:, :, 0], rtol=1e-4, atol=1e-4)


def test_the_level_shift() -> None:
    assert shifted(1.0, 4.0) == 1.0
    assert shifted(0.0, 4.0) == 0.0
    assert shifted(0.5, 1.0) == 0.5
    assert shifted(0.5, 3.0) == 0.75
    with pytest.raises(UsageError, match="shift"):
        shifted(0.5, 0.0)
