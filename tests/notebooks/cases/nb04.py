"""Answers to the exercises of notebook 04: right ones, and typical mistakes."""

import numpy as np
import torch
from torch import nn


def start(block):
    for parameter in block.modulation.parameters():
        nn.init.zeros_(parameter)
    return block


def start_without_bias(block):
    nn.init.zeros_(block.modulation.weight)
    return block


def start_dead(block):
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    return block


def start_frozen(block):
    return start(block).requires_grad_(False)


def start_attention_only(block):
    nn.init.zeros_(block.attention.out.weight)
    return block


def turned(x, place, base=100.0, sign=-1):
    pairs = x.shape[-1] // 2
    angle = place[:, None] * base ** (-torch.arange(pairs) / pairs)
    a, b = x[:, 0::2], x[:, 1::2]
    c, s = angle.cos(), angle.sin()
    return torch.stack([a * c + sign * b * s, a * s + b * c], -1).flatten(1)


def halves(x, place):
    order = torch.arange(x.shape[-1]).reshape(2, -1).T.flatten()
    return turned(x[:, order], place)[:, order.argsort()]


def apart(x, place):
    y = turned(x, place)
    return torch.cat([y[:, 0::2], y[:, 1::2]], -1)


def numbered(x, place):
    return turned(x, torch.arange(len(x)))


def through_time(weights, words=None):
    t, h, w = weights.shape[2:5]
    patches = weights[..., -t * h * w :].reshape(*weights.shape[:5], t, h * w).sum(-1)
    total = patches.sum(-1) if words is None else words
    own = np.einsum("lhtyxt->lhtyx", patches)
    return 1 - (own / total).mean((2, 3, 4))


def rows_for_time(weights):
    t, h, w = weights.shape[2:5]
    patches = weights[..., -t * h * w :].reshape(*weights.shape[:5], t, h, w).sum((5, 7))
    own = np.einsum("lhtyxy->lhtyx", patches)
    return 1 - (own / patches.sum(-1)).mean((2, 3, 4))


RIGHT = {"04.1": (start,), "04.2": (turned,), "04.3": (through_time,)}
WRONG = {
    "04.1": [
        (start_without_bias,),
        (start_dead,),
        (start_attention_only,),
        (start_frozen,),
        (lambda block: nn.Identity(),),
        (lambda block: 1,),
    ],
    "04.2": [
        (lambda x, place: turned(x, place, sign=1),),
        (lambda x, place: turned(x, place, base=1.0),),
        (lambda x, place: turned(x, place**2),),
        (lambda x, place: x + place[:, None],),
        (lambda x, place: x,),
        (numbered,),
        (halves,),
        (apart,),
    ],
    "04.3": [
        (lambda weights: 1 - through_time(weights),),
        (lambda weights: through_time(weights, words=1),),
        (rows_for_time,),
        (lambda weights: through_time(weights).mean(1),),
    ],
}
