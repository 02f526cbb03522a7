"""What a clip keeps of the frames it is given: a gate a pixel between them and what the network draws.

Drawing a still background anew in each frame costs a small network its accuracy, and where drawn frames join
a given one the eye sees the step. So the network says, pixel by pixel, how much of the nearest given frame
stays (the composition of background and moving foreground of Vondrick et al. 2016, arXiv:1609.02612, with a
given frame in place of a generated background).
"""

import math

import torch
from torch import Tensor, nn

from sorakit.model.patch import patchify

__all__ = ["KeepGate", "nearest_given"]

_OPEN = 2.0
"""Logit of a gate before training: 88 % is kept. One that began closed stayed so: what it would gain on still
backgrounds is small beside what sprites cost, and large errors teach it soon where to close."""


class KeepGate(nn.Module):
    """One gate a pixel of each patch, from the token that draws it."""

    def __init__(self, width: int, patch: tuple[int, int, int]) -> None:
        super().__init__()
        self.patch = patch
        self.gate = nn.Linear(width, math.prod(patch))
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, _OPEN)

    def forward(self, y: Tensor, drawn: Tensor, kept: Tensor, some: Tensor) -> Tensor:
        """Tokens `y` `(B, N, D)`, `drawn` and `kept` patches `(B, N, C·p)` → `(B, N, C·p)`.

        `some` `(B, 1, 1)` or `(1, N, 1)`: 0 where no frame is given, and nothing can be kept.
        """
        gate = self.gate(y).sigmoid().to(drawn.dtype) * some.to(drawn.dtype)  # (B, N, p)
        gate = gate.repeat(1, 1, drawn.shape[-1] // gate.shape[-1])  # (B, N, C·p), the same in each channel
        return torch.lerp(drawn, kept.to(drawn.dtype), gate)

    def patches(self, clip: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """`clip` `(B, C, T, H, W)`, `given` `(B, T)` → patches of what could be kept, and `some`."""
        return patchify(nearest_given(clip, given), self.patch), (given > 0).any(1)[:, None, None]


def nearest_given(clip: Tensor, given: Tensor) -> Tensor:
    """`clip` `(B, C, T, H, W)` with each frame replaced by the nearest that is `given` `(B, T)`.

    Of two as near the earlier one; a clip without given frames comes back with its first one throughout.

    >>> clip = torch.arange(5.0).view(1, 1, 5, 1, 1)
    >>> nearest_given(clip, torch.tensor([[0, 1, 0, 0, 1]])).flatten().tolist()
    [1.0, 1.0, 1.0, 4.0, 4.0]
    """
    B, C, T, H, W = clip.shape
    at = torch.arange(T, device=clip.device)
    away = (at[:, None] - at).abs() + 2 * T * (given <= 0)[:, None]  # (B, T, T)
    index = away.argmin(-1)[:, None, :, None, None]  # (B, 1, T, 1, 1)
    return clip.gather(2, index.expand(B, C, T, H, W))
