from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.schedulers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    UniPCMultistepScheduler,
)

from sorakit.diffusion.guidance import Guidance, guided_velocity
from sorakit.diffusion.solver import euler, sigmas
from sorakit.errors import UsageError
from sorakit.generate import load_pipeline
from sorakit.model.dit import VideoDiT
from sorakit.model.text import TextEncoder
from sorakit.model.tokenizer import build_tokenizer
from sorakit.pipeline import SoraPipeline
from sorakit.world.caption import EXAMPLE, parse
from sorakit.world.oracle import mean_scores


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """The networks here are too small for several threads, which cost much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pipe() -> SoraPipeline:
    torch.manual_seed(0)
    dit = VideoDiT(width=32, depth=2, heads=2, text_width=32)
    with torch.no_grad():
        for p in dit.parameters():
            p.add_(0.05 * torch.randn_like(p))
    text = TextEncoder(width=32, heads=2)
    out = SoraPipeline(build_tokenizer(), text.eval(), dit.eval(), FlowMatchEulerDiscreteScheduler(shift=4.0))
    out.set_progress_bar_config(disable=True)
    return out


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_one_seed_gives_one_clip(pipe: SoraPipeline) -> None:
    first = pipe(EXAMPLE, num_inference_steps=3, generator=seeded()).frames
    assert first.shape == (1, 16, 32, 32, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, pipe(EXAMPLE, num_inference_steps=3, generator=seeded()).frames)
    assert (first != pipe(EXAMPLE, num_inference_steps=3, generator=seeded(4)).frames).any()
    other = pipe(
        "a small cyan cross moves left on a black background", num_inference_steps=3, generator=seeded()
    )
    assert (first != other.frames).any()


def test_a_saved_pipeline_gives_the_same_clip(pipe: SoraPipeline, tmp_path: Path) -> None:
    pipe.save_pretrained(tmp_path)
    again = SoraPipeline.from_pretrained(tmp_path, use_safetensors=True, low_cpu_mem_usage=False)
    again.set_progress_bar_config(disable=True)
    assert not list(tmp_path.rglob("*.bin"))
    a, b = (
        p(EXAMPLE, num_inference_steps=3, generator=seeded(), output_type="latent") for p in (pipe, again)
    )
    torch.testing.assert_close(a.frames, b.frames, rtol=0, atol=0)


def test_the_stock_scheduler_agrees_with_our_solver(pipe: SoraPipeline) -> None:
    noise = torch.randn(1, 3, 8, 32, 32, generator=seeded())
    stock = pipe(EXAMPLE, num_frames=8, num_inference_steps=5, latents=noise, output_type="latent").frames
    with torch.no_grad():
        prompt, empty = pipe.encode_prompt([EXAMPLE]), pipe.encode_prompt([""])
    ours = euler(guided_velocity(pipe.transformer, prompt, empty, Guidance(3.0)), noise, sigmas(5, 4.0))
    torch.testing.assert_close(stock, ours, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (FlowMatchHeunDiscreteScheduler, {"shift": 4.0}),
        (
            UniPCMultistepScheduler,
            {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 4.0},
        ),
        (
            DPMSolverMultistepScheduler,
            {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 4.0},
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers 0.42
def test_other_schedulers_draw_the_prompt(kind: type, options: dict[str, object]) -> None:
    own = load_pipeline()
    swapped = SoraPipeline(own.tokenizer, own.text_encoder, own.transformer, kind(**options))
    swapped.set_progress_bar_config(disable=True)
    prompts = [
        f"a big {colour} circle stays still on a navy background" for colour in ("red", "cyan", "white")
    ]
    clips = swapped(prompts, num_inference_steps=12, guidance_interval=(0.3, 1.0), generator=seeded()).frames
    assert mean_scores(clips, [parse(p) for p in prompts])["colour"] >= 2 / 3


def test_the_callback_sees_and_steers_each_step(pipe: SoraPipeline) -> None:
    seen: list[int] = []

    def halfway(_: object, step: int, __: object, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        seen.append(step)
        return {"latents": torch.zeros_like(values["latents"])} if step == 3 else {}

    out = pipe(EXAMPLE, num_inference_steps=4, generator=seeded(), callback_on_step_end=halfway)
    assert seen == [0, 1, 2, 3]
    assert len(np.unique(out.frames)) == 1


def test_a_list_of_prompts_and_every_output(pipe: SoraPipeline) -> None:
    args = {"num_frames": 4, "num_inference_steps": 2}
    pixels = pipe([EXAMPLE, ""], **args, generator=seeded(), output_type="pt").frames
    assert pixels.shape == (2, 3, 4, 32, 32)
    assert pixels.abs().max() <= 1
    frames = pipe([EXAMPLE, ""], **args, generator=seeded(), return_dict=False)[0]
    back = torch.from_numpy(frames).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    torch.testing.assert_close(back, pixels, atol=1 / 127, rtol=0)
    assert pipe(EXAMPLE, num_frames=4, height=16, width=40, num_inference_steps=1).frames.shape == (
        1,
        4,
        16,
        40,
        3,
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"prompt": 5}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"height": 30}, "`height` must be a positive multiple of 8, got 30"),
        ({"num_frames": -4}, "num_frames"),
        ({"width": 8192, "height": 8192}, "tokens"),
        ({"prompt": [EXAMPLE] * 4000}, "fewer or smaller"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"guidance_scale": -1.0}, "guidance"),
        ({"output_type": "pil"}, "output_type"),
        ({"latents": torch.zeros(1, 3, 4, 4, 4)}, "latents"),
        ({"callback_on_step_end_tensor_inputs": ["secrets"]}, "callbacks"),
    ],
)
def test_what_cannot_be_used_is_refused(pipe: SoraPipeline, change: dict[str, object], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        pipe(**({"prompt": EXAMPLE} | change))
