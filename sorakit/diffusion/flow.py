"""Rectified flow: the objective, and how predictions turn into one another.

Liu et al. 2022 (arXiv:2209.03003) with Stable Diffusion 3's logit-normal noise levels (arXiv:2403.03206).
The convention is the one of diffusers: z = (1 − σ) x + σ ε, velocity = ε − x, timestep = 1000 σ; at σ = 1
there is only noise. In pixel space the network predicts the clean clip x and the loss is taken on v ("Back
to basics", Li & He 2025, arXiv:2511.13720): a narrow network cannot carry the noise that v contains.
"""

from typing import Literal, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from sorakit.errors import UsageError

__all__ = [
    "Prediction",
    "add_noise",
    "expand",
    "flow_loss",
    "prediction_type",
    "sample_sigma",
    "shifted",
    "to_clean",
    "to_velocity",
]

Prediction = Literal["x", "v", "eps"]
Level = TypeVar("Level", float, Tensor)

_FLOOR = 0.05
"""σ never divides by less: the velocity of an x-prediction grows without bound as σ → 0."""


def prediction_type(name: str) -> Prediction:
    """`name` checked; raises `UsageError` unless "x", "v" or "eps"."""
    if name not in ("x", "v", "eps"):
        raise UsageError(f'`prediction` must be "x", "v" or "eps", got {name!r}')
    return cast(Prediction, name)


def expand(sigma: Tensor, like: Tensor) -> Tensor:
    """`sigma` `(B,)` shaped to multiply `like` `(B, …)`."""
    return sigma.reshape(-1, *[1] * (like.dim() - 1))


def add_noise(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """The noisy clip z = (1 − σ) x + σ ε; `sigma` `(B,)`."""
    return torch.lerp(clean, noise, expand(sigma, clean))


def to_velocity(prediction: Prediction, output: Tensor, noisy: Tensor, sigma: Tensor) -> Tensor:
    """The velocity ε − x that a network's `output` at `noisy` stands for; `sigma` `(B,)`."""
    s = expand(sigma, noisy)
    if prediction == "v":
        return output
    if prediction == "x":
        return (noisy - output) / s.clamp(min=_FLOOR)
    return (output - noisy) / (1 - s).clamp(min=_FLOOR)


def to_clean(prediction: Prediction, output: Tensor, noisy: Tensor, sigma: Tensor) -> Tensor:
    """The clean clip x that a network's `output` at `noisy` stands for; `sigma` `(B,)`."""
    if prediction == "x":
        return output
    return noisy - expand(sigma, noisy) * to_velocity(prediction, output, noisy, sigma)


def sample_sigma(count: int, mean: float, std: float, generator: torch.Generator | None = None) -> Tensor:
    """`count` noise levels with logit σ ~ N(`mean`, `std`); a positive mean favours noisy clips."""
    return torch.sigmoid(mean + std * torch.randn(count, generator=generator))


def shifted(sigma: Level, shift: float) -> Level:
    """`sigma` as it is sampled with `shift` (arXiv:2403.03206, eq. 23): above 1 it moves towards noise.

    >>> shifted(0.5, 3.0)
    0.75
    """
    if not shift > 0:
        raise UsageError(f"`shift` must be positive, got {shift}")
    return shift * sigma / (1 + (shift - 1) * sigma)


def flow_loss(clean_pred: Tensor, clean: Tensor, sigma: Tensor, weight: Tensor, cap: float = 0.2) -> Tensor:
    """Velocity error `((x̂ − x) / max(σ, cap))²`, weighted a pixel, mean over all; a scalar.

    Dividing by σ turns the error of x̂ into that of v. The cap keeps nearly clean clips, whose edges the
    patches cannot draw anyway, from filling the gradient. `weight` `(B, 1, T, H, W)` has mean about 1.
    """
    root = weight.sqrt() / expand(sigma, clean).clamp(min=cap)  # (B, 1, T, H, W)
    return F.mse_loss(clean_pred * root, clean * root)  # one temporary less than squaring by hand
