"""Solvers of the flow ODE dz/dσ = v(z, σ) from noise (σ = 1) to a clip (σ = 0): Euler and Heun.

Heun's second-order step follows Karras et al. 2022 (arXiv:2206.00364), the last step being Euler's.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from sorakit.errors import UsageError

__all__ = ["Velocity", "euler", "heun", "sigmas"]

Velocity = Callable[[Tensor, float], Tensor]
"""v(z, σ): the velocity noise − data at `z` `(B, C, T, H, W)`."""


def sigmas(steps: int, shift: float = 1.0) -> list[float]:
    """`steps` + 1 falling noise levels, 1 to 0; `shift` > 1 spends more of them at high noise.

    >>> sigmas(2, shift=3.0)
    [1.0, 0.75, 0.0]
    """
    if not 1 <= steps <= 1000:
        raise UsageError(f"`steps` must be 1 to 1000, got {steps}")
    if not shift > 0:
        raise UsageError(f"`shift` must be positive, got {shift}")
    even = [1 - i / steps for i in range(steps + 1)]
    return [shift * s / (1 + (shift - 1) * s) for s in even]


@torch.no_grad()
def euler(velocity: Velocity, noise: Tensor, levels: list[float]) -> Tensor:
    """First order, one evaluation a step: the clip at the last of `levels`."""
    z = noise
    for a, b in pairwise(levels):
        z = z + (b - a) * velocity(z, a)  # (B, C, T, H, W)
    return z


@torch.no_grad()
def heun(velocity: Velocity, noise: Tensor, levels: list[float]) -> Tensor:
    """Second order, two evaluations a step except the last: the clip at the last of `levels`."""
    z = noise
    for a, b in pairwise(levels):
        v = velocity(z, a)  # (B, C, T, H, W)
        if b > 0:
            v = (v + velocity(z + (b - a) * v, b)) / 2
        z = z + (b - a) * v
    return z
