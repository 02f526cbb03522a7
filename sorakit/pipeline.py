"""The kit's own model as a diffusers pipeline: prompts in, clips in memory out; it never writes a file.

Stock parts around two small networks: `PreTrainedTokenizerFast` and any flow-matching scheduler of diffusers
(velocity = noise − data, timestep = 1000 σ). The shape of `__call__` follows diffusers' `pipeline_wan.py`.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.schedulers import FlowMatchEulerDiscreteScheduler
from diffusers.utils.outputs import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from sorakit.diffusion.guidance import Guidance, guided_velocity
from sorakit.errors import UsageError
from sorakit.model.dit import VideoDiT
from sorakit.model.text import TextEncoder
from sorakit.types import Rgb
from sorakit.video.convert import array_to_rgb

__all__ = ["SoraPipeline", "SoraPipelineOutput"]

_OUTPUTS = ("np", "pt", "latent")
_MAX_PAIRS = 1 << 23
"""Clips × tokens²: full attention is quadratic, and more than this would take gigabytes."""

StepEnd = Callable[[Any, int, Any, dict[str, Tensor]], dict[str, Tensor]]


@dataclass
class SoraPipelineOutput(BaseOutput):
    """`frames`: `uint8 (N, T, H, W, 3)` for "np"; tensors `(N, C, T, H, W)` in [-1, 1] for "pt"."""

    frames: Rgb | Tensor


class SoraPipeline(DiffusionPipeline):
    """Text to video with a `VideoDiT` in pixel space.

    >>> from sorakit.generate import load_pipeline
    >>> pipe = load_pipeline()
    >>> pipe("a big red circle bounces on a navy background", num_inference_steps=2).frames.shape
    (1, 16, 32, 32, 3)
    """

    model_cpu_offload_seq = "text_encoder->transformer"  # type: ignore[assignment]  # diffusers says None
    _callback_tensor_inputs = ("latents",)

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        text_encoder: TextEncoder,
        transformer: VideoDiT,
        scheduler: FlowMatchEulerDiscreteScheduler,
    ) -> None:
        super().__init__()
        self.register_modules(  # type: ignore[no-untyped-call]
            tokenizer=tokenizer, text_encoder=text_encoder, transformer=transformer, scheduler=scheduler
        )

    def check_inputs(
        self,
        prompt: str | Sequence[str],
        size: tuple[int, int, int],
        output_type: str,
        tensor_inputs: Sequence[str],
    ) -> list[str]:
        """The prompts as a list; raises `UsageError` on arguments that cannot be used."""
        prompts = (
            [prompt] if isinstance(prompt, str) else list(prompt) if isinstance(prompt, Sequence) else []
        )
        if not prompts or not all(isinstance(p, str) for p in prompts):
            raise UsageError(f"`prompt` must be a text or a list of texts, got {type(prompt).__name__}")
        for name, side, patch in zip(
            ("num_frames", "height", "width"), size, self.transformer.patch, strict=True
        ):
            if side <= 0 or side % patch:
                raise UsageError(f"`{name}` must be a positive multiple of {patch}, got {side}")
        tokens = int(np.prod([s // p for s, p in zip(size, self.transformer.patch, strict=True)]))
        if tokens * tokens * len(prompts) > _MAX_PAIRS:
            raise UsageError(
                f"{len(prompts)} clips of {size} make {tokens} tokens each, more than attention can hold; "
                f"at most {int((_MAX_PAIRS / len(prompts)) ** 0.5)} fit: ask for fewer or smaller clips"
            )
        if output_type not in _OUTPUTS:
            raise UsageError(f"`output_type` must be one of {', '.join(_OUTPUTS)}, got {output_type!r}")
        if unknown := set(tensor_inputs) - set(self._callback_tensor_inputs):
            raise UsageError(f"callbacks can have {self._callback_tensor_inputs}, got {sorted(unknown)}")
        return prompts

    def encode_prompt(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        """Token vectors `(N, L, D)` and pooled prompts `(N, D)`; an empty prompt gives the null vector."""
        length = self.text_encoder.length
        ids = self.tokenizer(
            prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).input_ids
        out: tuple[Tensor, Tensor] = self.text_encoder(ids.to(self._execution_device))
        return out

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        num_frames: int = 16,
        height: int = 32,
        width: int = 32,
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

        `latents` `(N, C, T, H, W)`: starting noise in place of `generator`'s. The callback may return
        changed `latents`. Equal seeds give equal clips on one device.
        """
        size = (num_frames, height, width)
        prompts = self.check_inputs(prompt, size, output_type, callback_on_step_end_tensor_inputs)
        guidance = Guidance(guidance_scale, *guidance_interval)
        device, dtype = self._execution_device, self.transformer.dtype
        text, empty = self.encode_prompt(prompts), self.encode_prompt([""] * len(prompts))
        velocity = guided_velocity(self.transformer, text, empty, guidance)
        shape = (len(prompts), self.transformer.channels, *size)
        if latents is None:
            latents = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32)
        elif tuple(latents.shape) != shape:
            raise UsageError(f"`latents` must be {shape}, got {tuple(latents.shape)}")
        latents = latents.to(device)  # (N, C, T, H, W)
        self._set_timesteps(num_inference_steps)
        with self.progress_bar(total=num_inference_steps) as bar:
            for i, t in enumerate(self.scheduler.timesteps):
                v = velocity(latents.to(dtype), float(t) / 1000)  # (N, C, T, H, W)
                latents = self.scheduler.step(v, t, latents, return_dict=False)[0]  # (N, C, T, H, W)
                if callback_on_step_end is not None:
                    latents = callback_on_step_end(self, i, t, {"latents": latents}).get("latents", latents)
                bar.update()
        self.maybe_free_model_hooks()  # type: ignore[no-untyped-call]
        frames = self._decode(latents, output_type)
        return SoraPipelineOutput(frames=frames) if return_dict else (frames,)

    def _set_timesteps(self, steps: int) -> None:
        if not 1 <= steps <= 1000:
            raise UsageError(f"`num_inference_steps` must be 1 to 1000, got {steps}")
        set_timesteps = self.scheduler.set_timesteps
        if isinstance(self.scheduler, FlowMatchEulerDiscreteScheduler):
            # its own spacing shifts the last noise level twice
            set_timesteps(sigmas=np.linspace(1, 1 / steps, steps).tolist(), device=self._execution_device)
        elif "device" in inspect.signature(set_timesteps).parameters:
            set_timesteps(steps, device=self._execution_device)
        else:
            set_timesteps(steps)

    def _decode(self, latents: Tensor, output_type: str) -> Rgb | Tensor:
        if output_type == "latent":
            return latents
        model = self.transformer
        pixels: Tensor = (latents.float() * model.std + model.mean).clamp(-1, 1)  # (N, C, T, H, W)
        if output_type == "pt":
            return pixels
        return np.stack([array_to_rgb(clip) for clip in pixels.cpu().numpy()])
