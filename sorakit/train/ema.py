"""Exponential moving average of weights: what is sampled from and published."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

__all__ = ["Ema"]


M = TypeVar("M", bound=nn.Module)


class Ema(Generic[M]):
    """Keeps `model` = a running mean of the trained weights.

    The decay warms up as (1 + n) / (10 + n), so that the random start is soon forgotten.
    """

    def __init__(self, trained: M, decay: float = 0.999) -> None:
        self.decay = decay
        self.model: M = copy.deepcopy(trained).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, trained: M, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.model.parameters()), list(trained.parameters()), 1 - decay)
