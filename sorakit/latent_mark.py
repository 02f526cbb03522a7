"""The mark in the initial noise of the kit's own models: made for a pipeline, and read back through it.

In: a pipeline and a key. Out: starting noise, or `LatentEvidence` of a clip. Signs are set along the
directions in which the model's first layer sees a patch (the right singular vectors of its weights, an
orthonormal basis, so the noise stays normal), and read with the singular values as weights: what it does not
see, no inversion brings back.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sorakit.diffusion.guidance import Guidance, guided_velocity
from sorakit.diffusion.invert import invert
from sorakit.errors import UsageError
from sorakit.generate import load_pipeline
from sorakit.model.patch import patchify, unpatchify
from sorakit.model_info import load_info
from sorakit.sampling import set_timesteps
from sorakit.shrink import read_small
from sorakit.types import Rgb
from sorakit.watermark.keyring import MarkKey
from sorakit.watermark.latent import SCHEME, LatentEvidence, read_noise, sign_noise
from sorakit.watermark.payload import ID_BITS, VERSION

if TYPE_CHECKING:
    from sorakit.pipeline import SoraPipeline

__all__ = [
    "Basis",
    "FileMark",
    "basis_of",
    "marked_noise",
    "noise_of",
    "noise_of_latents",
    "payload_for",
    "read_clip_mark",
    "read_file_mark",
    "read_keys",
]


def payload_for(key: bytes, seed: int, prompt: str) -> int:
    """The payload of a prompt and seed, so that both still say which clip comes out; needs the key to tell.

    >>> payload_for(b"k" * 32, 1, "a") == payload_for(b"k" * 32, 1, "a") != payload_for(b"k" * 32, 2, "a")
    True
    """
    digest = hmac.digest(key, f"{SCHEME}\0{seed}\0{prompt}".encode(), "sha256")
    return VERSION << ID_BITS | int.from_bytes(digest[:8], "big") & ((1 << ID_BITS) - 1)


def marked_noise(
    pipe: "SoraPipeline", size: tuple[int, int, int], payload: int, key: bytes, seed: int
) -> Tensor:
    """Starting noise `(1, C, T', H', W')` of a clip of `size` (T, H, W); equal arguments, equal noise."""
    basis = basis_of(pipe)
    _, t, h, w = pipe.canvas.shape(size)
    grid = basis.grid((t, h, w))
    cells = sign_noise((*grid, len(basis.weights)), payload, key, np.random.default_rng([seed, 0x6C6D]))
    return basis.to_noise(cells, grid)


@torch.no_grad()
def noise_of(pipe: "SoraPipeline", clip: Rgb, *, prompt: str, steps: int) -> Tensor:
    """The noise `(1, C, T', H', W')` that `clip` `uint8 (T, H, W, 3)` was made from, as near as can be told.

    Without the prompt ("") less of it is found. Takes three evaluations a step, without guidance.
    """
    z = pipe.canvas.encode(clip[None], pipe._execution_device)  # (1, C, T', H', W')
    return noise_of_latents(pipe, z, prompts=[prompt], steps=steps)


@torch.no_grad()
def noise_of_latents(pipe: "SoraPipeline", z: Tensor, *, prompts: list[str], steps: int) -> Tensor:
    """As `noise_of`, for a batch `(B, C, T', H', W')` in the model's own space and a prompt each."""
    text = pipe.encode_prompt(prompts)
    set_timesteps(pipe.scheduler, steps, pipe._execution_device)
    levels = [float(s) for s in pipe.scheduler.sigmas]
    return invert(guided_velocity(pipe.transformer, text, text, Guidance(1.0)), z, levels)


def read_clip_mark(
    pipe: "SoraPipeline",
    clip: Rgb,
    key: bytes,
    *,
    prompt: str = "",
    steps: int = 16,
    expected: int | None = None,
) -> LatentEvidence:
    """The mark in `clip` `uint8 (T, H, W, 3)` of the model's own size; `expected` as for `read_noise`."""
    basis = basis_of(pipe)
    cells = basis.to_cells(noise_of(pipe, clip, prompt=prompt, steps=steps))
    return read_noise(cells, key, weights=basis.weights, expected=expected)


@dataclass(frozen=True, slots=True, eq=False)
class FileMark:
    """What a file says: the evidence, its bound for all keys tried, and the id of the key that read it."""

    evidence: LatentEvidence
    key_id: str | None


def read_file_mark(
    path: Path, model: Path, keys: Sequence[MarkKey], *, prompt: str = "", seed: int | None = None
) -> FileMark:
    """Read the mark of a published file with the model that made it, under each of `keys`.

    `prompt`: as it was given; without it less is found. With `seed` too the payload is known and needs a
    third of the evidence. An enlarged file is brought back to the model's size. Raises the guarded reader's
    `InputError`s, `ModelError` and `UsageError`.
    """
    info = load_info(model)
    T, H, W = info.usual
    clip = read_small(path, (H, W), exact=True, fps=240, max_frames=T)
    if len(clip.frames) < T:
        raise UsageError(
            f"{path.name} must have {T} frames for {info.name}, got {len(clip.frames)}; use the whole clip"
        )
    pipe = load_pipeline(model)
    basis = basis_of(pipe)
    cells = basis.to_cells(noise_of(pipe, clip.frames, prompt=prompt, steps=info.steps))
    return read_keys(cells, keys, prompt=prompt, seed=seed, weights=basis.weights)


def read_keys(
    cells: npt.NDArray[np.float32],
    keys: Sequence[MarkKey],
    *,
    prompt: str,
    seed: int | None,
    weights: npt.NDArray[np.float64] | None = None,
) -> FileMark:
    """The best reading of noise `(T, H, W, D)` under any of `keys`; with `seed` the payload is known."""
    best = FileMark(LatentEvidence(), None)
    for key in keys:
        known = None if seed is None else payload_for(key.secret, seed, prompt)
        found = read_noise(cells, key.secret, weights=weights, expected=known, tried=len(keys))
        if found.log10_p < best.evidence.log10_p:
            best = FileMark(found, key.id if found.found else None)
    return best


@dataclass(frozen=True, slots=True, eq=False)
class Basis:
    """`vectors (D, D)`, orthonormal rows; `weights (D,)`: the singular values over the largest."""

    vectors: Tensor
    weights: npt.NDArray[np.float64]
    patch: tuple[int, int, int]

    def grid(self, inside: tuple[int, int, int]) -> tuple[int, int, int]:
        """Patches along (T', H', W')."""
        t, h, w = (side // p for side, p in zip(inside, self.patch, strict=True))
        return t, h, w

    def to_noise(self, cells: npt.NDArray[np.float32], grid: tuple[int, int, int]) -> Tensor:
        """`(t, h, w, D)` → `(1, C, T', H', W')`."""
        flat = torch.from_numpy(cells.reshape(1, -1, cells.shape[-1]))  # (1, N, D)
        return unpatchify(flat @ self.vectors, grid, self.patch)

    def to_cells(self, noise: Tensor) -> npt.NDArray[np.float32]:
        """`(1, C, T', H', W')` → `(t, h, w, D)`."""
        flat = patchify(noise.float().cpu(), self.patch) @ self.vectors.T  # (1, N, D)
        t, h, w = noise.shape[2:]
        cells: npt.NDArray[np.float32] = flat.reshape(*self.grid((t, h, w)), -1).numpy()
        return cells


@torch.no_grad()
def basis_of(pipe: "SoraPipeline") -> Basis:
    """The directions in which a model's first layer sees a patch, and how strongly."""
    model: Any = pipe.transformer
    weight = model.embed.weight.detach().cpu().double()  # (width, D); Apple's GPUs know no float64
    _, values, vectors = torch.linalg.svd(weight, full_matrices=True)
    # A singular vector's sign is free: fix it, so that every machine has the same basis.
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))  # (D, 1)
    weights = np.zeros(len(vectors))
    weights[: len(values)] = (values / values[0]).numpy()
    return Basis((vectors * largest.sign()).float(), weights, model.patch)
