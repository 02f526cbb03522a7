"""What a video model trains on: its canvas (see `sorakit.canvas`), with the packaged autoencoder if any.

Clips `uint8 (B, T, H, W, 3)` in, `float32 (B, C, T', H', W')` of about unit scale out, and back.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sorakit.canvas import Canvas
from sorakit.errors import ModelError
from sorakit.model.dit import VideoDiT
from sorakit.model.vae import VideoVAE
from sorakit.model_info import WEIGHTS
from sorakit.precision import product_dtype
from sorakit.types import Rgb

__all__ = ["Codec", "load_autoencoder", "open_codec"]


@dataclass(frozen=True, slots=True, eq=False)
class Codec:
    """A canvas on `device`; its autoencoder, if any, is never trained here.

    It runs in bfloat16 where the device is fast at that (see `sorakit.precision`).
    """

    canvas: Canvas
    device: torch.device

    def __post_init__(self) -> None:
        """Make the autoencoder ready."""
        network: nn.Module | None = self.canvas.vae  # diffusers' own `to` has no types
        if network is not None:
            nn.Module.to(network, self.device, product_dtype(self.device)).eval().requires_grad_(False)

    def encode(self, clips: Rgb) -> Tensor:
        """`uint8 (B, T, H, W, 3)` → `float32 (B, C, T', H', W')`."""
        return self.canvas.encode(clips, self.device)

    def decode(self, z: Tensor) -> Rgb:
        """`(B, C, T', H', W')` → `uint8 (B, T, H, W, 3)`."""
        return self.canvas.to_rgb(self.canvas.decode(z))

    def shape(self, clip: tuple[int, int, int]) -> tuple[int, int, int]:
        """(T, H, W) of a clip → (T', H', W')."""
        return self.canvas.inside(clip)


def open_codec(autoencoder: str, dit: VideoDiT, device: torch.device) -> Codec:
    """The codec that a recipe names; raises `ModelError` when the autoencoder is missing or does not fit."""
    if not autoencoder:
        return Codec(Canvas(dit), device)
    return Codec(Canvas(dit, load_autoencoder(autoencoder)), device)


def load_autoencoder(name: str, dtype: torch.dtype = torch.float32) -> VideoVAE:
    """The packaged autoencoder `name` on the CPU; raises `ModelError` when it does not load."""
    folder = WEIGHTS / name
    options = {"use_safetensors": True, "local_files_only": True, "low_cpu_mem_usage": False}
    try:
        load: Callable[..., VideoVAE] = VideoVAE.from_pretrained
        return load(folder, torch_dtype=dtype, **options)
    except (OSError, ValueError) as error:
        raise ModelError(f"the autoencoder {folder} does not load: {error}; train it first") from error
