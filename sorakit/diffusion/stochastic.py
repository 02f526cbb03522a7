"""Sampling with fresh noise at every step, which lets late steps mend what early ones got wrong.

In: a velocity field, noise, falling noise levels and a source of randomness. Out: the clip at the last level.
An ODE's path keeps each early mistake; new noise makes a chain forget it (Xu et al. 2023, arXiv:2306.14878).
Here all noise is new: to the model's clean clip and back up, as in algorithm 1 of Song et al. 2023
(arXiv:2303.01469); ancestral steps (Ho et al. 2020, arXiv:2006.11239) keep a part of the old. In diffusers it
is `stochastic_sampling`. No way leads back to the first noise.
"""

from itertools import pairwise

import torch
from torch import Tensor

from sorakit.diffusion.solver import Velocity

__all__ = ["stochastic"]


@torch.no_grad()
def stochastic(
    velocity: Velocity, noise: Tensor, levels: list[float], generator: torch.Generator | None = None
) -> Tensor:
    """One evaluation a step: z_b = (1 − b) x + b n with x = z_a − a v(z_a, a) and new noise n.

    >>> float(stochastic(lambda z, sigma: z, torch.ones(1), [0.5, 0.0]))
    0.5
    """
    z = noise
    for a, b in pairwise(levels):
        x = z - a * velocity(z, a)  # (B, C, T, H, W)
        fresh = torch.randn(z.shape, generator=generator, dtype=z.dtype).to(z.device)  # (B, C, T, H, W)
        z = torch.lerp(x, fresh, b)
    return z
