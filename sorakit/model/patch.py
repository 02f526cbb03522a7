"""Cuts a clip into tokens and puts it together again: exact inverses, no parameters."""

from torch import Tensor

from sorakit.errors import UsageError

__all__ = ["patchify", "unpatchify"]

Size = tuple[int, int, int]


def patchify(clip: Tensor, patch: Size) -> Tensor:
    """`(B, C, T, H, W)` → `(B, N, C·pt·ph·pw)`, tokens in (T, H, W) order.

    Raises `UsageError` when a side is no multiple of its patch.
    """
    B, C, *sides = clip.shape
    if len(sides) != 3 or any(s % p for s, p in zip(sides, patch, strict=True)):
        raise UsageError(f"clip sides (T, H, W) must be multiples of {patch}, got {tuple(sides)}")
    (t, h, w), (pt, ph, pw) = (s // p for s, p in zip(sides, patch, strict=True)), patch
    x = clip.reshape(B, C, t, pt, h, ph, w, pw)
    x = x.permute(0, 2, 4, 6, 1, 3, 5, 7)  # (B, t, h, w, C, pt, ph, pw)
    return x.reshape(B, t * h * w, C * pt * ph * pw)


def unpatchify(tokens: Tensor, grid: Size, patch: Size) -> Tensor:
    """`(B, N, C·pt·ph·pw)` → `(B, C, T, H, W)`; `grid` is the number of tokens along each axis."""
    (t, h, w), (pt, ph, pw) = grid, patch
    x = tokens.reshape(tokens.shape[0], t, h, w, -1, pt, ph, pw)
    x = x.permute(0, 4, 1, 5, 2, 6, 3, 7)  # (B, C, t, pt, h, ph, w, pw)
    return x.reshape(x.shape[0], x.shape[1], t * pt, h * ph, w * pw)
