"""What every trainer does with gradients: which optimiser gets which weights, and one step of them.

In: networks and their gradients. Out: changed weights. Muon (see `sorakit.train.muon`) moves the matrices
between hidden features, AdamW the rest. On one device bfloat16 copies do the matrix products: `refresh`
before a step, `collect` after the backward pass.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from sorakit.train.muon import Muon

__all__ = ["collect", "optimisers", "refresh", "step"]

_HIDDEN = (".blocks.", ".shrink.", ".grow.", ".merge.")
"""Parts of the DiT, the text encoder and the U-Net between whose features matrices lie."""


def optimisers(networks: nn.Module, lr: float, *, bf16: bool = True) -> list[torch.optim.Optimizer]:
    """Muon on the matrices inside the blocks, AdamW on all else: embeddings, heads, modulations, biases.

    `bf16`: precision of Muon's iteration, which corrects itself; float32 makes runs comparable.
    """
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, p in networks.named_parameters():
        inside = p.ndim == 2 and "modulation" not in name and any(part in name for part in _HIDDEN)
        (hidden if inside else rest).append(p)
    return [
        Muon(hidden, lr, dtype=torch.bfloat16 if bf16 else torch.float32),
        torch.optim.AdamW(rest, lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def step(
    networks: nn.Module, optimisers: Sequence[torch.optim.Optimizer], rates: Iterable[float], clip: float
) -> None:
    """Clip the gradients to norm `clip`, move the weights at one learning rate an optimiser, forget them."""
    nn.utils.clip_grad_norm_(networks.parameters(), clip)
    for optimiser, rate in zip(optimisers, rates, strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


@torch.no_grad()
def refresh(copies: nn.Module, networks: nn.Module) -> None:
    """Give `copies` the weights of `networks`, in their own precision."""
    torch._foreach_copy_(list(copies.parameters()), list(networks.parameters()))


def collect(networks: nn.Module, copies: nn.Module) -> None:
    """Add the gradients of `copies` to those of `networks`, and forget them there."""
    for p, q in zip(networks.parameters(), copies.parameters(), strict=True):
        if q.grad is not None:
            p.grad = q.grad.float() if p.grad is None else p.grad.add_(q.grad)
            q.grad = None
