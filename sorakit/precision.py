"""In which precision matrix products run: bfloat16 only where the processor multiplies it fast.

Processors without AVX-512's or AMX's bfloat16 (most laptops) emulate it: measured on one with AVX2 alone, a
product of 1024 × 1024 matrices ran at 0.9 GFLOP/s against 78 in float32.
"""

import time
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

import torch

__all__ = ["has_fast_bf16", "product_dtype", "suited"]

_SIDE, _TRIES = 256, 5

_Recipe = TypeVar("_Recipe", bound=Any)
"""A dataclass with a field `bf16`."""


def suited(recipe: _Recipe, device: str) -> _Recipe:
    """`recipe` without bfloat16 products where `device` is slow at them."""
    fast = not recipe.bf16 or has_fast_bf16(torch.device(device).type)
    return recipe if fast else replace(recipe, bf16=False)


def product_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where its products on `device` are no slower than float32's, else float32."""
    return torch.bfloat16 if has_fast_bf16(device.type) else torch.float32


@lru_cache
def has_fast_bf16(kind: str) -> bool:
    """Whether devices of `kind` ("cpu", "cuda", …) multiply bfloat16 no slower than float32.

    A CPU is measured, once a process, in a few milliseconds; other devices are asked or trusted.
    """
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return kind != "cpu" or _seconds(torch.bfloat16) <= _seconds(torch.float32)


def _seconds(dtype: torch.dtype) -> float:
    """Of one product, the least of a few tries; the first, which sets the kernels up, is left out."""
    a = torch.ones(_SIDE, _SIDE, dtype=dtype)
    laps = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        a @ a
        laps.append(time.perf_counter() - start)
    return min(laps[1:])
