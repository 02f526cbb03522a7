"""Solvers by name as diffusers schedulers: the same three as in `sorakit.diffusion.solver`.

In: a name and the scheduler that a model came with. Out: one with the same shift that a pipeline takes.
"""

from typing import Any

from diffusers.schedulers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
)

from sorakit.errors import UsageError

__all__ = ["SCHEDULERS", "scheduler_for"]

SCHEDULERS = ("euler", "heun", "dpm")


def scheduler_for(name: str, like: Any) -> Any:
    """The scheduler that `name` stands for, with the shift of `like`; `like` itself where it is that one.

    "heun" evaluates the model twice a step. Raises `UsageError` for another name.

    >>> scheduler_for("dpm", FlowMatchEulerDiscreteScheduler(shift=4.0)).config.flow_shift
    4.0
    """
    shift = float(like.config.get("shift", like.config.get("flow_shift", 1.0)))
    if name == "euler":
        if isinstance(like, FlowMatchEulerDiscreteScheduler):
            return like
        return FlowMatchEulerDiscreteScheduler(shift=shift)  # type: ignore[no-untyped-call]
    if name == "heun":
        return FlowMatchHeunDiscreteScheduler(shift=shift)  # type: ignore[no-untyped-call]
    if name == "dpm":
        return DPMSolverMultistepScheduler(  # type: ignore[no-untyped-call]
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
        )
    raise UsageError(f"`solver` must be one of {', '.join(SCHEDULERS)}, got {name!r}")
