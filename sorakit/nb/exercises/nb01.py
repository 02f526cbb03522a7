"""Exercises of notebook 01: mix a clip with noise, turn answers into velocities, and what fits through."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sorakit.diffusion.flow import add_noise, to_velocity
from sorakit.nb.exercise import Exercise, call, near

__all__ = ["EXERCISES"]

_SHAPES = ((4, 3, 4, 8, 8), (3, 5), (2, 6, 7))


def _mix(answer: Any) -> str | None:
    for shape in _SHAPES:
        clean, noise = torch.randn(shape), torch.randn(shape)
        ends = call(answer, clean, noise, torch.zeros(len(clean)))
        if near(ends, clean, "") is not None:
            swapped = near(ends, noise, "") is None
            how = "signal and noise are swapped" if swapped else "something is left beside the clip"
            return near(ends, clean, f"at σ = 0 only the clip should be left, but {how}")
        ends = call(answer, clean, noise, torch.ones(len(clean)))
        if hint := near(ends, noise, "at σ = 1 only the noise should be left; what happens to the clip?"):
            return hint
        sigma = torch.rand(len(clean))
        got, wanted = call(answer, clean, noise, sigma), add_noise(clean, noise, sigma)
        alone = near(got, add_noise(clean, noise, sigma[:1].expand(len(clean))), "") is None
        hint = (
            "every clip needs its own level, and yours all got the first one"
            if alone
            else "both ends are right, but the way between is no straight line; compare with the formula"
        )
        if wrong := near(got, wanted, hint):
            return wrong
    return None


def _velocity(answer: Any) -> str | None:
    for shape in _SHAPES:
        clean, noise, sigma = torch.randn(shape), torch.randn(shape), float(np.random.uniform(0.2, 0.8))
        noisy = (1 - sigma) * clean + sigma * noise
        v = noise - clean
        for kind, output in (("v", v), ("x", clean), ("eps", noise)):
            got = call(answer, kind, output, noisy, sigma)
            if wrong := near(got, v, _why(kind, got, v)):
                return wrong
        off = clean + 0.3 * torch.randn(shape)  # a network's answer is never exact
        wanted = to_velocity("x", off, noisy, torch.full((len(clean),), sigma))
        if wrong := near(
            call(answer, "x", off, noisy, sigma), wanted, "only `output`, `noisy` and `sigma` count"
        ):
            return wrong
    return None


def _why(kind: str, got: Any, v: Tensor) -> str:
    """What is wrong with a velocity for an output of this `kind`."""
    if near(got, -v, "") is None:
        return f'for kind "{kind}" the sign is wrong: v leads from the clip to the noise'
    ratio = float((torch.as_tensor(got) * v).sum() / (v * v).sum()) if near(got, v, "") == "" else 0.0
    if ratio and near(got, ratio * v, "") is None:
        return f'for kind "{kind}" the direction is right and the length is not: what is it to be divided by?'
    return f'for kind "{kind}" it is not v; put z = (1 − σ) x + σ ε and v = ε − x in and remove the unknown'


def _lost(answer: Any) -> str | None:
    rng = np.random.default_rng()
    for count, size, width in ((500, 12, 3), (300, 20, 7), (800, 9, 8)):
        spread = rng.uniform(0.2, 3.0, size)
        mean = rng.normal(0, 4, size)
        turn = np.linalg.qr(rng.normal(size=(size, size)))[0]
        patches = torch.tensor((rng.normal(size=(count, size)) * spread) @ turn + mean).float()
        values = torch.linalg.eigvalsh(torch.cov(patches.double().T)).flip(0)
        kept = float(values[:width].sum() / values.sum())
        got = call(answer, patches, width)
        if near(got, 1 - kept, "", 1e-3) is None:
            continue
        return near(got, 1 - kept, _why_lost(got, patches.double(), values, width), 1e-3)
    return None


def _why_lost(got: Any, patches: Tensor, values: Tensor, width: int) -> str:
    kept = float(values[:width].sum() / values.sum())
    raw = torch.linalg.eigvalsh(patches.T @ patches).flip(0)
    roots = values.clamp_min(0).sqrt()
    least = float(values[-width:].sum() / values.sum())
    guesses = {
        "that is the share that is kept": kept,
        "you took the smallest eigenvalues for the largest: they ascend": 1 - least,
        "the eigenvalues ascend, and you counted as many as are kept": least,
        "take the mean of the patches off first: a mean costs no variance": float(
            raw[width:].sum() / raw.sum()
        ),
        "those are shares of spreads; variances are their squares": float(roots[width:].sum() / roots.sum()),
        "that is one number and no share: divide by the sum of all": float(values[width:].sum()),
    }
    for text, value in guesses.items():
        if near(got, value, "", 1e-3) is None:
            return text
    return "it is not the share of variance beyond the `width` largest eigenvalues; try patches that you know"


EXERCISES = (
    Exercise("01.1", "Mix a batch of clips with noise, each at its own level", _mix),
    Exercise("01.2", "The velocity, from a network that answers with clip, noise or velocity", _velocity),
    Exercise("01.3", "The share of variance that a narrow linear code loses", _lost),
)
