"""Ways of sampling by name as diffusers schedulers: those of `sorakit.diffusion.solver` and `.stochastic`.

In: a name and the scheduler that a model came with. Out: one with the same shift that a pipeline takes.
"""

from typing import Any

from diffusers.schedulers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
)

from sorakit.errors import UsageError

__all__ = ["SCHEDULERS", "scheduler_for", "scheduler_name", "scheduler_of"]

SCHEDULERS = ("euler", "stochastic", "heun", "dpm")


def scheduler_for(name: str, like: Any) -> Any:
    """The scheduler that `name` stands for, with the shift of `like`; `like` itself where it is that one.

    "heun" evaluates the model twice a step. Raises `UsageError` for another name.

    >>> scheduler_for("dpm", FlowMatchEulerDiscreteScheduler(shift=4.0)).config.flow_shift
    4.0
    """
    if name == scheduler_name(like):
        return like
    return scheduler_of(name, float(like.config.get("shift", like.config.get("flow_shift", 1.0))))


def scheduler_of(name: str, shift: float) -> Any:
    """As `scheduler_for`, made anew."""
    if name in ("euler", "stochastic"):
        return FlowMatchEulerDiscreteScheduler(  # type: ignore[no-untyped-call]
            shift=shift, stochastic_sampling=name == "stochastic"
        )
    if name == "heun":
        return FlowMatchHeunDiscreteScheduler(shift=shift)  # type: ignore[no-untyped-call]
    if name == "dpm":
        return DPMSolverMultistepScheduler(  # type: ignore[no-untyped-call]
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
        )
    raise UsageError(f"`solver` must be one of {', '.join(SCHEDULERS)}, got {name!r}")


def scheduler_name(scheduler: Any) -> str | None:
    """What `scheduler_for` calls it; None for one that it does not make.

    >>> scheduler_name(FlowMatchEulerDiscreteScheduler(stochastic_sampling=True))
    'stochastic'
    """
    config: Any = scheduler.config
    if isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        return "stochastic" if config["stochastic_sampling"] else "euler"
    kinds = {"heun": FlowMatchHeunDiscreteScheduler, "dpm": DPMSolverMultistepScheduler}
    return next((name for name, kind in kinds.items() if isinstance(scheduler, kind)), None)
