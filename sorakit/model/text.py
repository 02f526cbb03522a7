"""Reads a prompt: token ids in, a few vectors for the sequence and one for the whole prompt out.

A small bidirectional transformer over the closed vocabulary of `sorakit.world.caption`, trained together
with the video model. An empty prompt (all padding) gives the learned null vector of classifier-free guidance.
The video model need not carry all words along: learned queries gather them into a few slots (the resampler
of Flamingo, Alayrac et al. 2022, arXiv:2204.14198), so that each thing named can have a vector of its own.
"""

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from sorakit.errors import UsageError
from sorakit.model.block import SelfAttention, attend, mlp
from sorakit.model.whole import WholeMixin

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


class _Slots(nn.Module):
    """`count` learned queries that gather the tokens; a residual MLP on what each found."""

    def __init__(self, count: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.queries = nn.Parameter(torch.randn(count, width) * 0.5)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.keys = nn.Linear(width, 2 * width, bias=False)
        self.mlp = mlp(width, 2)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """`x` `(B, L, D)`, `bias` `(B, 1, 1, L)` → `(B, S, D)`."""
        B, L, D = x.shape
        q = self.query(self.queries).view(1, -1, self.heads, D // self.heads).transpose(1, 2)  # (1, h, S, hd)
        k, v = self.keys(self.norm1(x)).view(B, L, 2, self.heads, -1).permute(2, 0, 3, 1, 4)  # (B, h, L, hd)
        y = attend(q.expand(B, -1, -1, -1), k, v, bias).transpose(1, 2).reshape(B, -1, D)  # (B, S, D)
        y = y + self.queries  # (B, S, D)
        out: Tensor = y + self.mlp(self.norm2(y))  # (B, S, D)
        return out


class TextEncoder(WholeMixin, ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers' own mixins disagree
    """Prompt encoder; `vocabulary` tokens, at most `length` of them, `width` features, `slots` vectors out.

    With `slots` 0 each token keeps its own vector. Raises `UsageError` unless `heads` divide `width`.
    """

    @register_to_config
    def __init__(
        self,
        *,
        vocabulary: int = 44,
        length: int = 16,
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        slots: int = 0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if heads < 1 or width < 1 or width % heads:
            raise UsageError(f"text `width` must be a multiple of its {heads} heads, got {width}")
        self.length = length
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.randn(length, width) * 0.02)
        self.null = nn.Parameter(torch.randn(width) * 0.02)
        self.blocks = nn.ModuleList([_TextBlock(width, heads) for _ in range(depth)])
        self.gather = _Slots(slots, width, heads) if slots else None
        nn.init.normal_(self.embedding.weight, std=0.3)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """`tokens` `(B, L)` → vectors of tokens `(B, L, D)` or slots `(B, S, D)`, and a mean `(B, D)`."""
        pad = tokens == 0  # (B, L)
        empty = pad.all(1)  # (B,)
        bias = torch.zeros_like(pad, dtype=self.position.dtype).masked_fill(pad & ~empty[:, None], -1e4)
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]  # (B, L, D)
        bias = bias[:, None, None]  # (B, 1, 1, L)
        for block in self.blocks:
            x = block(x, bias)  # (B, L, D)
        x = torch.where(empty[:, None, None], self.null.to(x.dtype), x)  # (B, L, D)
        weight = (~pad | empty[:, None]).to(x.dtype)[..., None]  # (B, L, 1)
        pooled = (x * weight).sum(1) / weight.sum(1)  # (B, D)
        return (x if self.gather is None else self.gather(x, bias)), pooled
