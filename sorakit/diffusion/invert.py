"""The flow ODE backwards: from a clip to the noise that it was made from.

In: a velocity field, a clip and the noise levels that it was sampled with. Out: noise. Euler's step from
level a to b, z_b = z_a + (b - a) v(z_a, a), is implicit when z_a is sought; fixed-point iteration solves it
(Pan et al. 2023, AIDI, arXiv:2309.04907). Invert without guidance: its field expands where it must contract.
"""

from itertools import pairwise

import torch
from torch import Tensor

from sorakit.diffusion.solver import Velocity
from sorakit.errors import UsageError

__all__ = ["invert"]

_LEAST = 1e-3


@torch.no_grad()
def invert(velocity: Velocity, clip: Tensor, levels: list[float], *, refine: int = 2) -> Tensor:
    """Noise `(B, C, T, H, W)` from which Euler's steps down `levels` (1 to 0) lead to `clip`.

    `refine`: iterations a step. The step to level 0 cannot be solved for its start and is taken plainly.

    >>> from sorakit.diffusion.solver import euler
    >>> field, down = (lambda z, sigma: z), [1.0, 0.9, 0.8]
    >>> round(float(invert(field, euler(field, torch.ones(1), down), down, refine=8)), 3)
    1.0
    """
    if refine < 0 or refine > 32:
        raise UsageError(f"`refine` must be 0 to 32, got {refine}")
    z = clip
    for b, a in pairwise(levels[::-1]):
        y = z + (a - b) * velocity(z, max(b, _LEAST))  # (B, C, T, H, W)
        for _ in range(refine if b > 0 else 0):
            y = z + (a - b) * velocity(y, a)  # (B, C, T, H, W)
        z = y
    return z
