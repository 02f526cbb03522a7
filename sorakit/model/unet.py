"""A 3-D U-Net for video: the convolutional rival of the DiT, called as `VideoDiT` is.

Video Diffusion Models (Ho et al. 2022, arXiv:2204.03458): convolutions factorised into space and time,
attention at the lowest resolution alone, noise level and prompt by adaptive group norm (Dhariwal & Nichol
2021, arXiv:2105.05233). Frames are first folded into channels, as many as a patch of the DiT is long: at the
DiT's cost there is nothing left for full resolution. Features are `(B, t, h, w, C)`, so every convolution is
a 2-D one over channels-last pictures, which a CPU likes.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from sorakit.diffusion.flow import prediction_type
from sorakit.errors import UsageError
from sorakit.model.block import SelfAttention
from sorakit.model.conv import Conv, fold, unfold
from sorakit.model.dit import TIME_FEATURES, waves
from sorakit.model.patch import patchify, unpatchify
from sorakit.model.rope import rotary, turns
from sorakit.model.whole import WholeMixin

__all__ = ["VideoUNet", "unet_flops"]

_GROUPS = 4
Size = tuple[int, int, int]


class TimeConv(nn.Module):
    """A convolution over three neighbouring times, nothing at the start; its kernel a matrix, as `Conv`'s."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, 3 * width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """`(B, t, h, w, C)` → the same shape."""
        kernel = self.weight.view(len(self.bias), 3, 1, -1).permute(0, 3, 1, 2)  # (C, C, 3, 1)
        pictures = x.flatten(2, 3).permute(0, 3, 1, 2)  # (B, C, t, h·w)
        y = F.conv2d(pictures, kernel, self.bias, padding=(1, 0))  # (B, C, t, h·w)
        return y.permute(0, 2, 3, 1).view_as(x)  # (B, t, h, w, C)


class ResBlock(nn.Module):
    """A convolution in space and one in time beside the identity, each after an adaptive norm."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.space, self.time = Conv(width, width), TimeConv(width)
        self.modulation = _zero(nn.Linear(condition, 4 * width))

    def forward(self, x: Tensor, c: Tensor, words: Tensor | None) -> Tensor:
        """`x` `(B, t, h, w, C)`, condition `c` `(B, D)` → the shape of `x`; `words` are for attention."""
        scale, shift, scale2, shift2 = self.modulation(c)[:, None, None, None].chunk(4, -1)  # (B, 1, 1, 1, C)
        y = F.silu(_adapted(x, scale, shift))  # (B, t, h, w, C)
        y = self.space(y.flatten(0, 1)).view_as(x)  # (B, t, h, w, C)
        out: Tensor = x + self.time(F.silu(_adapted(y, scale2, shift2)))  # (B, t, h, w, C)
        return out


class Attention(nn.Module):
    """Every cell looks at all cells, of any time, and at the words; nothing at the start."""

    def __init__(self, width: int, condition: int, heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads)
        self.modulation = _zero(nn.Linear(condition, 2 * width))
        nn.init.zeros_(self.attention.out.weight)

    def forward(self, x: Tensor, c: Tensor, words: Tensor | None) -> Tensor:
        """`x` `(B, t, h, w, C)`, `c` `(B, D)`, `words` `(B, L, C)` → the shape of `x`."""
        scale, shift = self.modulation(c)[:, None, None, None].chunk(2, -1)  # two of (B, 1, 1, 1, C)
        y = _adapted(x, scale, shift).flatten(1, 3)  # (B, N, C)
        t, h, w, C = x.shape[1:]
        angles = rotary((t, h, w), C // self.attention.heads, x.device)  # (N, hd / 2)
        count = 0
        if words is not None:
            count = words.shape[1]
            y = torch.cat([words, y], 1)  # (B, L + N, C)
            angles = torch.cat([angles.new_zeros(count, angles.shape[1]), angles])  # (L + N, hd / 2)
        out: Tensor = x + self.attention(y, turns(angles, y.dtype))[:, count:].view_as(x)  # (B, t, h, w, C)
        return out


class Level(nn.Module):
    """Blocks at one resolution."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, c: Tensor, words: Tensor | None) -> Tensor:
        """`(B, t, h, w, C)` → the same shape."""
        for block in self.blocks:
            x = block(x, c, words)  # (B, t, h, w, C)
        return x


class VideoUNet(WholeMixin, ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers' own mixins disagree
    """Video U-Net; by default it costs what the default `VideoDiT` does.

    `patch`: frames and pixels a side of one cell at the lowest resolution; every side must be a multiple.
    `widths`: features from the highest resolution to the lowest, each half as fine in space as the last.
    The others are `VideoDiT`'s; `width` and `depth` are of the lowest resolution, where a probe may look.
    """

    @register_to_config
    def __init__(
        self,
        *,
        channels: int = 3,
        patch: tuple[int, int, int] = (4, 8, 8),
        widths: tuple[int, ...] = (56, 104),
        blocks: int = 2,
        heads: int = 4,
        text_width: int = 128,
        joint_text: bool = False,
        given_frames: bool = False,
        prediction: str = "x",
        mean: float = -0.55,
        std: float = 0.5,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.patch: Size = (patch[0], patch[1], patch[2])
        self.stem = _stem(self.patch, tuple(widths))
        size, width = channels * math.prod(self.stem), widths[-1]
        self.channels, self.width, self.depth, self.text_width = channels, width, blocks, text_width
        self.prediction = prediction_type(prediction)
        self.mean, self.std = mean, std
        self.embed = nn.Linear(size, widths[0])
        self.time = nn.Sequential(nn.Linear(TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.text = nn.Linear(text_width, width)
        self.text_tokens = nn.Linear(text_width, width) if joint_text else None
        self.given = nn.Linear(patch[0], widths[0], bias=False) if given_frames else None
        steps = list(pairwise(widths))

        def level(features: int) -> Level:
            return Level(*[ResBlock(features, width) for _ in range(blocks)])

        self.down = nn.ModuleList([level(w) for w in widths[:-1]])
        self.shrink = nn.ModuleList([nn.Linear(4 * a, b) for a, b in steps])
        around = [ResBlock(width, width) for _ in range(blocks)]
        self.middle = Level(*around[: blocks // 2], Attention(width, width, heads), *around[blocks // 2 :])
        self.grow = nn.ModuleList([nn.Linear(b, 4 * a) for a, b in steps])
        self.merge = nn.ModuleList([nn.Linear(2 * w, w) for w in widths[:-1]])
        self.up = nn.ModuleList([level(w) for w in widths[:-1]])
        self.modulation = _zero(nn.Linear(width, 2 * widths[0]))
        self.head = _zero(nn.Linear(widths[0], size))
        if self.given is not None:
            nn.init.zeros_(self.given.weight)

    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        tokens: Tensor,
        pooled: Tensor,
        given: Tensor | None = None,
    ) -> Tensor:
        """See `VideoDiT.forward`: `(B, C, T, H, W)` → the same shape.

        >>> model = VideoUNet(widths=(8, 16), text_width=8)
        >>> model(torch.zeros(1, 3, 8, 16, 24), torch.ones(1), torch.zeros(1, 4, 8), torch.zeros(1, 8)).shape
        torch.Size([1, 3, 8, 16, 24])
        """
        return self.run(hidden_states, timestep, tokens, pooled, given)[0]

    def run(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        tokens: Tensor,
        pooled: Tensor,
        given: Tensor | None = None,
        *,
        tap: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """As `forward`; with any `tap` also the cells of the lowest resolution, `(B, N, D)`, N as patches."""
        B, _, T, H, W = hidden_states.shape
        _check((T, H, W), self.patch)
        st, sh, sw = self.stem
        grid = (T // st, H // sh, W // sw)
        x = self.embed(patchify(hidden_states, self.stem)).view(B, *grid, -1)  # (B, t, h, w, C)
        if given is not None:
            x = x + self._told(given.to(x.dtype))  # (B, t, h, w, C)
        c = F.silu(self.time(waves(timestep).to(x.dtype)) + self.text(pooled))  # (B, D)
        words = None if self.text_tokens is None else self.text_tokens(tokens).to(x.dtype)  # (B, L, D)
        skips = []
        for level, shrink in zip(self.down, self.shrink, strict=True):
            skips.append(level(x, c, words))  # (B, t, h, w, C)
            x = _clips(shrink(fold(skips[-1].flatten(0, 1), 2)), B)  # (B, t, h/2, w/2, C')
        x = self.middle(x, c, words)  # (B, t, h', w', D)
        tapped = None if tap is None else x.flatten(1, 3)  # (B, N, D)
        for i in reversed(range(len(self.up))):
            x = _clips(unfold(self.grow[i](x).flatten(0, 1), 2), B)  # (B, t, 2h', 2w', C)
            x = self.merge[i](torch.cat([x, skips[i]], -1))  # (B, t, 2h', 2w', C)
            x = self.up[i](x, c, words)  # (B, t, 2h', 2w', C)
        scale, shift = self.modulation(c)[:, None, None, None].chunk(2, -1)  # two of (B, 1, 1, 1, C)
        y = self.head(F.silu(_adapted(x, scale, shift))).flatten(1, 3)  # (B, N, size)
        return unpatchify(y, grid, self.stem), tapped  # (B, C, T, H, W)

    def _told(self, given: Tensor) -> Tensor:
        """What each cell is told of which of its frames are given: `(B, T)` → `(B, t, 1, 1, C)`."""
        if self.given is None:
            raise UsageError("this model was not trained to be given frames; use one with `given_frames`")
        told: Tensor = self.given(given.reshape(len(given), -1, self.stem[0]))  # (B, t, C)
        return told[:, :, None, None]


def unet_flops(model: VideoUNet, frames: int, height: int, width: int, words: int = 0) -> int:
    """Operations (2 a multiply-add) of one clip's forward pass; training costs 3 ×. See `forward_flops`."""
    st, sh, sw = model.stem
    fine = (frames // st) * (height // sh) * (width // sw)
    total: int = fine * _matrices(model.embed, model.head) + _matrices(model.modulation)
    for i, parts in enumerate(zip(model.down, model.up, model.merge, model.shrink, model.grow, strict=True)):
        down, up, merge, shrink, grow = parts
        here = fine // 4**i
        total += here * _matrices(down, up, merge) + here // 4 * _matrices(shrink, grow)
        total += _modulations(down, up)
    coarse = fine // 4 ** len(model.down)
    d, m = model.width, coarse + words
    total += coarse * _matrices(model.middle) + words * 4 * d * d + 2 * m * m * d + _modulations(model.middle)
    return 2 * total


def _stem(patch: Size, widths: tuple[int, ...]) -> Size:
    """Frames and pixels a side of one cell at the highest resolution."""
    halvings = 2 ** (len(widths) - 1)
    if not widths or any(side % halvings for side in patch[1:]) or any(w % _GROUPS for w in widths):
        raise UsageError(
            f"`patch` {patch} must halve in space {len(widths) - 1} times, and `widths` {widths} be some "
            f"multiples of {_GROUPS}"
        )
    return patch[0], patch[1] // halvings, patch[2] // halvings


def _check(sides: Size, patch: Size) -> None:
    if any(side % p for side, p in zip(sides, patch, strict=True)):
        raise UsageError(f"clip sides (T, H, W) must be multiples of {patch}, got {sides}")


def _clips(pictures: Tensor, count: int) -> Tensor:
    """`(B·t, h, w, C)` → `(B, t, h, w, C)`."""
    return pictures.view(count, -1, *pictures.shape[1:])


def _adapted(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Group norm of `x` `(B, t, h, w, C)` over a clip, scaled by 1 + `scale`, shifted by `shift`."""
    pictures = x.flatten(1, 2).permute(0, 3, 1, 2)  # (B, C, t·h, w)
    y = F.group_norm(pictures, _GROUPS).permute(0, 2, 3, 1).view_as(x)  # (B, t, h, w, C)
    return torch.addcmul(shift, y, 1 + scale)  # (B, t, h, w, C)


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _matrices(*modules: nn.Module) -> int:
    """Multiply-adds a position, without what is computed once a clip."""
    named = (pair for m in modules for pair in m.named_parameters())
    return sum(p.numel() for n, p in named if p.ndim == 2 and ".modulation." not in n)


def _modulations(*modules: nn.Module) -> int:
    """Multiply-adds of what is computed once a clip."""
    named = (pair for m in modules for pair in m.named_parameters())
    return sum(p.numel() for n, p in named if p.ndim == 2 and ".modulation." in n)
