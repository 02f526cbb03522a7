"""Exercises of notebook 04: a block that starts as the identity, rotary places, heads that see time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sorakit.model.block import Block
from sorakit.nb.exercise import Exercise, call, near, numbers

__all__ = ["EXERCISES"]

Answer = Callable[..., Any]


def _start(answer: Answer) -> str | None:
    for width, heads in ((16, 2), (48, 4)):
        block = Block(width, heads)
        for parameter in block.modulation.parameters():
            nn.init.normal_(parameter, std=0.5)
        got = call(answer, block)
        if not isinstance(got, nn.Module):
            return f"return the block itself, got {type(got).__name__}"
        x, c = torch.randn(2, 5, width), torch.randn(2, width)
        y = call(got, x, c)
        if hint := near(
            y, x, "it still changes its tokens: what decides how much of each branch is added, for every `c`?"
        ):
            return hint
        if y.requires_grad:
            (y * torch.randn_like(y)).sum().backward()
        if not any(p.grad is not None and p.grad.abs().max() > 0 for p in got.parameters()):
            return "it is the identity, but no weight has a gradient, so it would stay so: set fewer to 0"
    return None


def _turn(answer: Answer) -> str | None:
    for n, d in ((6, 8), (9, 16)):
        place = torch.randperm(20)[:n].float()
        x, q, k = torch.randn(n, d), torch.randn(1, d).expand(n, d), torch.randn(1, d).expand(n, d)
        if hint := _one_turn(answer, x, place):
            return hint
        here = _scores(answer, q, k, place)
        if hint := near(
            _scores(answer, q, k, place + 7),
            here,
            "moving all tokens by 7 places changes their scores; an angle must be place × speed",
            1e-3,
        ):
            return hint
        if float(here.std()) < 1e-4:
            return "all places give the same score; turn each token by an angle that grows with its place"
        at_one = _turned(answer, torch.eye(d), torch.ones(d))
        pairs = torch.arange(d) // 2
        if at_one[pairs[:, None] != pairs].abs().max() > 1e-4:
            return "a number is mixed with one that is not its neighbour; the pairs are 0 and 1, 2 and 3, …"
        angle = np.abs(np.angle(np.linalg.eigvals(at_one.double().numpy())))
        if np.ptp(angle) < 1e-3:
            return "all pairs turn at one speed; give each pair a slower one than the pair before"
    return None


def _one_turn(answer: Answer, x: Tensor, place: Tensor) -> str | None:
    y = _turned(answer, x, place)
    if y.shape != x.shape:
        return f"its shape is {tuple(y.shape)}, expected {tuple(x.shape)}: one number for each it was given"
    if near(y.norm(dim=-1), x.norm(dim=-1), "", 1e-3):
        return "tokens change their length; turning (a, b) by an angle must not: look at the two sines' signs"
    alike = _turned(answer, x[:1].expand_as(x), place[:1].expand_as(place))
    return near(
        alike,
        alike[:1].expand_as(alike),
        "equal tokens at one place come out different; angles come from `place`",
    )


def _scores(answer: Answer, q: Tensor, k: Tensor, place: Tensor) -> Tensor:
    a, b = (_turned(answer, x, place) for x in (q, k))
    return a @ b.T


def _turned(answer: Answer, x: Tensor, place: Tensor) -> Tensor:
    return torch.as_tensor(numbers(call(answer, x, place)))


def _through_time(answer: Answer) -> str | None:
    rng = np.random.default_rng()
    for layers, heads, t, h, w, words in ((1, 2, 3, 2, 2, 4), (2, 3, 4, 2, 3, 1), (2, 1, 2, 3, 1, 0)):
        weights = rng.dirichlet(np.full(words + t * h * w, 0.3), (layers, heads, t, h, w))
        patches = weights[..., words:].reshape(layers, heads, t, h, w, t, h * w).sum(-1)
        own = np.einsum("lhtyxt->lhtyx", patches)
        share = 1 - own / patches.sum(-1)
        got = call(answer, weights.astype(np.float32))
        wrong = near(got, share.mean((2, 3, 4)), "", 1e-3)
        if wrong is None:
            continue
        if near(got, 1 - share.mean((2, 3, 4)), "", 1e-3) is None:
            return "these are the shares that stay in the own time step; asked for are the others"
        if near(got, (patches.sum(-1) - own).mean((2, 3, 4)), "", 1e-3) is None:
            return "shares of all attention, words included; divide by what goes to patches"
        if near(got, 1 - own.mean((2, 3, 4)), "", 1e-3) is None:
            return "the words count as another time step; leave the first S weights out"
        return wrong or (
            "not these shares: leave out the first S weights, and take for each query only the keys of other "
            "time steps; the last axis runs over time, then rows, then columns"
        )
    return None


EXERCISES = (
    Exercise("04.1", "Initialise a block so that it is the identity and can still learn.", _start),
    Exercise("04.2", "Write rotary positions; scores depend on differences of places only.", _turn),
    Exercise(
        "04.3", "Measure what share of attention goes to other time steps, head by head.", _through_time
    ),
)
