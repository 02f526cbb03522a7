"""Exercises of notebook 06: Heun's method, guidance on an interval, Wilson's interval of a share."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sorakit.diffusion import solver
from sorakit.intervals import wilson_ends
from sorakit.nb.exercise import Exercise, call, near, numbers

__all__ = ["EXERCISES"]

Answer = Callable[..., Any]


def _heun(answer: Answer) -> str | None:
    z = torch.randn(4, 3, dtype=torch.float64)
    for pace in (2.0, 3.0):
        errors = [_error(answer, z, pace, steps) for steps in (16, 32)]
        wrong = [e for e in errors if isinstance(e, str)]
        if wrong:
            return wrong[0]
        ratio = float(errors[0]) / max(float(errors[1]), 1e-12)
        if ratio < 1.3:
            return (
                "the error does not shrink with more steps: go over each step once, by the mean of two slopes"
            )
        if ratio < 3:
            return (
                f"twice the steps divide the error by {ratio:.1f}, as Euler's do; the second slope is that "
                "at the end of Euler's step: at that place, and at that level"
            )
    for shape in ((2,), (3, 2, 2)):
        a, z = torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64)

        def linear(z: Tensor, _sigma: float, a: Tensor = a) -> Tensor:
            return a * z

        levels = [1.0, 0.8, 0.45, 0.2]
        got = call(answer, linear, z.clone(), levels)
        says = "right order, wrong numbers on dz/dσ = a z"
        halfway = solver.heun(linear, z, levels[:-1])
        if near(got, halfway + (levels[-1] - levels[-2]) * a * halfway, "") is None:
            says = "your last step is always Euler's; only a step to level 0 is, and these levels end at 0.2"
        if hint := near(got, solver.heun(linear, z, levels), says):
            return hint
    return _at_zero(answer)


def _error(answer: Answer, z: Tensor, pace: float, steps: int) -> float | str:
    """Largest error on dz/dσ = cos(pace σ) z from σ = 1 to 0.1, whose solution is known."""
    levels = np.linspace(1, 0.1, steps + 1).tolist()
    got = numbers(call(answer, lambda z, sigma: math.cos(pace * sigma) * z, z.clone(), levels))
    if got.shape != z.shape:
        return (
            f"its shape is {tuple(got.shape)}, expected {tuple(z.shape)}: the state at the last level alone"
        )
    true = z * math.exp((math.sin(pace * 0.1) - math.sin(pace)) / pace)
    return float(np.abs(got - true.numpy()).max())


def _at_zero(answer: Answer) -> str | None:
    asked: list[float] = []

    def velocity(z: Tensor, sigma: float) -> Tensor:
        asked.append(float(sigma))
        return z / max(float(sigma), 1e-3)

    call(answer, velocity, torch.ones(2), [1.0, 0.5, 0.0])
    if min(asked) <= 0:
        return (
            "it asks for the velocity at σ = 0; the step to level 0 is Euler's, with the slope at its start"
        )
    return None


def _guide(answer: Answer) -> str | None:
    for scale, low, high in ((3.0, 0.5, 1.0), (1.7, 0.2, 0.6), (1.0, 0.0, 1.0)):
        a, b = torch.randn(2, 5)
        calls: list[float] = []

        def empty(z: Tensor, sigma: float, b: Tensor = b, calls: list[float] = calls) -> Tensor:
            calls.append(sigma)
            return b * z + sigma

        def told(z: Tensor, _sigma: float, a: Tensor = a) -> Tensor:
            return a * z

        field = call(answer, told, empty, scale, low, high)
        for sigma in (0.1, low, (low + high) / 2, high, 0.95):
            z = torch.randn(5)
            calls.clear()
            got = call(field, z, sigma)
            needed = scale != 1 and low <= sigma <= high
            v, w = told(z, sigma), b * z + sigma
            if hint := _guided_wrong(got, v, w, scale, needed=needed):
                return f"at σ = {sigma:g}, scale {scale:g}, from {low:g} to {high:g}: {hint}"
            if calls and not needed:
                why = "the scale is 1" if scale == 1 else f"σ = {sigma:g} is outside {low:g} to {high:g}"
                return f"`empty` is called although {why}; the numbers are right, but it costs a pass"
    return None


def _guided_wrong(got: Any, v: Tensor, w: Tensor, scale: float, *, needed: bool) -> str | None:
    wanted = w + scale * (v - w) if needed else v
    if near(got, wanted, "") is None:
        return None
    if not needed:
        return "no guidance here: the prompt's field, unchanged"
    if near(got, v, "") is None:
        return "not guided, although it should be; both ends belong to the interval"
    if near(got, v + scale * (w - v), "") is None:
        return "the two fields are exchanged: it is led away from the prompt"
    if near(got, v + scale * (v - w), "") is None:
        return "one too far: the difference counts `scale` times from the empty field on"
    return near(got, wanted, "not the empty field plus `scale` times what the prompt adds to it")


def _interval(answer: Answer) -> str | None:
    rng = np.random.default_rng()
    for n, kept in ((24, 24), (10, 0), (32, int(rng.integers(5, 28))), (7, 3)):
        flags = rng.permutation([True] * kept + [False] * (n - kept)).tolist()
        got = numbers(call(answer, flags))
        if got.shape != (3,):
            return f"return three numbers (share, low, high), got shape {got.shape}"
        p = kept / n
        low, high = wilson_ends(p, n)
        if near(got, (p, low, high), "", 1e-3) is None:
            continue
        if near(got[0], p, "", 1e-3):
            return f"{kept} of {n} is not a share of {got[0]:.3g}"
        half = 1.96 * math.sqrt(p * (1 - p) / n)
        if near(got[1:], (p - half, p + half), "", 1e-3) is None:
            return f"{kept} of {n} gives {got[1]:.2f} to {got[2]:.2f}: too sure near 0 and 1, unlike Wilson's"
        if near(got[1:], (high, low), "", 1e-3) is None:
            return "the lower end comes first"
        return "the share is right, the ends are not; check the root, and what is divided by 1 + z²/n"
    return None


EXERCISES = (
    Exercise("06.1", "Write Heun's method, of second order.", _heun),
    Exercise("06.2", "Guide a velocity field on an interval of levels, without needless passes.", _guide),
    Exercise("06.3", "Give the shares of student and teacher a 95 % interval.", _interval),
)
