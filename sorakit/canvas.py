"""What a video model works on: scaled pixels, or the scaled latents of an autoencoder.

Clips `uint8 (N, T, H, W, 3)` in, `float32 (N, C, T', H', W')` out, and back. With an autoencoder one value
stands for 4 frames of 8 × 8 pixels. The scale, `(z − mean) / std`, is the model's own in both cases.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sorakit.diffusion.guidance import Held
from sorakit.errors import ModelError, UsageError
from sorakit.given import GivenFrames
from sorakit.model.dit import VideoDiT
from sorakit.model.vae import VideoVAE
from sorakit.types import Rgb
from sorakit.video.convert import array_to_rgb, rgb_to_array

__all__ = ["Canvas"]

MAX_PAIRS = 1 << 23
"""Clips × tokens²: full attention is quadratic, and more than this would take gigabytes."""


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """A model's own space; without `vae` it is pixels."""

    transformer: VideoDiT
    vae: VideoVAE | None = None

    def __post_init__(self) -> None:
        """Refuse a model and an autoencoder that do not fit."""
        channels = 3 if self.vae is None else self.vae.channels
        if self.transformer.channels == channels:
            return
        if self.vae is None:
            raise ModelError(
                f"this model works in {self.transformer.channels} latent channels and needs a `vae`; pass one"
            )
        raise ModelError(f"the model takes {self.transformer.channels} channels, the `vae` has {channels}")

    @property
    def group(self) -> int:
        """Frames that one value in time stands for."""
        return 1 if self.vae is None else self.vae.temporal

    @property
    def size(self) -> tuple[int, int, int]:
        """The usual clip (T, H, W)."""
        return (16, 32, 32) if self.vae is None else (16, 64, 64)

    def inside(self, size: tuple[int, int, int]) -> tuple[int, int, int]:
        """(T, H, W) of a clip → (T', H', W') here; an autoencoder fills up the last group of frames."""
        s = 1 if self.vae is None else self.vae.spatial
        return -(-size[0] // self.group), size[1] // s, size[2] // s

    def shape(self, size: tuple[int, int, int], count: int = 1) -> tuple[int, int, int, int]:
        """(C, T', H', W') of a clip of `size`; raises `UsageError` when it or `count` of them do not fit."""
        s = 1 if self.vae is None else self.vae.spatial
        scale, patch = (self.group, s, s), self.transformer.patch
        for name, side, p, k in zip(("num_frames", "height", "width"), size, patch, scale, strict=True):
            if side <= 0 or side % (p * k):
                raise UsageError(f"`{name}` must be a positive multiple of {p * k}, got {side}")
        tokens = self._tokens(size)
        if tokens * tokens * count > MAX_PAIRS:
            raise UsageError(
                f"{count} clips of {size} make {tokens} tokens each, more than attention can hold; "
                f"at most {int((MAX_PAIRS / count) ** 0.5)} fit: ask for fewer or smaller clips"
            )
        t, h, w = self.inside(size)
        return self.transformer.channels, t, h, w

    def most(self, size: tuple[int, int, int]) -> int:
        """How many clips of `size` (T, H, W) attention can hold at a time, at least 1."""
        return max(1, MAX_PAIRS // max(1, self._tokens(size) ** 2))

    def _tokens(self, size: tuple[int, int, int]) -> int:
        """Tokens of one clip of `size`."""
        sides = zip(self.inside(size), self.transformer.patch, strict=True)
        return int(np.prod([side // p for side, p in sides]))

    @torch.no_grad()
    def encode(self, clips: Rgb, device: torch.device) -> Tensor:
        """`uint8 (N, T, H, W, 3)` → `float32 (N, C, T', H', W')`."""
        x = torch.from_numpy(np.stack([rgb_to_array(clip) for clip in clips])).to(device)  # (N, 3, T, H, W)
        if self.vae is not None:
            _wake(self.vae)
            x = self.vae.encode(x).float()  # (N, C, T', H', W')
        return x.sub_(self.transformer.mean).div_(self.transformer.std)  # in place: training comes by here

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """`(N, C, T', H', W')` → pixels `(N, 3, T, H, W)` in [-1, 1]."""
        x = latents.float() * self.transformer.std + self.transformer.mean  # (N, C, T', H', W')
        if self.vae is not None:
            _wake(self.vae)
            x = self.vae.decode(x).float()  # (N, 3, T, H, W)
        return x.clamp(-1, 1)

    def held(self, given: GivenFrames, device: torch.device) -> Held:
        """The given frames as the sampler takes them; raises `UsageError` when the model takes none."""
        if self.transformer.given is None:
            raise UsageError(
                "this model was not trained to be given frames or images; use one with `given_frames` "
                "(`sorakit.json` says so), or leave them out"
            )
        mask = given.mask.reshape(len(given.mask), -1, self.group).all(-1)  # (N, T')
        return Held(self.encode(given.pictures, device), torch.from_numpy(mask).float().to(device))

    @staticmethod
    def to_rgb(pixels: Tensor) -> Rgb:
        """`(N, 3, T, H, W)` in [-1, 1] → `uint8 (N, T, H, W, 3)`."""
        return np.stack([array_to_rgb(clip) for clip in pixels.float().cpu().numpy()])


def _wake(model: VideoVAE) -> None:
    """Bring an offloaded model to its device: accelerate's hooks only know `forward`."""
    hook = getattr(model, "_hf_hook", None)
    if hook is not None and hasattr(hook, "pre_forward"):
        hook.pre_forward(model)
