from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.schedulers import FlowMatchEulerDiscreteScheduler

from sorakit.errors import ModelError, UsageError
from sorakit.generate import load_pipeline
from sorakit.model.dit import VideoDiT
from sorakit.model.text import TextEncoder
from sorakit.model.tokenizer import build_tokenizer
from sorakit.model.vae import VideoVAE
from sorakit.modular import DecodeBlock, SoraBlocks, modular_pipeline
from sorakit.pipeline import SoraPipeline
from sorakit.schedulers import scheduler_of
from sorakit.world.caption import EXAMPLE


@pytest.fixture(scope="module", params=["pixels", "latents"])
def pipe(request: pytest.FixtureRequest) -> SoraPipeline:
    torch.manual_seed(0)
    vae, space = None, {}
    if request.param == "latents":
        vae = VideoVAE(channels=4, encoder_widths=(8, 8), decoder_widths=(8, 8, 8)).eval()
        space = {"channels": 4, "patch": (1, 2, 2)}
    dit = VideoDiT(width=16, depth=1, heads=2, text_width=16, given_frames=True, **space)
    with torch.no_grad():
        for p in dit.parameters():
            p.add_(0.1 * torch.randn_like(p))
    text = TextEncoder(width=16, heads=2)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=4.0)
    out = SoraPipeline(build_tokenizer(), text.eval(), dit.eval(), scheduler, vae, size=(8, 32, 32))
    out.set_progress_bar_config(disable=True)
    return out


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_the_interface_is_the_one_written_for() -> None:
    assert diffusers.__version__.startswith("0.42."), "its base is experimental: look again"


@pytest.mark.parametrize("output_type", ["np", "pt", "latent"])
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("solver", ["euler", "stochastic"])
def test_blocks_and_pipeline_agree_to_the_bit(
    pipe: SoraPipeline, output_type: str, given: bool, solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe, "scheduler", scheduler_of(solver, 4.0))
    arguments: dict[str, Any] = {"num_inference_steps": 3, "guidance_scale": 2.0, "output_type": output_type}
    if given:
        arguments["image"] = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    whole = pipe([EXAMPLE, ""], **arguments, generator=seeded()).frames
    parts = modular_pipeline(pipe)(prompt=[EXAMPLE, ""], **arguments, generator=seeded(), output="frames")
    torch.testing.assert_close(torch.as_tensor(parts), torch.as_tensor(whole), rtol=0, atol=0)


def test_the_packaged_model_too() -> None:
    pipe = load_pipeline()
    whole = pipe(EXAMPLE, num_inference_steps=4, generator=seeded()).frames
    parts = modular_pipeline(pipe)(prompt=EXAMPLE, num_inference_steps=4, generator=seeded(), output="frames")
    np.testing.assert_array_equal(parts, whole)


def test_a_block_can_be_left_out_or_replaced(pipe: SoraPipeline) -> None:
    class Grey(DecodeBlock):
        def __call__(self, components: Any, state: Any) -> Any:
            block = self.read(state)
            block.frames = np.full((1, 1, 1, 1, 3), 128, np.uint8)
            return self.write(components, state, block)

    blocks = SoraBlocks()
    blocks.sub_blocks["decode"] = Grey()
    made = diffusers.modular_pipelines.ModularPipeline(blocks=blocks)
    made.update_components(**{k: v for k, v in pipe.components.items() if v is not None})
    state = made(prompt=EXAMPLE, num_frames=4, height=32, width=32, num_inference_steps=1)
    assert state.get("frames").shape == (1, 1, 1, 1, 3)
    assert state.get("latents").shape[1] == pipe.transformer.channels


def test_blocks_refuse_what_the_pipeline_refuses(pipe: SoraPipeline) -> None:
    made = modular_pipeline(pipe)
    with pytest.raises(UsageError, match="does not know “dragon”"):
        made(prompt="a red dragon")
    with pytest.raises(UsageError, match="num_frames"):
        made(prompt=EXAMPLE, num_frames=5)
    with pytest.raises(UsageError, match="output_type"):
        made(prompt=EXAMPLE, num_inference_steps=1, output_type="pil")
    if pipe.vae is not None:
        made.update_components(vae=None)
        with pytest.raises(ModelError, match="needs a `vae`"):
            made(prompt=EXAMPLE)
