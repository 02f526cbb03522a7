"""Schedulers run backwards: every step of the real one is undone, and what cannot be undone is named."""

from typing import Any

import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from sorakit.backends.backwards import backwards, why_no_way_back
from sorakit.errors import UsageError

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)
Z = (1, 2, 3, 4, 4)
FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": 3.0}
WAYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "flow": (FlowMatchEulerDiscreteScheduler, {"shift": 3.0}),
    "mochi": (FlowMatchEulerDiscreteScheduler, {"invert_sigmas": True}),
    "noise": (DDIMScheduler, {"clip_sample": False}),
    "velocity": (DDIMScheduler, {
        "clip_sample": False, "prediction_type": "v_prediction", "timestep_spacing": "trailing",
        "rescale_betas_zero_snr": True,
    }),
    "clip": (DDIMScheduler, {"clip_sample": False, "prediction_type": "sample", "set_alpha_to_one": False}),
    "cogvideox": (CogVideoXDDIMScheduler, {"prediction_type": "v_prediction"}),
    "svd": (EulerDiscreteScheduler, {
        "prediction_type": "v_prediction", "use_karras_sigmas": True, "sigma_min": 0.002, "sigma_max": 700.0,
        "timestep_type": "continuous",
    }),
    "euler": (EulerDiscreteScheduler, {}),
}  # fmt: skip


def answers() -> Any:
    """A model whose answer depends on the time alone, so that every step can be undone exactly."""
    first, second = torch.randn(Z), torch.randn(Z)
    return lambda z, t: first * torch.cos(t.float() / 300) + second * torch.sin(t.float() / 200)


@pytest.mark.parametrize("name", WAYS)
def test_every_step_of_the_sampler_is_undone(name: str) -> None:
    torch.manual_seed(1)
    kind, config = WAYS[name]
    scheduler, model, noise = kind(**config), answers(), torch.randn(Z)
    scheduler.set_timesteps(7)
    start = float(getattr(scheduler, "init_noise_sigma", 1.0))
    z = noise * start
    for t in scheduler.timesteps:
        if hasattr(scheduler, "scale_model_input"):
            scheduler.scale_model_input(z, t)
        z = scheduler.step(model(z, t), t, z, return_dict=False)[0]
    inverse = backwards(scheduler)
    inverse.set_timesteps(7)
    assert len(inverse.timesteps) == 1 + 6 * 3
    for i, t in enumerate(inverse.timesteps):
        out = inverse.step(model(z, t), t, inverse.scale_model_input(z, t), return_dict=bool(i % 2))
        z = out.prev_sample if i % 2 else out[0]
    sigma = float(scheduler.sigmas[0]) if isinstance(scheduler, EulerDiscreteScheduler) else None
    expected = noise if sigma is None else noise * start / (1 + sigma**2) ** 0.5
    torch.testing.assert_close(z, expected, rtol=1e-3, atol=2e-3)


def test_the_scheduler_itself_is_left_alone() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler()
    backwards(scheduler).set_timesteps(3)
    scheduler.set_timesteps(3)
    assert len(scheduler.timesteps) == 3
    assert "step" not in vars(scheduler)


@pytest.mark.parametrize(
    ("kind", "config", "says"),
    [
        (FlowMatchEulerDiscreteScheduler, {"stochastic_sampling": True}, "adds noise"),
        (DPMSolverMultistepScheduler, FLOW | {"algorithm_type": "sde-dpmsolver++"}, "adds noise"),
        (DDIMScheduler, {}, "clips"),
        (CogVideoXDPMScheduler, {}, "not one of those"),
        (DDPMScheduler, {}, "not one of those"),
        (UniPCMultistepScheduler, {}, "not one of those"),
    ],
    ids=str,
)
def test_what_cannot_be_undone_is_named(kind: Any, config: dict[str, Any], says: str) -> None:
    scheduler = kind(**config)
    assert says in (why_no_way_back(scheduler) or "")
    with pytest.raises(UsageError, match="no way back"):
        backwards(scheduler)


@pytest.mark.parametrize("kind", [UniPCMultistepScheduler, DPMSolverMultistepScheduler])
def test_multistep_solvers_of_flow_are_taken_by_their_equation(kind: Any) -> None:
    scheduler = kind(**FLOW)
    assert why_no_way_back(scheduler) is None
    inverse = backwards(scheduler)
    inverse.set_timesteps(5)
    assert len(inverse.timesteps) == 1 + 4 * 3
    assert inverse.timesteps[-1] == inverse.timesteps.max() > 900
