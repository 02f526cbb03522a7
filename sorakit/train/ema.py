"""Exponential moving average of weights: what is sampled from and published."""

import copy

import torch
from torch import nn

__all__ = ["Ema"]


class Ema:
    """Keeps `model` = a running mean of the trained weights.

    The decay warms up as (1 + n) / (10 + n), so that the random start is soon forgotten.
    """

    def __init__(self, trained: nn.Module, decay: float = 0.999) -> None:
        self.decay = decay
        self.model = copy.deepcopy(trained).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, trained: nn.Module, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.model.parameters()), list(trained.parameters()), 1 - decay)
