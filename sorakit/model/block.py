"""Attention and the transformer block with adaLN-zero (DiT, Peebles & Xie 2022, arXiv:2212.09748).

QK-norm (Henry et al. 2020, arXiv:2010.04245) keeps attention logits bounded at high learning rates.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from sorakit.model.rope import rotate

__all__ = ["Block", "SelfAttention", "attend", "mlp"]


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attention `(B, heads, N, head_dim)`; `bias` is added to the logits.

    Written out on the CPU, where the fused kernel's bfloat16 backward pass is 3.8 × slower than float32.
    """
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)  # (B, heads, N, M)
    if bias is not None:
        logits = logits + bias
    weights: Tensor = logits.softmax(-1).to(v.dtype)  # (B, heads, N, M)
    return weights @ v


def mlp(width: int, factor: int = 4) -> nn.Sequential:
    """Two layers with a GELU between them."""
    return nn.Sequential(
        nn.Linear(width, factor * width), nn.GELU(approximate="tanh"), nn.Linear(factor * width, width)
    )


class SelfAttention(nn.Module):
    """Multi-head self-attention with QK-norm; the last `len(angles)` tokens are rotated."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, angles: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """`x` `(B, N, D)` → `(B, N, D)`."""
        B, N, D = x.shape
        q, k, v = self.qkv(x).view(B, N, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # each (B, heads, N, hd)
        q, k = F.rms_norm(q, q.shape[-1:]).to(v.dtype), F.rms_norm(k, k.shape[-1:]).to(v.dtype)
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        y = attend(q, k, v, bias)  # (B, heads, N, hd)
        out: Tensor = self.out(y.transpose(1, 2).reshape(B, N, D))
        return out


class Block(nn.Module):
    """Self-attention and MLP, shifted, scaled and gated by the condition; the identity at the start."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads)
        self.mlp = mlp(width)
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self, x: Tensor, c: Tensor, angles: Tensor | None = None, bias: Tensor | None = None
    ) -> Tensor:
        """`x` `(B, N, D)`, condition `c` `(B, D)` → `(B, N, D)`."""
        shift, scale, gate, shift2, scale2, gate2 = self.modulation(F.silu(c))[:, None].chunk(
            6, -1
        )  # (B, 1, D)
        y = F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift  # (B, N, D)
        x = x + gate * self.attention(y, angles, bias)  # (B, N, D)
        y = F.layer_norm(x, x.shape[-1:]) * (1 + scale2) + shift2  # (B, N, D)
        out: Tensor = x + gate2 * self.mlp(y)
        return out
