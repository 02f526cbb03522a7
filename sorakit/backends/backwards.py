"""A scheduler of diffusers that leads the pipeline's own loop from a clip back to its noise.

In: the pipeline's scheduler. Out: another with the same levels, for `pipe.scheduler`, whose loop starts from
clean latents. Every deterministic step of first order is affine, z_b = p·z_a + q·model(z_a, a): Euler's of
flow matching, and DDIM's (Song et al. 2021, arXiv:2010.02502, eq. 12) for models that predict noise, velocity
or the clip. It is solved for z_a by fixed-point iteration (AIDI, arXiv:2309.04907), as
`sorakit.diffusion.invert` does for our own models: first with the model's answer at z_b, then `refine` times
at the guess. Solvers of higher order follow the same equation and are read by these steps; those that add
noise on the way cannot be read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from itertools import pairwise
from math import sqrt
from typing import Any

from sorakit.errors import UsageError

__all__ = ["backwards", "why_no_way_back"]

_VP = ("DDIMScheduler", "CogVideoXDDIMScheduler")
_VE = ("EulerDiscreteScheduler",)
_MULTISTEP = ("UniPCMultistepScheduler", "DPMSolverMultistepScheduler")  # Wan's and SkyReels', of flow sigmas
_PREDICTIONS = ("epsilon", "v_prediction", "sample")
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class _Step:
    """z_b = p·z_a + q·model(z_a, `late`); `early`: the time nearest b that the model is asked at."""

    p: float
    q: float
    late: float
    early: float
    last: bool


def why_no_way_back(scheduler: Any) -> str | None:
    """Why a clip of this scheduler cannot be led back to its noise, in words; None where it can.

    >>> from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
    >>> why_no_way_back(FlowMatchEulerDiscreteScheduler()), why_no_way_back(DDPMScheduler())
    (None, 'DDPMScheduler is not one of those whose steps are known here')
    """
    name, config = type(scheduler).__name__, scheduler.config
    if name == "FlowMatchEulerDiscreteScheduler":
        return f"{name} adds noise on the way" if config.get("stochastic_sampling") else None
    if name in _MULTISTEP and config.get("use_flow_sigmas"):
        adds = str(config.get("algorithm_type", "")).startswith("sde")
        return f"{name} adds noise on the way" if adds else None
    if name not in _VP + _VE:
        return f"{name} is not one of those whose steps are known here"
    if name == "DDIMScheduler" and (config.get("thresholding") or config.get("clip_sample")):
        return f"{name} clips what it predicts, which cannot be undone"
    if config.prediction_type not in _PREDICTIONS:
        return f"{name} is of unknown prediction_type {config.prediction_type!r}"
    return None


def backwards(scheduler: Any, *, refine: int = 2) -> Any:
    """A copy of `scheduler` that runs the other way. Raises `UsageError` where there is no way back.

    The pipeline must start from clean latents; what its loop ends with is noise of variance 1.
    """
    if reason := why_no_way_back(scheduler):
        raise UsageError(f"no way back to the noise: {reason}")
    inverse = type(scheduler).from_config(scheduler.config)
    loop = _Loop(inverse, refine)
    inverse.set_timesteps = _like(inverse.set_timesteps, loop.set_timesteps)
    inverse.step = _like(inverse.step, loop.step)
    inverse.scale_model_input = lambda sample, *_, **__: sample  # the loop keeps to variance 1 throughout
    return inverse


class _Loop:
    """What the pipeline's loop calls: levels laid out backwards, each step solved in a few of its turns."""

    def __init__(self, inverse: Any, refine: int) -> None:
        self.inverse, self.refine = inverse, refine
        self.forward = inverse.set_timesteps
        self.turns: list[tuple[_Step, bool]] = []  # (step, its first turn)
        self.at = 0
        self.base: Any = None

    def set_timesteps(self, *args: Any, **kwargs: Any) -> None:
        import torch  # noqa: PLC0415 - heavy

        self.forward(*args, **kwargs)
        steps = _steps(self.inverse)[::-1]
        self.at, self.turns = 0, []
        for step in steps:
            self.turns += [(step, True)] + [(step, False)] * (0 if step.last else self.refine)
        was = self.inverse.timesteps
        times = [step.early if first else step.late for step, first in self.turns]
        self.inverse.timesteps = torch.tensor(times, dtype=was.dtype, device=was.device)
        if hasattr(self.inverse, "sigmas"):  # some pipelines look up the level of a turn
            self.inverse.sigmas = torch.zeros(len(times) + 1)

    def step(self, output: Any, _time: Any, sample: Any, *_: Any, return_dict: bool = True, **__: Any) -> Any:
        from diffusers.schedulers.scheduling_utils import SchedulerOutput  # noqa: PLC0415

        step, first = self.turns[self.at]
        self.at += 1
        if first:
            self.base = sample.float()
        back = ((self.base - step.q * output.float()) / step.p).to(sample.dtype)
        return SchedulerOutput(back) if return_dict else (back,)


def _like(original: Callable[..., Any], other: Callable[..., Any]) -> Callable[..., Any]:
    """`other` under the signature of `original`: pipelines look at it before they call."""

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        return other(*args, **kwargs)

    return call


def _steps(scheduler: Any) -> list[_Step]:
    """The sampler's steps, first to last, after its `set_timesteps`."""
    name, config = type(scheduler).__name__, scheduler.config
    times = [float(t) for t in scheduler.timesteps]
    early = [*times[1:], times[-1]]
    if name in _VP:
        levels = [_vp_levels(scheduler, round(t)) for t in times]
    else:
        sigmas = [float(s) for s in scheduler.sigmas]
        pairs = list(pairwise(sigmas))
        if name not in _VE:
            found = zip(pairs, times, early, strict=True)
            return [_Step(1.0, b - a, t, e, i == len(times) - 1) for i, ((a, b), t, e) in enumerate(found)]
        levels = [(1 / (1 + a * a), 1 / (1 + b * b)) for a, b in pairs]
    coefficients = [_ddim(config.prediction_type, a, b) for a, b in levels]
    return [
        _Step(p, q, t, e, i == len(times) - 1)
        for i, ((p, q), t, e) in enumerate(zip(coefficients, times, early, strict=True))
    ]


def _vp_levels(scheduler: Any, time: int) -> tuple[float, float]:
    """The clip's share of the variance before and after the step at `time`, as the scheduler has it."""
    after = time - scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    shares = scheduler.alphas_cumprod
    return float(shares[time]), float(shares[after] if after >= 0 else scheduler.final_alpha_cumprod)


def _ddim(prediction: str, before: float, after: float) -> tuple[float, float]:
    """(p, q) of DDIM's step between two shares of the variance."""
    a, s = sqrt(before), sqrt(1 - before)
    b, r = sqrt(after), sqrt(1 - after)
    if prediction == "v_prediction":  # x0 = a z - s v, noise = s z + a v
        return a * b + s * r, a * r - s * b
    if prediction == "sample":
        return r / max(s, _TINY), b - r * a / max(s, _TINY)
    return b / max(a, _TINY), r - b * s / max(a, _TINY)
