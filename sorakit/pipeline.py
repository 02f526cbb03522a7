"""The kit's own model as a diffusers pipeline: prompts and frames in, clips in memory out; it never writes.

Stock parts around small networks: `PreTrainedTokenizerFast` and any flow-matching scheduler of diffusers
(velocity = noise − data, timestep = 1000 σ). The shape of `__call__` follows diffusers' `pipeline_wan.py`.
LoRA adapters go on the transformer (`pipe.transformer.add_adapter`, `load_lora_adapter`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers import FlowMatchEulerDiscreteScheduler
from diffusers.utils.outputs import BaseOutput
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from sorakit.canvas import Canvas
from sorakit.diffusion.guidance import Guidance
from sorakit.errors import ModelError, UsageError
from sorakit.given import Frames, GivenFrames, gather
from sorakit.model.dit import VideoDiT
from sorakit.model.format import FORMAT, check_format
from sorakit.model.text import TextEncoder
from sorakit.model.vae import VideoVAE
from sorakit.sampling import (
    OnStep,
    Text,
    check_prompts,
    denoise,
    draw_noise,
    encode_prompts,
    set_timesteps,
    with_empty,
)
from sorakit.types import Rgb

__all__ = ["OUTPUTS", "SoraPipeline", "SoraPipelineOutput", "finish"]

OUTPUTS = ("np", "pt", "latent")

StepEnd = Callable[[Any, int, Any, dict[str, Tensor]], dict[str, Tensor]]


@dataclass
class SoraPipelineOutput(BaseOutput):
    """`frames`: `uint8 (N, T, H, W, 3)` for "np"; pixels `(N, 3, T, H, W)` in [-1, 1] for "pt"."""

    frames: Rgb | Tensor


class SoraPipeline(DiffusionPipeline):
    """Text, images and frames to video with a `VideoDiT`, in pixels or, with a `vae`, in its latents.

    `size`: the usual clip (T, H, W). `format`: of the saved folder; one that is too new is refused.

    >>> from sorakit.generate import load_pipeline
    >>> pipe = load_pipeline()
    >>> pipe("a big red circle bounces on a navy background", num_inference_steps=2).frames.shape
    (1, 16, 32, 32, 3)
    """

    model_cpu_offload_seq = "text_encoder->transformer->vae"  # type: ignore[assignment]  # diffusers says None
    _optional_components = ["vae"]  # noqa: RUF012 - diffusers' name and type
    _callback_tensor_inputs = ("latents",)

    def __init__(  # noqa: PLR0917 - diffusers names the parts by position
        self,
        tokenizer: PreTrainedTokenizerFast,
        text_encoder: TextEncoder,
        transformer: VideoDiT,
        scheduler: FlowMatchEulerDiscreteScheduler,
        vae: VideoVAE | None = None,
        size: tuple[int, int, int] | None = None,
        format: str = FORMAT,
    ) -> None:
        super().__init__()
        check_format(format, "this pipeline")
        self.register_modules(  # type: ignore[no-untyped-call]
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            transformer=transformer,
            scheduler=scheduler,
            vae=vae,
        )
        said = {"size": None if size is None else list(size), "format": format}
        self.register_to_config(**said)  # type: ignore[no-untyped-call]

    @classmethod
    def load_config(cls, folder: Any, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """As diffusers' own, but a format that is too new is refused before any part of it is loaded."""
        config = super().load_config(folder, *args, **kwargs)
        found = config[0] if isinstance(config, tuple) else config
        check_format(found.get("format", FORMAT), str(folder))
        return config

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | PathLike[str], **kwargs: Any
    ) -> "SoraPipeline":
        """A saved pipeline; weights come from safetensors alone, never from pickles.

        Raises `ModelError` when a part is missing or does not fit, or the format is too new.
        """
        options = {"low_cpu_mem_usage": False} | kwargs | {"use_safetensors": True}
        try:
            pipe: SoraPipeline = super().from_pretrained(pretrained_model_name_or_path, **options)
        except (OSError, ValueError, LookupError, TypeError, RuntimeError, ArithmeticError) as error:
            raise ModelError(
                f"{pretrained_model_name_or_path} does not load as a pipeline: {error}; it needs tokenizer, "
                "text_encoder, transformer and scheduler, and for a model in latents a vae"
            ) from error
        return pipe

    @property
    def canvas(self) -> Canvas:
        """What the transformer works on; raises `ModelError` when a part is missing or does not fit."""
        for name in ("tokenizer", "text_encoder", "transformer", "scheduler"):
            if getattr(self, name, None) is None:
                raise ModelError(f"the pipeline has no `{name}`; pass one to SoraPipeline or from_pretrained")
        return Canvas(self.transformer, self.vae)

    @property
    def size(self) -> tuple[int, int, int]:
        """The usual clip (T, H, W)."""
        found = self.config.get("size")
        return self.canvas.size if found is None else (found[0], found[1], found[2])

    def encode_prompt(self, prompts: list[str]) -> Text:
        """Vectors `(N, L, D)` and pooled prompts `(N, D)`; an empty prompt gives the null vector."""
        return encode_prompts(self.tokenizer, self.text_encoder, prompts, self._execution_device)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        image: Any = None,
        last_image: Any = None,
        frames: Frames | Sequence[Frames | None] | None = None,
        paste: bool = True,
        num_frames: int | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 16,
        guidance_scale: float = 3.0,
        guidance_interval: tuple[float, float] = (0.0, 1.0),
        generator: torch.Generator | list[torch.Generator] | None = None,
        latents: Tensor | None = None,
        output_type: str = "np",
        return_dict: bool = True,
        callback_on_step_end: StepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> SoraPipelineOutput | tuple[Rgb | Tensor]:
        """Clips for `prompt`, one each.

        `image`, `last_image`: first and last frame, `uint8 (H, W, 3)` or PIL; `frames`: any frames by their
        place (see `sorakit.given`); a sequence gives each clip its own. They come out exactly as given;
        with `paste` false the model's own prediction stands in their places, to measure it.
        `latents` `(N, C, T', H', W')`: starting noise in place of `generator`'s, which still gives what a
        stochastic scheduler draws on the way. The callback may return changed `latents`. Equal seeds give
        equal clips on one device. Raises `UsageError`, `ModelError`.
        """
        prompts, canvas = check_prompts(prompt), self.canvas
        size = size_of(self.size, num_frames, height, width)
        shape = canvas.shape(size, len(prompts))
        self._check(output_type, callback_on_step_end_tensor_inputs)
        guidance = Guidance(guidance_scale, *guidance_interval)
        given = gather(
            len(prompts), size, image=image, last_image=last_image, frames=frames, group=canvas.group
        )
        device = self._execution_device
        held = canvas.held(given, device) if given is not None else None
        text, empty = with_empty(self.tokenizer, self.text_encoder, prompts, device)
        noise = draw_noise((len(prompts), *shape), generator, latents, device)  # (N, C, T', H', W')
        set_timesteps(self.scheduler, num_inference_steps, device)
        with self.progress_bar(total=len(self.scheduler.timesteps)) as bar:
            z = denoise(
                self.transformer, self.scheduler, noise, text=text, empty=empty, guidance=guidance,
                held=held, lead=paste, generator=generator, on_step=self._on_step(callback_on_step_end, bar),
            )  # fmt: skip
        out = finish(canvas, z, output_type, given if paste else None)
        self.maybe_free_model_hooks()  # type: ignore[no-untyped-call]
        return SoraPipelineOutput(frames=out) if return_dict else (out,)

    def _check(self, output_type: str, tensor_inputs: Sequence[str]) -> None:
        check_output_type(output_type)
        if unknown := set(tensor_inputs) - set(self._callback_tensor_inputs):
            raise UsageError(f"callbacks can have {self._callback_tensor_inputs}, got {sorted(unknown)}")

    def _on_step(self, callback: StepEnd | None, bar: Any) -> OnStep:
        """Moves the bar, and lets the callback see and change the latents."""

        def on_step(i: int, t: Any, latents: Tensor) -> Tensor:
            if callback is not None:
                latents = callback(self, i, t, {"latents": latents}).get("latents", latents)
            bar.update()
            return latents

        return on_step


def size_of(
    usual: tuple[int, int, int], num_frames: int | None, height: int | None, width: int | None
) -> tuple[int, int, int]:
    """(T, H, W), the usual value where none was asked."""
    T, H, W = (
        u if asked is None else asked for u, asked in zip(usual, (num_frames, height, width), strict=True)
    )
    return T, H, W


def check_output_type(name: str) -> None:
    """Raise `UsageError` unless `name` is one of `OUTPUTS`."""
    if name not in OUTPUTS:
        raise UsageError(f"`output_type` must be one of {', '.join(OUTPUTS)}, got {name!r}")


def finish(canvas: Canvas, latents: Tensor, output_type: str, given: GivenFrames | None) -> Rgb | Tensor:
    """Latents as asked for, with the given frames exactly in their places."""
    if output_type == "latent":
        return latents
    pixels = canvas.decode(latents)  # (N, 3, T, H, W)
    if output_type == "pt":
        if given is None:
            return pixels
        mask = torch.from_numpy(given.mask).to(pixels.device)[:, None, :, None, None]  # (N, 1, T, 1, 1)
        true = torch.from_numpy(given.pictures).to(pixels).permute(0, 4, 1, 2, 3) / 127.5 - 1  # as `pixels`
        return torch.where(mask, true, pixels)
    clips = canvas.to_rgb(pixels)
    return clips if given is None else given.paste(clips)
