"""The loss of one batch: clips noised and, in part, given; the network's error on the rest.

In: the two networks and a batch of the sprite world. Out: a scalar. Three things beside plain rectified flow
make a small network obey words, since the world's ground truth is free:

* sprites weigh more than the background;
* *decoys*: the noisy input shows other shapes or exchanged colours than caption and target, so that they can
  only come from the words (at low noise a network otherwise learns to read the picture and ignore the text);
* a *probe* in mid-network that must say which words each patch shows (representation alignment as in Yu et
  al. 2024, arXiv:2410.06940, with the truth in place of another network's features).
"""

import numpy as np
import torch
from torch import Tensor, nn

from sorakit.diffusion.flow import add_noise, flow_loss, sample_sigma, to_clean
from sorakit.model.dit import VideoDiT
from sorakit.model.text import TextEncoder
from sorakit.train.codec import Codec
from sorakit.train.recipe import Recipe
from sorakit.world.dataset import MAKEUP, Batch

__all__ = ["Pair", "batch_loss"]


class Pair(nn.Module):
    """The two networks that train together, and the probe that is thrown away after."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.dit = VideoDiT(**recipe.model)
        self.text = TextEncoder(length=recipe.length, width=self.dit.text_width, slots=recipe.slots)
        self.probe = nn.Linear(self.dit.width, MAKEUP) if recipe.probe else None

    @property
    def tap(self) -> int | None:
        """After how many blocks the probe looks."""
        return max(1, 2 * self.dit.depth // 3) if self.probe is not None else None


def batch_loss(pair: Pair, batch: Batch, recipe: Recipe, generator: torch.Generator, codec: Codec) -> Tensor:
    """Loss of `pair` on `batch`; all randomness comes from `generator`, in the same order on any device."""
    device = next(pair.parameters()).device
    B = len(batch.clips)
    sigma = sample_sigma(B, *recipe.sigma, generator)  # (B,)
    keep = torch.rand(B, generator=generator) >= recipe.text_drop  # (B,)
    misled = ((sigma > recipe.decoy_from) & keep).numpy()[:, None, None, None, None]
    clean = codec.encode(batch.clips)  # (B, C, T, H, W)
    shown = codec.encode(np.where(misled, batch.decoys, batch.clips))  # (B, C, T, H, W)
    noise = torch.randn(clean.shape, generator=generator).to(device)
    sigma = sigma.to(device)
    given = _given(batch, clean.shape[2], device)  # (B, T)
    hole = 1 - given[:, None, :, None, None]  # (B, 1, T, 1, 1)
    noisy = torch.lerp(clean, add_noise(shown, noise, sigma), hole)  # (B, C, T, H, W)
    tokens = torch.where(keep[:, None], torch.from_numpy(batch.tokens), 0).to(device)  # (B, L)
    dtype = pair.dit.embed.weight.dtype
    told = given.to(dtype) if pair.dit.given is not None else None
    out, tapped = pair.dit.run(noisy.to(dtype), 1000 * sigma, *pair.text(tokens), told, tap=pair.tap)
    x = to_clean(pair.dit.prediction, out.float(), noisy, sigma)  # (B, C, T, H, W)
    weight = (1 + recipe.object_weight * _pooled(batch, clean)) * hole  # (B, 1, T, H, W)
    loss = flow_loss(x, clean, sigma, weight / weight.mean().clamp(min=1e-6), recipe.cap)
    if pair.probe is not None and tapped is not None:
        makeup = torch.from_numpy(batch.makeup).to(device)  # (B, N, MAKEUP)
        miss = (pair.probe(tapped).float() - makeup)[keep.to(device)]  # (K, N, MAKEUP)
        loss = loss + recipe.probe * miss.square().sum(-1).mean()
    return loss


def _given(batch: Batch, frames: int, device: torch.device) -> Tensor:
    """`(B, T)` of 0 and 1; a frame of latents is given when all its pictures are."""
    given = torch.from_numpy(batch.given).view(len(batch.given), frames, -1).all(-1)
    return given.float().to(device)


def _pooled(batch: Batch, like: Tensor) -> Tensor:
    """The sprites' mask at the size of `like` `(B, C, T, H, W)`: the most of each cell, `(B, 1, T, H, W)`."""
    masks = torch.from_numpy(batch.masks)[:, None].to(like.device)
    if masks.shape[2:] != like.shape[2:]:
        masks = nn.functional.adaptive_max_pool3d(masks, like.shape[2:])
    return masks
