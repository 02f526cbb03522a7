"""Exercises of notebook 05: the loss by noise level, the running average, gradients in parts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sorakit.nb.exercise import Exercise, call, near, numbers

__all__ = ["EXERCISES"]

Answer = Callable[..., Any]


def _by_level(answer: Answer) -> str | None:
    rng = np.random.default_rng()
    for n, bins in ((200, 5), (37, 8)):
        edges = np.linspace(0, 1, bins + 1)
        empty, sigma = int(rng.integers(bins)), rng.permutation((np.arange(n) + rng.random(n)) / n)
        sigma[np.floor(sigma * bins) == empty] = edges[(empty + 1) % bins]  # on an edge, and one bin empty
        loss = rng.exponential(size=n)
        place = np.digitize(sigma, edges) - 1
        inside = [loss[place == i] for i in range(bins)]
        got = numbers(call(answer, sigma.copy(), loss.copy(), edges.copy()))
        if got.shape == (bins,) and not np.isnan(got[empty]):
            return "a bin without any clip gives a number; it must give NaN, for nothing was measured there"
        full = np.arange(bins) != empty
        means = np.array([part.mean() for i, part in enumerate(inside) if full[i]])
        if got.shape != (bins,):
            return f"its shape is {got.shape}, expected ({bins},): one value a bin, one less than edges"
        if near(got[full], means, "") is None:
            continue
        if near(got[full], [part.sum() for i, part in enumerate(inside) if full[i]], "") is None:
            return "these are sums; divide by how many clips the bin holds"
        if np.isnan(got[full]).any():
            return "bins that hold clips give NaN; look at which edge belongs to which bin"
        return "not the means of these bins: bin i holds edges[i] ≤ σ < edges[i + 1]"
    return None


def _average(answer: Answer) -> str | None:
    for shape in ((3,), (2, 4)):
        kept, now = torch.randn(2, *shape, dtype=torch.float64)
        for step, decay in ((1, 0.999), (30, 0.99), (5000, 0.99), (20_000, 0.9999)):
            share = min(decay, (1 + step) / (10 + step))
            got = call(answer, kept.clone(), now.clone(), step, decay)
            if near(got, kept + (1 - share) * (now - kept), "", 1e-6) is None:
                continue
            if near(got, share * now + (1 - share) * kept, "", 1e-6) is None:
                return "the two shares are exchanged: the old average is to keep nearly all of itself"
            if near(got, decay * kept + (1 - decay) * now, "", 1e-6) is None:
                return f"after {step} steps it is as slow as at the end; the share must warm up with `step`"
            most = max(decay, (1 + step) / (10 + step))
            if near(got, most * kept + (1 - most) * now, "", 1e-6) is None:
                return "it takes the larger of the two shares; `decay` is where warming up ends"
            wrong = near(got, kept, "its values are wrong: d · kept + (1 − d) · now, with d as asked", 1e-6)
            return wrong or "the average does not move; some of `now` must come in"
    return None


def _accumulate(answer: Answer) -> str | None:
    def loss_of(model: nn.Module, part: Tensor) -> Tensor:
        error: Tensor = model(part[:, :-1]) - part[:, -1:]
        return error.square().mean()

    for lengths in ((3, 3), (1, 4, 2)):
        parts = [torch.randn(n, 5) + i for i, n in enumerate(lengths)]
        model, whole = nn.Linear(4, 1), torch.cat(parts)
        loss = loss_of(model, whole)
        wanted = torch.autograd.grad(loss, model.weight)[0]
        got = call(answer, model, list(parts), loss_of)
        if model.weight.grad is None:
            return "the weights have no gradient; call `backward` on each part's loss"
        if hint := _gradient_wrong(model.weight.grad, wanted, model, parts, loss_of):
            return hint
        if hint := near(got, loss.item(), "the gradient is right, the mean loss is not", 1e-3):
            return hint
    return None


def _gradient_wrong(
    got: Tensor, wanted: Tensor, model: nn.Linear, parts: list[Tensor], loss_of: Answer
) -> str | None:
    if near(got, wanted, "", 1e-3) is None:
        return None
    each = torch.stack([torch.autograd.grad(loss_of(model, p), model.weight)[0] for p in parts])
    if near(got, each.sum(0), "", 1e-3) is None:
        return "the gradients of the parts are added up whole; each part counts by its share of the clips"
    if near(got, each.mean(0), "", 1e-3) is None:
        return "each part counts alike, but some have more clips: weigh by len(part)"
    if near(got, each[-1], "", 1e-3) is None or near(got, each[-1] * len(parts[-1]), "", 1e-3) is None:
        return "only the last part is left; gradients add up unless they are set to 0 in between"
    return "this is not the gradient of the mean over all clips: weigh each part's loss by len(part) / all"


EXERCISES = (
    Exercise("05.1", "Bin and average a loss by noise level.", _by_level),
    Exercise("05.2", "Update a running average of weights that warms up.", _average),
    Exercise("05.3", "Accumulate gradients over parts as if they were one batch.", _accumulate),
)
