"""The steps of sampling, apart from any pipeline class: read prompts, set noise levels, follow the field.

In: the parts of a pipeline. Out: tensors. `sorakit.pipeline` and the blocks of `sorakit.modular` both call
these, so they agree to the last bit.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from diffusers.schedulers import FlowMatchEulerDiscreteScheduler
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from sorakit.diffusion.guidance import Guidance, Held, guided_velocity
from sorakit.errors import ModelError, UsageError
from sorakit.model.dit import VideoDiT
from sorakit.model.text import TextEncoder
from sorakit.world.caption import encode, words

__all__ = ["Text", "check_prompts", "denoise", "draw_noise", "encode_prompts", "set_timesteps", "with_empty"]

Text = tuple[Tensor, Tensor]
"""Vectors of words or slots `(N, L, D)` and the pooled prompt `(N, D)`."""

Generators = torch.Generator | list[torch.Generator] | None

OnStep = Callable[[int, Any, Tensor], Tensor]
"""Called with the step, its timestep and the latents; returns the latents to go on with."""


def check_prompts(prompt: str | Sequence[str]) -> list[str]:
    """The prompts as a list; raises `UsageError` unless it is a text or some texts."""
    found = [prompt] if isinstance(prompt, str) else list(prompt) if isinstance(prompt, Sequence) else []
    if not found or not all(isinstance(p, str) for p in found):
        raise UsageError(f"`prompt` must be a text or a list of texts, got {type(prompt).__name__}")
    return found


def encode_prompts(
    tokenizer: PreTrainedTokenizerFast, text_encoder: TextEncoder, prompts: list[str], device: torch.device
) -> Text:
    """`prompts` as the model takes them; an empty one gives the null vector.

    Raises `UsageError` with the words that the model knows when a prompt has another, or too many.
    """
    length = text_encoder.length
    for prompt in prompts:
        encode(prompt, length)
    plain = [" ".join(words(p)) for p in prompts]
    ids = tokenizer(
        plain, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    ).input_ids  # (N, L)
    if (ids == tokenizer.unk_token_id).any():
        known = ", ".join(w for w in tokenizer.get_vocab() if not w.startswith("<"))
        raise UsageError(f"the prompt has a word that this model does not know; it knows {known}")
    out: Text = text_encoder(ids.to(device))
    return out


def with_empty(
    tokenizer: PreTrainedTokenizerFast, text_encoder: TextEncoder, prompts: list[str], device: torch.device
) -> tuple[Text, Text]:
    """`prompts` as from `encode_prompts`, and for guidance as many empty ones, in one pass."""
    tokens, pooled = encode_prompts(tokenizer, text_encoder, [*prompts, ""], device)
    count = len(prompts)
    empty = tokens[-1:].expand(count, -1, -1), pooled[-1:].expand(count, -1)
    return (tokens[:-1], pooled[:-1]), empty


def draw_noise(
    shape: tuple[int, ...], generator: Generators, latents: Tensor | None, device: torch.device
) -> Tensor:
    """Starting noise `float32` of `shape` (N, C, T', H', W'): `latents` checked, or from `generator`."""
    if latents is not None:
        if tuple(latents.shape) != shape:
            raise UsageError(f"`latents` must be {shape}, got {tuple(latents.shape)}")
        return latents.to(device, torch.float32)
    if isinstance(generator, list) and len(generator) != shape[0]:
        raise UsageError(f"`generator` must hold one for each of the {shape[0]} clips, got {len(generator)}")
    noise: Tensor = randn_tensor(shape, generator=generator, device=device, dtype=torch.float32)
    return noise


def set_timesteps(scheduler: Any, steps: int, device: torch.device) -> None:
    """Set `scheduler` to `steps` noise levels; raises `UsageError` unless 1 to 1000."""
    if not 1 <= steps <= 1000:
        raise UsageError(f"`num_inference_steps` must be 1 to 1000, got {steps}")
    set_them: Any = scheduler.set_timesteps
    if isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        # its own spacing shifts the last noise level twice
        set_them(sigmas=np.linspace(1, 1 / steps, steps).tolist(), device=device)
    elif "device" in inspect.signature(set_them).parameters:
        set_them(steps, device=device)
    else:
        set_them(steps)


@torch.no_grad()
def denoise(
    transformer: VideoDiT,
    scheduler: Any,
    latents: Tensor,
    *,
    text: Text,
    empty: Text,
    guidance: Guidance,
    held: Held | None = None,
    lead: bool = True,
    generator: Generators = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """`latents` `(N, C, T', H', W')` followed down `scheduler`'s noise levels to a clip, same shape.

    `generator`: of the fresh noise, for schedulers that draw some at each step.
    With `held` the model sees the given frames; the field leads to them, or with `lead` false to what the
    model itself predicts in their places.
    """
    dtype = transformer.dtype
    text, empty = ((t[0].to(dtype), t[1].to(dtype)) for t in (text, empty))
    if held is not None and not lead:
        shown = cast(VideoDiT, _Shown(transformer, held))
        velocity = guided_velocity(shown, text, empty, guidance)
    else:
        velocity = guided_velocity(transformer, text, empty, guidance, held)
    draws = {"generator": generator} if "generator" in inspect.signature(scheduler.step).parameters else {}
    for i, t in enumerate(scheduler.timesteps):
        v = velocity(latents, float(t) / 1000)  # (N, C, T', H', W')
        latents = scheduler.step(v, t, latents, **draws, return_dict=False)[0]  # (N, C, T', H', W')
        if on_step is not None:
            latents = on_step(i, t, latents)
    if not torch.isfinite(latents).all():
        raise ModelError("sampling gave NaN or infinity; use float32 or bfloat16, or other weights")
    return latents


class _Shown:
    """A model that is always shown the given frames, and whose output is left as it is."""

    def __init__(self, model: VideoDiT, held: Held) -> None:
        self.model, self.held, self.prediction = model, held, model.prediction

    def __call__(
        self, noisy: Tensor, timestep: Tensor, tokens: Tensor, pooled: Tensor, _given: None = None
    ) -> Tensor:
        times = len(noisy) // len(self.held.mask)
        held = Held(self.held.clean.repeat(times, 1, 1, 1, 1), self.held.mask.repeat(times, 1))
        out: Tensor = self.model(held.put(noisy), timestep, tokens, pooled, held.mask.to(pooled.dtype))
        return out
