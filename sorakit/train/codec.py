"""What a video model works on: scaled pixels, or the latents of the packaged autoencoder.

Clips `uint8 (B, T, H, W, 3)` in, `float32 (B, C, T', H', W')` of about unit scale out, and back.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from sorakit.errors import ModelError
from sorakit.model.dit import VideoDiT
from sorakit.model.vae import VideoVAE
from sorakit.types import Rgb
from sorakit.video.convert import array_to_rgb

__all__ = ["Codec", "Latents", "Pixels", "open_codec"]

_WEIGHTS = Path(__file__).parent.parent / "weights"


class Codec(Protocol):
    """Clips to what the model works on, and back."""

    def encode(self, clips: Rgb) -> Tensor:
        """`uint8 (B, T, H, W, 3)` → `float32 (B, C, T', H', W')`."""

    def decode(self, z: Tensor) -> Rgb:
        """`(B, C, T', H', W')` → `uint8 (B, T, H, W, 3)`."""

    def shape(self, clip: tuple[int, int, int]) -> tuple[int, int, int]:
        """(T, H, W) of a clip → (T', H', W')."""


class Pixels:
    """Pixels, shifted and scaled."""

    def __init__(self, mean: float, std: float, device: torch.device) -> None:
        self.mean, self.std, self.device = mean, std, device

    def encode(self, clips: Rgb) -> Tensor:
        """See `Codec`."""
        x = torch.from_numpy(clips).to(self.device).permute(0, 4, 1, 2, 3).contiguous().float()
        return x.mul_(1 / (127.5 * self.std)).sub_((1 + self.mean) / self.std)

    def decode(self, z: Tensor) -> Rgb:
        """See `Codec`."""
        return _to_rgb(z.float() * self.std + self.mean)

    def shape(self, clip: tuple[int, int, int]) -> tuple[int, int, int]:
        """See `Codec`."""
        return clip


class Latents:
    """The latents of an autoencoder, shifted and scaled; it runs in bfloat16 and is never trained here."""

    def __init__(self, vae: VideoVAE, mean: float, std: float, device: torch.device) -> None:
        network: nn.Module = vae  # diffusers' own `to` has no types
        network.to(device, torch.bfloat16).eval().requires_grad_(False)
        self.vae = vae
        self.pixels, self.mean, self.std = Pixels(0.0, 1.0, device), mean, std

    @torch.no_grad()
    def encode(self, clips: Rgb) -> Tensor:
        """See `Codec`."""
        z: Tensor = self.vae.encode(self.pixels.encode(clips).to(torch.bfloat16)).float()
        return (z - self.mean) / self.std

    @torch.no_grad()
    def decode(self, z: Tensor) -> Rgb:
        """See `Codec`."""
        return _to_rgb(self.vae.decode((z * self.std + self.mean).to(torch.bfloat16)).float())

    def shape(self, clip: tuple[int, int, int]) -> tuple[int, int, int]:
        """See `Codec`."""
        s = self.vae.spatial
        return -(-clip[0] // self.vae.temporal), clip[1] // s, clip[2] // s


def open_codec(autoencoder: str, dit: VideoDiT, device: torch.device) -> Codec:
    """The codec that a recipe names; raises `ModelError` when the autoencoder is missing or does not fit."""
    if not autoencoder:
        return Pixels(dit.mean, dit.std, device)
    folder = _WEIGHTS / autoencoder
    try:
        load: Callable[..., VideoVAE] = VideoVAE.from_pretrained
        vae = load(folder, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False)
    except (OSError, ValueError) as error:
        raise ModelError(f"the autoencoder {folder} does not load: {error}; train it first") from error
    if vae.channels != dit.channels:
        raise ModelError(f"the model takes {dit.channels} channels, the autoencoder has {vae.channels}")
    return Latents(vae, dit.mean, dit.std, device)


def _to_rgb(pixels: Tensor) -> Rgb:
    return np.stack([array_to_rgb(clip) for clip in pixels.cpu().numpy()])
