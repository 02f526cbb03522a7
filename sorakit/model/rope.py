"""Where a token sits: 3-D rotary angles (relative) and fractional coordinates (absolute, any size).

RoPE: Su et al. 2021 (arXiv:2104.09864), split over time, height and width as in the video DiTs since 2023.
Fractional coordinates: NaViT, Dehghani et al. 2023 (arXiv:2307.06304).
"""

import math

import torch
from torch import Tensor

__all__ = ["FRACTIONAL", "fractional", "rotary", "rotate"]

FRACTIONAL = 24
"""Features of `fractional`: 3 axes × 4 frequencies × sine and cosine."""


def rotary(grid: tuple[int, int, int], head_dim: int, device: torch.device | None = None) -> Tensor:
    """Rotary angles `(N, head_dim / 2)` of a (T, H, W) grid of tokens, `N = T·H·W`, float32.

    The base is 100, not 10,000: the grids are a few tokens wide.
    """
    half = head_dim // 2
    sizes = (half - 2 * (half // 3), half // 3, half // 3)
    parts = []
    for axis, (count, size) in enumerate(zip(grid, sizes, strict=True)):
        frequency = 100.0 ** (-torch.arange(size, device=device) / max(size, 1))
        angle = torch.arange(count, device=device)[:, None] * frequency  # (count, size)
        view = [1, 1, 1, size]
        view[axis] = count
        parts.append(angle.view(view).expand(*grid, size))
    return torch.cat(parts, -1).reshape(-1, half).float()  # (N, half)


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """`x` `(…, heads, N, head_dim)` turned by `angles` `(N, head_dim / 2)`; keeps dtype and norms."""
    half = angles.shape[-1]
    c = angles.cos().repeat(1, 2).to(x.dtype)  # (N, head_dim)
    s = torch.cat([-angles.sin(), angles.sin()], -1).to(x.dtype)  # (N, head_dim)
    return torch.addcmul(x * c, x.roll(half, -1), s)


def fractional(grid: tuple[int, int, int], device: torch.device | None = None) -> Tensor:
    """Fourier features `(N, 24)` of each token's place as a share of the clip's length, height and width."""
    frequency = 2 * math.pi * torch.tensor([0.5, 1.0, 2.0, 4.0], device=device)
    axes = [(torch.arange(n, device=device) + 0.5) / n for n in grid]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3, 1) * frequency  # (N, 3, 4)
    return torch.cat([place.sin(), place.cos()], -1).reshape(-1, FRACTIONAL)
