"""Exponential moving average of weights: what is sampled from and published."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

from sorakit.train.muon import local

__all__ = ["Ema"]


M = TypeVar("M", bound=nn.Module)


class Ema(Generic[M]):
    """Keeps `model` = a running mean of the trained weights.

    The decay warms up as (1 + n) / (10 + n), so that the random start is soon forgotten. Where the weights
    are sharded over processes, so is the mean: each process averages its own piece.

    >>> layer = nn.Linear(2, 2)
    >>> Ema(layer).update(layer, 1)
    """

    def __init__(self, trained: M, decay: float = 0.999) -> None:
        self.decay = decay
        self.model: M = copy.deepcopy(trained).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, trained: M, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        kept = [local(p) for p in self.model.parameters()]
        torch._foreach_lerp_(kept, [local(p) for p in trained.parameters()], 1 - decay)
