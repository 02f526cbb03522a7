"""A clip as the clean latents that a pipeline's loop ends with: the way into its autoencoder.

In: a pipeline and frames. Out: a tensor in the order in which the pipeline draws its noise; and the packing
between that and its loop. What a pipeline does before it decodes is undone: z·std/scale + mean is inverted.
"""

from typing import Any

import numpy as np

from sorakit.backends.noise_mark import Floats, from_cells
from sorakit.errors import UsageError
from sorakit.types import Rgb
from sorakit.video.convert import rgb_to_array

__all__ = ["FAMILIES", "clean_latents", "normalise", "pack", "unpack"]

FAMILIES = (
    "AnimateDiffPipeline",
    "CogVideoXPipeline",
    "HunyuanVideoPipeline",
    "LTXImageToVideoPipeline",
    "LTXPipeline",
    "LattePipeline",
    "MochiPipeline",
    "StableVideoDiffusionPipeline",
    "WanImageToVideoPipeline",
    "WanPipeline",
)
"""Pipelines whose way from clip to latents is known here, each tested."""
_PICTURES = ("AutoencoderKL", "AutoencoderKLTemporalDecoder")


def clean_latents(pipe: Any, frames: Rgb) -> Any:
    """`uint8 (T, H, W, 3)` as clean latents, float32 on the CPU, in the order of the pipeline's noise."""
    import torch  # noqa: PLC0415 - heavy

    vae = pipe.vae
    video = torch.from_numpy(rgb_to_array(frames)).to(pipe._execution_device, vae.dtype)  # (3, T, H, W)
    with torch.no_grad():
        if type(vae).__name__ in _PICTURES:  # one at a time
            parts = [vae.encode(p[None]).latent_dist.mode() for p in video.transpose(0, 1)]
            z = torch.cat(parts).transpose(0, 1)[None]  # (1, C, T, h, w)
        else:
            z = vae.encode(video[None]).latent_dist.mode()  # (1, C, T', h, w)
        z = normalise(vae, z)
    cells: Floats = np.ascontiguousarray(z[0].permute(1, 2, 3, 0).float().cpu().numpy())
    return from_cells(type(pipe).__name__, cells)


def normalise(vae: Any, z: Any) -> Any:
    """What the autoencoder codes, `(1, C, T, h, w)`, in the units of the model that makes it."""
    import torch  # noqa: PLC0415 - heavy

    def of(name: str, otherwise: float) -> Any:
        values = vae.config[name] if name in vae.config else getattr(vae, name, None)  # LTX: weights
        given = torch.as_tensor(otherwise if values is None else values, device=z.device, dtype=z.dtype)
        return given.reshape(1, -1, 1, 1, 1)

    return (z - of("latents_mean", 0.0)) / of("latents_std", 1.0) * (vae.config.get("scaling_factor") or 1.0)


def pack(pipe: Any, latents: Any) -> Any:
    """From the order of the noise to that of the pipeline's loop, which for LTX is a row of patches."""
    if not type(pipe).__name__.startswith("LTX"):
        return latents
    sizes = pipe.transformer_spatial_patch_size, pipe.transformer_temporal_patch_size
    return pipe._pack_latents(latents, *sizes)


def unpack(pipe: Any, packed: Any, like: Any) -> Any:
    """The inverse of `pack`; `like`: a tensor of the shape to come."""
    if type(pipe).__name__.startswith("LTX"):
        sizes = pipe.transformer_spatial_patch_size, pipe.transformer_temporal_patch_size
        t, h, w = like.shape[2:]
        packed = pipe._unpack_latents(packed, t // sizes[1], h // sizes[0], w // sizes[0], *sizes)
    if packed.shape != like.shape:
        raise UsageError(f"{type(pipe).__name__} led back to {tuple(packed.shape)}, not {tuple(like.shape)}")
    return packed
