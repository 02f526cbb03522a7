"""The loss of one batch: clips noised and, in part, given; the network's error on the rest.

In: the two networks and a batch of the sprite world. Out: a scalar. Three things beside plain rectified flow
make a small network obey words, since the world's ground truth is free:

* sprites weigh more than the background;
* *decoys*: the noisy input shows other shapes or exchanged colours than caption and target, so that they can
  only come from the words (at low noise a network otherwise learns to read the picture and ignore the text);
* a *probe* in mid-network that must say which words each patch shows (representation alignment as in Yu et
  al. 2024, arXiv:2410.06940, with the truth in place of another network's features).

`draw` makes all random choices, on the CPU, so that they are the same on any device; `Pair.forward` has none.
Pixel-sized tensors are worked on in place: each further copy costs a small network as much as a block.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sorakit.diffusion.flow import add_noise, flow_loss, sample_sigma, to_clean
from sorakit.model.dit import VideoDiT
from sorakit.model.text import TextEncoder
from sorakit.train.codec import Codec
from sorakit.train.recipe import Recipe
from sorakit.world.dataset import MAKEUP, Batch

__all__ = ["Drawn", "Pair", "batch_loss", "draw"]


class Drawn(NamedTuple):
    """One batch for the networks: `noisy`, `clean` `(B, C, T, H, W)`, `sigma` `(B,)`, `tokens` `(B, L)`.

    `given` `(B, T)` of 0 and 1; `weight` `(B, 1, T, H, W)` of an error, mean 1; `makeup` `(B, N, MAKEUP)`;
    `told` `(B,)`: 1 where the text was kept.
    """

    noisy: Tensor
    clean: Tensor
    sigma: Tensor
    tokens: Tensor
    given: Tensor
    weight: Tensor
    makeup: Tensor
    told: Tensor


class Pair(nn.Module):
    """The two networks that train together, and the probe that is thrown away after."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.dit = VideoDiT(**recipe.model)
        self.text = TextEncoder(length=recipe.length, width=self.dit.text_width, slots=recipe.slots)
        self.probe = nn.Linear(self.dit.width, MAKEUP) if recipe.probe else None
        if self.probe is not None:  # a random one would shake networks that begin from a model's weights
            nn.init.zeros_(self.probe.weight)

    @property
    def tap(self) -> int | None:
        """After how many blocks the probe looks."""
        return max(1, 2 * self.dit.depth // 3) if self.probe is not None else None

    @property
    def words(self) -> int:
        """Text vectors that join the video's patches in one sequence."""
        return 0 if self.dit.text_tokens is None else self.recipe.slots or self.recipe.length

    def forward(self, *tensors: Tensor) -> Tensor:
        """The loss of what `draw` drew, a scalar; tensors one by one, so that any wrapper passes them on."""
        d = Drawn(*tensors)
        dtype = self.dit.embed.weight.dtype
        given = d.given.to(dtype) if self.dit.given is not None else None
        text = self.text(d.tokens)
        out, tapped = self.dit.run(d.noisy.to(dtype), 1000 * d.sigma, *text, given, tap=self.tap)
        x = to_clean(self.dit.prediction, out.float(), d.noisy, d.sigma)  # (B, C, T, H, W)
        loss = flow_loss(x, d.clean, d.sigma, d.weight, self.recipe.cap)
        if self.recipe.flicker:
            loss = loss + self.recipe.flicker * _jumps(x, d, self.recipe.cap)
        if self.probe is not None and tapped is not None:
            miss = self.probe(tapped).float() - d.makeup  # (B, N, MAKEUP)
            each = miss.square().sum(-1).mean(1)  # (B,)
            loss = loss + self.recipe.probe * (each * d.told).sum() / d.told.sum().clamp(min=1)
        return loss


def _jumps(x: Tensor, d: Drawn, cap: float) -> Tensor:
    """`flow_loss` of the steps from frame to frame of `x` `(B, C, T, H, W)`, given frames in their places."""
    shown = torch.where(d.given[:, None, :, None, None].bool(), d.clean, x)  # (B, C, T, H, W)
    weight = torch.maximum(d.weight[:, :, 1:], d.weight[:, :, :-1])  # (B, 1, T - 1, H, W)
    return flow_loss(shown.diff(dim=2), d.clean.diff(dim=2), d.sigma, weight, cap)


def batch_loss(pair: Pair, batch: Batch, recipe: Recipe, generator: torch.Generator, codec: Codec) -> Tensor:
    """Loss of `pair` on `batch`; all randomness comes from `generator`, in the same order on any device."""
    device = next(pair.parameters()).device
    loss: Tensor = pair(*draw(batch, recipe, generator, codec, device))
    return loss


@torch.no_grad()
def draw(
    batch: Batch, recipe: Recipe, generator: torch.Generator, codec: Codec, device: torch.device
) -> Drawn:
    """Noise levels, noise and dropped texts for `batch`, from `generator`; tensors on `device`."""
    B = len(batch.clips)
    sigma = sample_sigma(B, *recipe.sigma, generator)  # (B,)
    keep = torch.rand(B, generator=generator) >= recipe.text_drop  # (B,)
    clean = codec.encode(batch.clips)  # (B, C, T, H, W)
    noise = torch.randn(clean.shape, generator=generator).to(device)
    noisy = add_noise(clean, noise, sigma.to(device))
    misled = ((sigma > recipe.decoy_from) & keep).numpy() & (batch.decoys != batch.clips).any((1, 2, 3, 4))
    if misled.any():
        rows = torch.from_numpy(np.flatnonzero(misled))
        noisy[rows.to(device)] = add_noise(
            codec.encode(batch.decoys[misled]), noise[rows.to(device)], sigma[rows].to(device)
        )
    given = torch.from_numpy(batch.given).view(B, clean.shape[2], -1).all(-1)  # (B, T), of latents: all
    shown = given.to(device)[:, None, :, None, None].expand_as(clean[:, :1])  # (B, 1, T, H, W)
    if given.any():
        noisy = torch.where(shown, clean, noisy)
    weight = _weight(batch, recipe, clean).masked_fill_(shown, 0)  # (B, 1, T, H, W)
    weight = weight.div_(weight.mean().clamp(min=1e-6))
    tokens = torch.where(keep[:, None], torch.from_numpy(batch.tokens), 0)  # (B, L)
    makeup = torch.from_numpy(batch.makeup)
    return Drawn(
        noisy, clean, sigma.to(device), tokens.to(device), given.float().to(device), weight,
        makeup.to(device), keep.float().to(device),
    )  # fmt: skip


def _weight(batch: Batch, recipe: Recipe, like: Tensor) -> Tensor:
    """How much each cell of `like` counts, `(B, 1, T, H, W)`: sprites and textures more than the plain."""
    mask = _pooled(batch, like)  # (B, 1, T, H, W)
    textured = torch.from_numpy(batch.textured).view(len(mask), like.shape[2], -1).mean(-1)  # (B, T)
    bare = textured.to(like.device)[:, None, :, None, None] * (1 - mask)  # (B, 1, T, H, W)
    return 1 + recipe.object_weight * mask + recipe.texture_weight * bare


def _pooled(batch: Batch, like: Tensor) -> Tensor:
    """The sprites' mask at the size of `like` `(B, C, T, H, W)`: the most of each cell, `(B, 1, T, H, W)`."""
    masks = torch.from_numpy(batch.masks)[:, None].to(like.device)
    if masks.shape[2:] != like.shape[2:]:
        masks = F.adaptive_max_pool3d(masks, like.shape[2:])
    return masks
