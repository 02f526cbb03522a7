"""Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598), on an interval of noise levels only.

Guiding the whole way costs diversity at high noise and detail at low noise; an interval keeps what helps
(Kynkäänniemi et al. 2024, arXiv:2404.07724).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sorakit.diffusion.flow import to_velocity
from sorakit.diffusion.solver import Velocity
from sorakit.errors import UsageError
from sorakit.model.dit import VideoDiT

__all__ = ["Guidance", "guided_velocity"]


@dataclass(frozen=True, slots=True)
class Guidance:
    """v = v_empty + `scale` (v_prompt − v_empty) where `low` ≤ σ ≤ `high`, else v_prompt."""

    scale: float = 3.0
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a negative scale and an empty interval."""
        if not 0 <= self.scale <= 100:
            raise UsageError(f"`guidance` must be 0 to 100, got {self.scale}")
        if not 0 <= self.low <= self.high <= 1:
            raise UsageError(f"need 0 ≤ low ≤ high ≤ 1, got {self.low} and {self.high}")

    def active(self, sigma: float) -> bool:
        """Whether the empty prompt is needed at noise level `sigma`."""
        return self.scale != 1 and self.low <= sigma <= self.high


Text = tuple[Tensor, Tensor]
"""Token vectors `(B, L, D)` and pooled prompt `(B, D)`."""


def guided_velocity(model: VideoDiT, prompt: Text, empty: Text, guidance: Guidance) -> Velocity:
    """The velocity field that a solver follows; both prompts run as one batch where guidance is active."""

    def velocity(noisy: Tensor, sigma: float) -> Tensor:
        both = guidance.active(sigma)
        z = torch.cat([noisy, noisy]) if both else noisy  # (1 or 2 B, C, T, H, W)
        tokens, pooled = (torch.cat([p, e]) if both else p for p, e in zip(prompt, empty, strict=True))
        level = torch.full((len(z),), sigma, device=z.device)  # (1 or 2 B,)
        v = to_velocity(model.prediction, model(z, 1000 * level, tokens, pooled).float(), z.float(), level)
        if not both:
            return v
        with_prompt, without = v.chunk(2)
        return without + guidance.scale * (with_prompt - without)

    return velocity
