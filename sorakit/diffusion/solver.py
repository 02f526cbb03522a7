"""Solvers of the flow ODE dz/dσ = v(z, σ) from noise (σ = 1) to a clip (σ = 0): Euler, Heun, DPM-Solver++.

In: a velocity field, noise and falling noise levels. Out: the clip at the last one. Heun's second-order step
follows Karras et al. 2022 (arXiv:2206.00364), the multistep one Lu et al. 2022 (arXiv:2211.01095). `SOLVERS`
names them; all have one signature.
"""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType

import torch
from torch import Tensor

from sorakit.diffusion.flow import shifted
from sorakit.errors import UsageError

__all__ = ["SOLVERS", "Solver", "Velocity", "dpm", "euler", "heun", "sigmas"]

Velocity = Callable[[Tensor, float], Tensor]
"""v(z, σ): the velocity noise − data at `z` `(B, C, T, H, W)`."""

Solver = Callable[[Velocity, Tensor, list[float]], Tensor]
"""(velocity, z at the first level, levels) → z at the last of the levels."""


def sigmas(steps: int, shift: float = 1.0) -> list[float]:
    """`steps` + 1 falling noise levels, 1 to 0; `shift` > 1 spends more of them at high noise.

    >>> sigmas(2, shift=3.0)
    [1.0, 0.75, 0.0]
    """
    if not 1 <= steps <= 1000:
        raise UsageError(f"`steps` must be 1 to 1000, got {steps}")
    return [shifted(1 - i / steps, shift) for i in range(steps + 1)]


@torch.no_grad()
def euler(velocity: Velocity, noise: Tensor, levels: list[float]) -> Tensor:
    """First order, one evaluation a step: the clip at the last of `levels`.

    >>> float(euler(lambda z, sigma: z, torch.ones(1), [1.0, 0.5, 0.0]))
    0.25
    """
    z = noise
    for a, b in pairwise(levels):
        z = z + (b - a) * velocity(z, a)  # (B, C, T, H, W)
    return z


@torch.no_grad()
def heun(velocity: Velocity, noise: Tensor, levels: list[float]) -> Tensor:
    """Second order, two evaluations a step except the last: the clip at the last of `levels`.

    >>> float(heun(lambda z, sigma: z, torch.ones(1), [1.0, 0.5, 0.0]))
    0.3125
    """
    z = noise
    for a, b in pairwise(levels):
        v = velocity(z, a)  # (B, C, T, H, W)
        if b > 0:
            v = (v + velocity(z + (b - a) * v, b)) / 2
        z = z + (b - a) * v
    return z


@torch.no_grad()
def dpm(velocity: Velocity, noise: Tensor, levels: list[float]) -> Tensor:
    """DPM-Solver++(2M): second order with one evaluation a step, the clip at the last of `levels`.

    The clean clip x = z − σ v changes slowly along a path, so a step aims at x led forward, from its last two
    values, to the middle of the step in λ = log((1 − σ) / σ): z_b = (b/a) z_a + (1 − b/a) x. Aiming at x
    itself would be Euler's step, which is what is left at both ends, where λ is infinite.

    >>> float(dpm(lambda z, sigma: z, torch.ones(1), [1.0, 0.5, 0.0]))
    0.25
    """
    z, before, last = noise, 1.0, None
    for a, b in pairwise(levels):
        x = z - a * velocity(z, a)  # (B, C, T, H, W)
        aim = x if last is None else x + _lead(before, a, b) * (x - last)  # (B, C, T, H, W)
        z = torch.lerp(aim, z, b / a)
        before, last = a, x
    return z


def _lead(before: float, a: float, b: float) -> float:
    """How far to go on, in units of the last change: half of this step's λ over the last one's."""
    if before >= 1 or b <= 0:
        return 0.0
    return 0.5 * (_log_snr(b) - _log_snr(a)) / (_log_snr(a) - _log_snr(before))


def _log_snr(sigma: float) -> float:
    return math.log((1 - sigma) / sigma)


SOLVERS: Mapping[str, Solver] = MappingProxyType({"euler": euler, "heun": heun, "dpm": dpm})
"""Solvers by name."""
