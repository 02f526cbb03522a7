"""Attention and the transformer block with adaLN-zero (DiT, Peebles & Xie 2022, arXiv:2212.09748).

QK-norm (Henry et al. 2020, arXiv:2010.04245) keeps attention logits bounded at high learning rates.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sorakit.model.rope import rotate

__all__ = ["Attend", "Block", "SelfAttention", "attend", "mlp", "modulate"]

Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""How queries, keys, values `(B, heads, N, head_dim)` and a bias become `(B, heads, N, head_dim)`."""


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attention `(B, heads, N, head_dim)`; `bias` is added to the logits.

    Written out on the CPU, where the fused kernel's bfloat16 backward pass is 3.8 × slower than float32, and
    on the meta device, so that what is counted there is what the CPU does.
    """
    if q.device.type not in ("cpu", "meta"):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)  # (B, heads, N, M)
    if bias is not None:
        logits = logits + bias
    weights: Tensor = logits.softmax(-1).to(v.dtype)  # (B, heads, N, M)
    return weights @ v


def mlp(width: int, factor: int = 4) -> nn.Sequential:
    """Two layers with a GELU between them: the exact one, three times as fast on a CPU as its tanh form."""
    return nn.Sequential(nn.Linear(width, factor * width), nn.GELU(), nn.Linear(factor * width, width))


class SelfAttention(nn.Module):
    """Multi-head self-attention with QK-norm; tokens are rotated by `turns`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self, x: Tensor, turns: Tensor | None = None, bias: Tensor | None = None, attend: Attend = attend
    ) -> Tensor:
        """`x` `(B, N, D)` → `(B, N, D)`; `attend` may keep clips that share a sequence apart."""
        B, N, D = x.shape
        qkv = self.qkv(x).view(B, N, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (3, B, heads, N, hd)
        qk, v = qkv[:2], qkv[2]
        qk = F.rms_norm(qk, qk.shape[-1:]).to(v.dtype)  # (2, B, heads, N, hd)
        if turns is not None:
            qk = rotate(qk, turns)  # (2, B, heads, N, hd)
        y = attend(qk[0], qk[1], v, bias)  # (B, heads, N, hd)
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
        self,
        x: Tensor,
        c: Tensor,
        turns: Tensor | None = None,
        bias: Tensor | None = None,
        *,
        attend: Attend = attend,
        owner: Tensor | None = None,
    ) -> Tensor:
        """`x` `(B, N, D)`, condition `c` `(B, D)` → `(B, N, D)`.

        With `owner` `(N,)` the one row of `x` holds several clips: token n's condition is `c[owner[n]]`.
        """
        m = self.modulation(F.silu(c))  # (B, 6 D)
        m = m[:, None] if owner is None else m.index_select(0, owner)[None]  # (B, 1 or N, 6 D)
        shift, scale, gate, shift2, scale2, gate2 = m.chunk(6, -1)  # six of (B, 1 or N, D)
        y = self.attention(modulate(x, shift, scale), turns, bias, attend)  # (B, N, D)
        x = torch.addcmul(x, gate, y)  # (B, N, D)
        return torch.addcmul(x, gate2, self.mlp(modulate(x, shift2, scale2)))  # (B, N, D)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm of `x` `(B, N, D)`, scaled by 1 + `scale` and shifted, both `(B, 1 or N, D)`."""
    return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:]), 1 + scale)  # (B, N, D)
