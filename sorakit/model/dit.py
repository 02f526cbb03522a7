"""The video diffusion transformer: noisy clip, noise level and prompt in, prediction out.

DiT (arXiv:2212.09748) over space-time patches as in Sora's report (OpenAI 2024): full attention over all
patches, 3-D RoPE plus fractional coordinates so that any length and size runs, adaLN-zero from the noise
level and the pooled prompt; prompt tokens may also join the sequence (MM-DiT's idea, arXiv:2403.03206).
"""

import math

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from sorakit.diffusion.flow import prediction_type
from sorakit.errors import UsageError
from sorakit.model.adapter import AdapterMixin
from sorakit.model.block import Block, modulate
from sorakit.model.keep import KeepGate
from sorakit.model.patch import patchify, unpatchify
from sorakit.model.rope import FRACTIONAL, fractional, rotary, turns
from sorakit.model.whole import WholeMixin

__all__ = ["TIME_FEATURES", "VideoDiT", "forward_flops", "waves"]

TIME_FEATURES = 256
"""Features of `waves`."""


class VideoDiT(WholeMixin, ModelMixin, ConfigMixin, AdapterMixin):  # type: ignore[misc]  # diffusers' own mixins disagree
    """Video DiT.

    `prediction` says what the output means (see `sorakit.diffusion.flow`): "x" the clean clip, "v" the
    velocity noise − data, "eps" the noise. `mean` and `std` map pixels in [-1, 1] to the model's scale.
    `width` is a multiple of twice `heads`, or `UsageError` is raised.
    `given_frames`: whether it can be shown frames that are given clean (see `sorakit.world.frames`), and
    `keep_given` whether it says how much of them stays, pixel by pixel (see `sorakit.model.keep`).
    """

    @register_to_config
    def __init__(
        self,
        *,
        channels: int = 3,
        patch: tuple[int, int, int] = (4, 8, 8),
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        text_width: int = 128,
        joint_text: bool = False,
        given_frames: bool = False,
        keep_given: bool = False,
        prediction: str = "x",
        mean: float = -0.55,
        std: float = 0.5,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if heads < 1 or width < 1 or width % (2 * heads):
            raise UsageError(f"`width` must be a multiple of twice `heads`, got {width} and {heads} heads")
        size = channels * math.prod(patch)
        self.patch: tuple[int, int, int] = (patch[0], patch[1], patch[2])
        self.channels, self.width, self.depth, self.text_width = channels, width, depth, text_width
        self.head_dim = width // heads
        self.prediction = prediction_type(prediction)
        self.mean, self.std = mean, std
        self.embed = nn.Linear(size, width)
        self.place = nn.Linear(FRACTIONAL, width)
        self.time = nn.Sequential(nn.Linear(TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.text = nn.Linear(text_width, width)
        self.text_tokens = nn.Linear(text_width, width) if joint_text else None
        self.given = nn.Linear(patch[0], width, bias=False) if given_frames else None
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.modulation = nn.Linear(width, 2 * width)
        self.head = nn.Linear(width, size)
        self.keep = KeepGate(width, self.patch) if keep_given else None
        if keep_given and not (given_frames and prediction == "x"):
            raise UsageError('`keep_given` needs `given_frames` and `prediction` "x"')
        for layer in (self.place, self.modulation, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
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
        """`hidden_states` `(B, C, T, H, W)`, `timestep` 1000 σ `(B,)`, text as from `TextEncoder`.

        `given` `(B, T)`: 1 where `hidden_states` holds a given frame instead of a noisy one.
        Returns `(B, C, T, H, W)`. Raises `UsageError` when a side is no multiple of the patch.
        """
        out, _ = self.run(hidden_states, timestep, tokens, pooled, given)
        return out

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
        """As `forward`, and what the first `tap` blocks made of the patches, `(B, N, D)`."""
        T, H, W = hidden_states.shape[2:]
        pt, ph, pw = self.patch
        grid = (T // pt, H // ph, W // pw)
        x = self.embed(patchify(hidden_states, self.patch))  # (B, N, D)
        x = x + self.place(fractional(grid, x.device).to(x.dtype))  # (B, N, D)
        if given is not None:
            x = x + self._told(given.to(x.dtype), grid)  # (B, N, D)
        c = self.time(waves(timestep).to(x.dtype)) + self.text(pooled)  # (B, D)
        angles = rotary(grid, self.head_dim, x.device)  # (N, hd / 2)
        words = 0
        if self.text_tokens is not None:
            words = tokens.shape[1]
            x = torch.cat([self.text_tokens(tokens).to(x.dtype), x], 1)  # (B, L + N, D)
            angles = torch.cat([angles.new_zeros(words, angles.shape[1]), angles])  # (L + N, hd / 2)
        turned, tapped = turns(angles, x.dtype), None  # (L + N, 2 hd)
        for i, block in enumerate(self.blocks, 1):
            x = block(x, c, turned)  # (B, L + N, D)
            tapped = x[:, words:] if i == tap else tapped  # (B, N, D)
        shift, scale = self.modulation(F.silu(c))[:, None].chunk(2, -1)  # (B, 1, D)
        y = modulate(x[:, words:], shift, scale)  # (B, N, D)
        drawn = self.head(y)  # (B, N, C·p)
        if self.keep is not None and given is not None:
            drawn = self.keep(y, drawn, *self.keep.patches(hidden_states, given))  # (B, N, C·p)
        return unpatchify(drawn, grid, self.patch), tapped  # (B, C, T, H, W)

    def _told(self, given: Tensor, grid: tuple[int, int, int]) -> Tensor:
        """What each patch is told of which of its frames are given: `(B, T)` → `(B, N, D)`."""
        if self.given is None:
            raise UsageError("this model was not trained to be given frames; use one with `given_frames`")
        told: Tensor = self.given(given.reshape(len(given), grid[0], -1))  # (B, t, D)
        return told.repeat_interleave(grid[1] * grid[2], 1)


def waves(timestep: Tensor) -> Tensor:
    """Sines and cosines `(B, 256)` of the noise level."""
    half = TIME_FEATURES // 2
    frequency = torch.exp(-math.log(10_000) * torch.arange(half, device=timestep.device) / half)
    angle = timestep.float()[:, None] * frequency  # (B, 128)
    return torch.cat([angle.cos(), angle.sin()], -1)


def forward_flops(model: VideoDiT, frames: int, height: int, width: int, words: int = 0) -> int:
    """Matrix-multiply operations (2 a multiply-add) of one clip's forward pass; training costs 3 ×.

    `words`: text vectors that join the sequence.
    """
    pt, ph, pw = model.patch
    n = (frames // pt) * (height // ph) * (width // pw)
    m = n + words
    d, depth, size = model.width, model.depth, model.embed.in_features
    out = size + (math.prod(model.patch) if model.keep is not None else 0)
    return int(2 * (depth * (12 * m * d * d + 2 * m * m * d + 6 * d * d) + n * (size + out) * d))
