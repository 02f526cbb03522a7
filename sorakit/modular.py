"""The pipeline as four Modular Diffusers blocks: text, latents, denoise, decode.

In: the arguments of `SoraPipeline`. Out: a `PipelineState` with `frames`. The blocks call the same functions
as the pipeline, so a seed gives the same clip to the last bit; what they add is that a step can be replaced
or run by itself. Written for the block interface of diffusers 0.42, which calls it experimental.
"""

from typing import Any

from diffusers import modular_pipelines
from diffusers.modular_pipelines.modular_pipeline import (
    ModularPipelineBlocks,
    PipelineState,
    SequentialPipelineBlocks,
)
from diffusers.schedulers import FlowMatchEulerDiscreteScheduler
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from sorakit.canvas import Canvas
from sorakit.diffusion.guidance import Guidance
from sorakit.given import gather
from sorakit.model.dit import VideoDiT
from sorakit.model.text import TextEncoder
from sorakit.model.vae import VideoVAE
from sorakit.pipeline import SoraPipeline, check_output_type, finish, size_of
from sorakit.sampling import check_prompts, denoise, draw_noise, set_timesteps, with_empty

__all__ = ["DecodeBlock", "DenoiseBlock", "LatentsBlock", "SoraBlocks", "TextBlock", "modular_pipeline"]

Step = tuple[Any, PipelineState]

_modular: Any = modular_pipelines  # only half of it has types
ComponentSpec, ConfigSpec = _modular.ComponentSpec, _modular.ConfigSpec
InputParam, OutputParam = _modular.InputParam, _modular.OutputParam
ModularPipeline = _modular.ModularPipeline

Params = list[Any]
"""Of diffusers' `ComponentSpec`, `InputParam` or `OutputParam`."""

_VAE = ComponentSpec("vae", VideoVAE, description="autoencoder; none for a model in pixels")
_TRANSFORMER = ComponentSpec("transformer", VideoDiT)


class _Block(ModularPipelineBlocks):
    """What the four share: reading and writing the state, with types."""

    model_name = "sorakit"  # type: ignore[assignment]  # diffusers says None

    def read(self, state: PipelineState) -> Any:
        """The inputs, as attributes."""
        me: Any = self
        return me.get_block_state(state)

    def write(self, components: Any, state: PipelineState, block: Any) -> Step:
        """Put the outputs back."""
        me: Any = self
        me.set_block_state(state, block)
        return components, state


class TextBlock(_Block):
    """Prompts to vectors, and the empty prompt's for guidance."""

    @property
    def description(self) -> str:
        """One line for diffusers' listing."""
        return "Encodes the prompts, and as many empty ones"

    @property
    def expected_components(self) -> Params:
        """What it needs."""
        return [
            ComponentSpec("tokenizer", PreTrainedTokenizerFast),
            ComponentSpec("text_encoder", TextEncoder),
        ]

    @property
    def inputs(self) -> Params:
        """What it reads."""
        return [InputParam("prompt", required=True, description="a text or a list of texts")]

    @property
    def intermediate_outputs(self) -> Params:
        """What it adds."""
        return [
            OutputParam("prompts", type_hint=list),
            OutputParam("text", type_hint=tuple, description="(N, L, D) and (N, D)"),
            OutputParam("empty", type_hint=tuple, description="as `text`"),
        ]

    def __call__(self, components: Any, state: PipelineState) -> Step:
        """Run."""
        block = self.read(state)
        block.prompts = check_prompts(block.prompt)
        parts = (components.tokenizer, components.text_encoder)
        device = components._execution_device
        block.text, block.empty = with_empty(*parts, block.prompts, device)
        return self.write(components, state, block)


class LatentsBlock(_Block):
    """Starting noise, and the given frames as the model takes them."""

    @property
    def description(self) -> str:
        """One line for diffusers' listing."""
        return "Draws the starting noise and prepares images and frames that are given"

    @property
    def expected_components(self) -> Params:
        """What it needs."""
        return [_TRANSFORMER, _VAE]

    @property
    def expected_configs(self) -> Params:
        """The usual clip (T, H, W)."""
        return [ConfigSpec("size", default=None, description="as in `SoraPipeline`")]

    @property
    def inputs(self) -> Params:
        """What it reads."""
        asked = ("image", "last_image", "frames", "num_frames", "height", "width", "generator", "latents")
        return [InputParam("prompts", required=True), *(InputParam(name) for name in asked)]

    @property
    def intermediate_outputs(self) -> Params:
        """What it adds."""
        return [
            OutputParam("latents", type_hint=Tensor, description="(N, C, T', H', W')"),
            OutputParam("given", description="`GivenFrames` or None"),
            OutputParam("held", description="`Held` or None"),
        ]

    def __call__(self, components: Any, state: PipelineState) -> Step:
        """Run."""
        block = self.read(state)
        canvas, count = Canvas(components.transformer, components.vae), len(block.prompts)
        usual = components.config.get("size") or canvas.size
        size = size_of(usual, block.num_frames, block.height, block.width)
        shape, device = canvas.shape(size, count), components._execution_device
        pictures = {"image": block.image, "last_image": block.last_image, "frames": block.frames}
        block.given = gather(count, size, **pictures, group=canvas.group)
        block.held = None if block.given is None else canvas.held(block.given, device)
        block.latents = draw_noise((count, *shape), block.generator, block.latents, device)
        return self.write(components, state, block)


class DenoiseBlock(_Block):
    """Noise to a clip, along the scheduler's noise levels."""

    @property
    def description(self) -> str:
        """One line for diffusers' listing."""
        return "Follows the guided velocity field from noise to a clip"

    @property
    def expected_components(self) -> Params:
        """What it needs."""
        return [_TRANSFORMER, ComponentSpec("scheduler", FlowMatchEulerDiscreteScheduler)]

    @property
    def inputs(self) -> Params:
        """What it reads."""
        made = [InputParam(name, required=True) for name in ("text", "empty", "latents")]
        return [
            *made,
            InputParam("held"),
            InputParam("generator"),
            InputParam("paste", default=True),
            InputParam("num_inference_steps", default=16),
            InputParam("guidance_scale", default=3.0),
            InputParam("guidance_interval", default=(0.0, 1.0)),
        ]

    @property
    def intermediate_outputs(self) -> Params:
        """What it changes."""
        return [OutputParam("latents", type_hint=Tensor, description="(N, C, T', H', W')")]

    def __call__(self, components: Any, state: PipelineState) -> Step:
        """Run."""
        block = self.read(state)
        guidance = Guidance(block.guidance_scale, *block.guidance_interval)
        set_timesteps(components.scheduler, block.num_inference_steps, components._execution_device)
        block.latents = denoise(
            components.transformer, components.scheduler, block.latents,
            text=block.text, empty=block.empty, guidance=guidance, held=block.held, lead=block.paste,
            generator=block.generator,
        )  # fmt: skip
        return self.write(components, state, block)


class DecodeBlock(_Block):
    """Latents to frames, with the given ones in their places."""

    @property
    def description(self) -> str:
        """One line for diffusers' listing."""
        return "Decodes the clip and pastes the given frames"

    @property
    def expected_components(self) -> Params:
        """What it needs."""
        return [_TRANSFORMER, _VAE]

    @property
    def inputs(self) -> Params:
        """What it reads."""
        kept = (InputParam("given"), InputParam("paste", default=True))
        return [InputParam("latents", required=True), *kept, InputParam("output_type", default="np")]

    @property
    def intermediate_outputs(self) -> Params:
        """What it adds."""
        return [OutputParam("frames", description="as `SoraPipelineOutput.frames`")]

    def __call__(self, components: Any, state: PipelineState) -> Step:
        """Run."""
        block = self.read(state)
        check_output_type(block.output_type)
        canvas = Canvas(components.transformer, components.vae)
        given = block.given if block.paste else None
        block.frames = finish(canvas, block.latents, block.output_type, given)
        return self.write(components, state, block)


class SoraBlocks(SequentialPipelineBlocks):
    """The four in order."""

    model_name = "sorakit"
    block_classes = [TextBlock, LatentsBlock, DenoiseBlock, DecodeBlock]  # noqa: RUF012 - diffusers' types
    block_names = ["text", "latents", "denoise", "decode"]  # noqa: RUF012

    @property
    def description(self) -> str:
        """One line for diffusers' listing."""
        return "Text, images and frames to video"


def modular_pipeline(pipe: SoraPipeline) -> Any:
    """A diffusers `ModularPipeline` of `SoraBlocks` with `pipe`'s parts, shared, not copied.

    >>> from sorakit.generate import load_pipeline
    >>> blocks = modular_pipeline(load_pipeline())
    >>> text = "a big red circle bounces on a navy background"
    >>> blocks(prompt=text, num_inference_steps=2, output="frames").shape
    (1, 16, 32, 32, 3)
    """
    blocks: Any = SoraBlocks
    made = ModularPipeline(blocks=blocks())
    parts = {k: v for k, v in pipe.components.items() if v is not None}
    made.update_components(**parts, size=pipe.config.get("size"))
    return made
