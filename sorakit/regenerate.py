"""Attacks that need a model: the autoencoder's round trip, and a mild regeneration by diffusion.

In: pictures. Out: pictures that our own networks made of them. `install()` adds both to the suite of
`sorakit.watermark.attacks`, which itself never reaches the generator; PyTorch loads when one of them runs.
Regeneration (Zhao et al. 2023, arXiv:2306.01953; SDEdit, Meng et al. 2021, arXiv:2108.01073): encode, noise
to σ = strength, follow the model's own field back to σ = 0 without a prompt, decode.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from sorakit.errors import ModelError
from sorakit.model_info import WEIGHTS
from sorakit.types import Rgb
from sorakit.video.convert import array_to_rgb, rgb_to_array
from sorakit.watermark.attacks import Attack, Job, Strength, register
from sorakit.watermark.attacks.stream import Stream, encode, read

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MODEL", "install"]

MODEL = "full-world-64"
"""The packaged latent model that regenerates; its patches are 64 × 64 px."""

CRF = 20
_GROUP = 16
"""Frames that go through a network at once."""

_SIDE = 64
_STEPS = 4


def install() -> None:
    """Add `autoencoder` and `regenerate` to the attacks; calling it again changes nothing.

    >>> install()
    """
    register(
        Attack(
            "autoencoder", "model", f"our autoencoder's round trip; H.264 CRF {CRF}", _autoencoder,
            Strength(1, 1, 4, "round trips"),
        )
    )  # fmt: skip
    register(
        Attack(
            "regenerate", "model", f"noised to σ in our latents and denoised; H.264 CRF {CRF}", _regenerate,
            Strength(0.02, 0.1, 0.8, "σ"),
        )
    )  # fmt: skip


def _autoencoder(job: Job) -> None:
    vae = _autoencoder_model()

    def change(frames: Rgb) -> Rgb:
        for _ in range(round(job.strength)):
            x = _tensor(frames)  # (1, 3, T, H, W)
            frames = array_to_rgb(vae.decode_tiled(vae.encode(x), len(frames))[0].numpy())
        return frames

    _through(job, change)


def _regenerate(job: Job) -> None:
    torch = _torch()
    from sorakit.canvas import Canvas  # noqa: PLC0415
    from sorakit.diffusion.guidance import Guidance, guided_velocity  # noqa: PLC0415
    from sorakit.diffusion.solver import euler, sigmas  # noqa: PLC0415
    from sorakit.generate import load_pipeline, seeded  # noqa: PLC0415
    from sorakit.model.patch import patchify, unpatchify  # noqa: PLC0415

    pipe: Any = load_pipeline(WEIGHTS / MODEL)
    canvas, generator, sigma = Canvas(pipe.transformer, pipe.vae), seeded(job.seed), job.strength
    levels, side = [sigma * level for level in sigmas(_STEPS)], _SIDE // pipe.vae.spatial

    def change(frames: Rgb) -> Rgb:
        z = canvas.encode(frames[None], torch.device("cpu"))  # (1, C, t, h, w)
        _, C, t, h, w = z.shape
        tile = (t, side, side)
        clean = patchify(z, tile).reshape(-1, C, *tile)  # (N, C, t, 8, 8), row by row
        noise = torch.randn(clean.shape, generator=generator)
        text = pipe.encode_prompt([""] * len(clean))
        field = guided_velocity(pipe.transformer, text, text, Guidance(1.0))
        out = euler(field, (1 - sigma) * clean + sigma * noise, levels)
        whole = unpatchify(out.reshape(1, len(out), -1), (1, h // side, w // side), tile)
        back: Rgb = canvas.to_rgb(canvas.decode(whole))[0]  # (T, H, W, 3)
        return back

    _through(job, change)


def _through(job: Job, change: Callable[[Rgb], Rgb]) -> None:
    """Groups of pictures through `change`, their edges repeated to the sizes that the networks take."""
    stream = read(job.src)

    def frames() -> Iterator[Rgb]:
        while group := list(islice(stream.frames, _GROUP)):
            yield from _padded(group, change)

    with _torch().inference_mode():
        encode(Stream(frames(), stream.rate), job, CRF)


def _padded(group: list[Rgb], change: Callable[[Rgb], Rgb]) -> Rgb:
    whole = np.stack(group)  # (T, H, W, 3)
    T, H, W, _ = whole.shape
    more = [(0, _GROUP - T), (0, -H % _SIDE), (0, -W % _SIDE), (0, 0)]
    return change(np.pad(whole, more, "edge"))[:T, :H, :W]


def _tensor(frames: Rgb) -> "Tensor":
    out: Tensor = _torch().from_numpy(rgb_to_array(frames))[None]
    return out


def _autoencoder_model() -> Any:
    _torch()
    from sorakit.model.vae import VideoVAE  # noqa: PLC0415

    return VideoVAE.from_pretrained(
        WEIGHTS / "autoencoder", use_safetensors=True, local_files_only=True
    ).eval()


def _torch() -> Any:
    try:
        import torch  # noqa: PLC0415
    except ImportError as error:
        raise ModelError(f"attacks with a model need {error.name}: pip install sorakit[gen]") from error
    return torch
