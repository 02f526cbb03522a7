"""Where a token sits: 3-D rotary angles (relative) and fractional coordinates (absolute, any size).

RoPE: Su et al. 2021 (arXiv:2104.09864), split over time, height and width as in the video DiTs since 2023.
Fractional coordinates: NaViT, Dehghani et al. 2023 (arXiv:2307.06304).
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["FRACTIONAL", "fractional", "rotary", "rotate", "turns"]

FRACTIONAL = 24
"""Features of `fractional`: 3 axes × 4 frequencies × sine and cosine."""


@lru_cache(64)
@torch.inference_mode(mode=False)  # or training could not use what sampling has made
def rotary(grid: tuple[int, int, int], head_dim: int, device: torch.device | None = None) -> Tensor:
    """Rotary angles `(N, head_dim / 2)` of a (T, H, W) grid of tokens, `N = T·H·W`, float32.

    The base is 100, not 10,000: the grids are a few tokens wide. Kept from call to call: do not write to it.
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


def turns(angles: Tensor, dtype: torch.dtype) -> Tensor:
    """What `rotate` multiplies by, once for all blocks: `(N, half)` → `(N, 4 half)`, cosines and sines."""
    c, s = angles.cos(), angles.sin()
    return torch.cat([c, c, -s, s], -1).to(dtype)


def rotate(x: Tensor, turns: Tensor) -> Tensor:
    """`x` `(…, heads, N, head_dim)` turned by `turns` `(N, 2 head_dim)`; keeps dtype and norms."""
    c, s = turns.to(x.dtype).chunk(2, -1)  # two of (N, head_dim)
    return torch.addcmul(x * c, x.roll(x.shape[-1] // 2, -1), s)


@lru_cache(64)
@torch.inference_mode(mode=False)  # or training could not use what sampling has made
def fractional(grid: tuple[int, int, int], device: torch.device | None = None) -> Tensor:
    """Fourier features `(N, 24)` of each token's place as a share of the clip's length, height and width.

    Kept from call to call, as `rotary` is.
    """
    frequency = 2 * math.pi * torch.tensor([0.5, 1.0, 2.0, 4.0], device=device)
    axes = [(torch.arange(n, device=device) + 0.5) / n for n in grid]
    place = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3, 1) * frequency  # (N, 3, 4)
    return torch.cat([place.sin(), place.cos()], -1).reshape(-1, FRACTIONAL)
