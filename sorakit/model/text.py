"""Reads a prompt: token ids in, one vector a token and one for the whole prompt out.

A small bidirectional transformer over the closed vocabulary of `sorakit.world.caption`, trained together
with the video model. An empty prompt (all padding) gives the learned null vector of classifier-free guidance.
"""

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from sorakit.model.block import SelfAttention, mlp

__all__ = ["TextEncoder"]


class _TextBlock(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.mlp = mlp(width, 2)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x), bias=bias)  # (B, L, D)
        out: Tensor = x + self.mlp(self.norm2(x))  # (B, L, D)
        return out


class TextEncoder(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers' own mixins disagree
    """Prompt encoder; `vocabulary` tokens, at most `length` of them, `width` features."""

    @register_to_config
    def __init__(
        self, vocabulary: int = 44, length: int = 16, width: int = 128, depth: int = 2, heads: int = 4
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = length
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.randn(length, width) * 0.02)
        self.null = nn.Parameter(torch.randn(width) * 0.02)
        self.blocks = nn.ModuleList([_TextBlock(width, heads) for _ in range(depth)])
        nn.init.normal_(self.embedding.weight, std=0.3)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """`tokens` `(B, L)` → token vectors `(B, L, D)` and their mean `(B, D)`."""
        pad = tokens == 0  # (B, L)
        empty = pad.all(1)  # (B,)
        bias = torch.zeros_like(pad, dtype=self.position.dtype).masked_fill(pad & ~empty[:, None], -1e4)
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]  # (B, L, D)
        for block in self.blocks:
            x = block(x, bias[:, None, None])  # (B, L, D)
        x = torch.where(empty[:, None, None], self.null.to(x.dtype), x)  # (B, L, D)
        weight = (~pad | empty[:, None]).to(x.dtype)[..., None]  # (B, L, 1)
        return x, (x * weight).sum(1) / weight.sum(1)
