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

__all__ = ["Guidance", "Held", "guided_velocity"]


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


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Frames that are given: `clean` `(B, C, T, H, W)`, and `mask` `(B, T)` with 1 where it holds one."""

    clean: Tensor
    mask: Tensor

    def put(self, noisy: Tensor) -> Tensor:
        """`noisy` `(B, C, T, H, W)` with the given frames in their places."""
        return torch.lerp(
            noisy, self.clean.to(noisy.dtype), self.mask[:, None, :, None, None].to(noisy.dtype)
        )


def guided_velocity(
    model: VideoDiT, prompt: Text, empty: Text, guidance: Guidance, held: Held | None = None
) -> Velocity:
    """The velocity field that a solver follows; both prompts run as one batch where guidance is active.

    With `held` the model sees the given frames clean, and the field leads straight to them.
    """

    def velocity(noisy: Tensor, sigma: float) -> Tensor:
        both = guidance.active(sigma)
        shown = noisy if held is None else held.put(noisy)  # (B, C, T, H, W)
        z = torch.cat([shown, shown]) if both else shown  # (1 or 2 B, C, T, H, W)
        tokens, pooled = (torch.cat([p, e]) if both else p for p, e in zip(prompt, empty, strict=True))
        told = None if held is None else held.mask.to(pooled.dtype)  # (B, T)
        told = torch.cat([told, told]) if both and told is not None else told  # (1 or 2 B, T)
        level = torch.full((len(z),), sigma, device=z.device)  # (1 or 2 B,)
        out = model(z.to(pooled.dtype), 1000 * level, tokens, pooled, told).float()  # (1 or 2 B, C, T, H, W)
        v = to_velocity(model.prediction, out, z.float(), level)
        if both:
            with_prompt, without = v.chunk(2)
            v = without + guidance.scale * (with_prompt - without)
        if held is None:
            return v
        return Held((noisy - held.clean) / max(sigma, 1e-6), held.mask).put(v)

    return velocity
