import copy
import shutil
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
from PIL import Image

from sorakit.continuity import endpoint_psnr
from sorakit.diffusion.guidance import Guidance, guided_velocity
from sorakit.diffusion.solver import euler, sigmas
from sorakit.errors import ModelError, UsageError
from sorakit.generate import DEFAULT_MODEL, load_pipeline
from sorakit.model.dit import VideoDiT
from sorakit.model.text import TextEncoder
from sorakit.model.tokenizer import build_tokenizer
from sorakit.model.vae import VideoVAE
from sorakit.pipeline import SoraPipeline
from sorakit.schedulers import scheduler_for
from sorakit.types import Rgb
from sorakit.world.caption import EXAMPLE, parse
from sorakit.world.oracle import mean_scores


def tiny(vae: VideoVAE | None = None, **model: object) -> SoraPipeline:
    torch.manual_seed(0)
    dit = VideoDiT(width=32, depth=2, heads=2, text_width=32, given_frames=True, **model)
    with torch.no_grad():
        for p in dit.parameters():
            p.add_(0.05 * torch.randn_like(p))
    text = TextEncoder(width=32, heads=2)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=4.0)
    out = SoraPipeline(build_tokenizer(), text.eval(), dit.eval(), scheduler, vae)
    out.set_progress_bar_config(disable=True)
    return out


@pytest.fixture(scope="module")
def pipe() -> SoraPipeline:
    return tiny()


@pytest.fixture(scope="module")
def latent() -> SoraPipeline:
    torch.manual_seed(1)
    vae = VideoVAE(channels=6, encoder_widths=(8, 8), decoder_widths=(8, 8, 8)).eval()
    return tiny(vae, channels=6, patch=(1, 2, 2), mean=0.1, std=1.2)


@pytest.fixture(scope="module", params=["pixels", "latents"])
def either(request: pytest.FixtureRequest, pipe: SoraPipeline, latent: SoraPipeline) -> SoraPipeline:
    return pipe if request.param == "pixels" else latent


def picture(seed: int, *shape: int) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


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


def test_a_saved_pipeline_gives_the_same_clip(either: SoraPipeline, tmp_path: Path) -> None:
    either.save_pretrained(tmp_path)
    again = SoraPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert not list(tmp_path.rglob("*.bin"))
    assert (again.vae is None) == (either.vae is None)
    for kind in ("latent", "np"):
        args = {"num_inference_steps": 3, "output_type": kind}
        a, b = (torch.as_tensor(p(EXAMPLE, **args, generator=seeded()).frames) for p in (either, again))
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_the_usual_size_is_saved_and_old_folders_still_load(pipe: SoraPipeline, tmp_path: Path) -> None:
    parts = {k: v for k, v in pipe.components.items() if v is not None}
    SoraPipeline(**parts, size=(8, 16, 24)).save_pretrained(tmp_path)
    again = SoraPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert again(EXAMPLE, num_inference_steps=1).frames.shape == (1, 8, 16, 24, 3)
    old = SoraPipeline.from_pretrained(DEFAULT_MODEL)
    assert (old.size, old.vae) == ((16, 32, 32), None)


def test_a_newer_format_is_refused_before_anything_loads(pipe: SoraPipeline, tmp_path: Path) -> None:
    pipe.save_pretrained(tmp_path)
    index = tmp_path / "model_index.json"
    index.write_text(index.read_text().replace('"format": "1.0"', '"format": "2.0"'))
    (tmp_path / "transformer" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"format 2\.0, this sorakit reads formats up to 1\.x"):
        SoraPipeline.from_pretrained(tmp_path)


def test_a_missing_part_is_named(pipe: SoraPipeline, latent: SoraPipeline, tmp_path: Path) -> None:
    parts = {k: v for k, v in latent.components.items() if k != "vae"}
    with pytest.raises(ModelError, match="needs a `vae`"):
        SoraPipeline(**parts)(EXAMPLE)
    with pytest.raises(ModelError, match="the model takes 3 channels, the `vae` has 6"):
        SoraPipeline(**parts | {"transformer": pipe.transformer, "vae": latent.vae})(EXAMPLE)
    with pytest.raises(ModelError, match="has no `text_encoder`"):
        SoraPipeline(**parts | {"text_encoder": None})(EXAMPLE)
    pipe.save_pretrained(tmp_path)
    shutil.rmtree(tmp_path / "text_encoder")
    with pytest.raises(ModelError, match="does not load as a pipeline"):
        SoraPipeline.from_pretrained(tmp_path)


def test_pickles_are_not_read(pipe: SoraPipeline, tmp_path: Path) -> None:
    pipe.save_pretrained(tmp_path, safe_serialization=False)
    assert list(tmp_path.rglob("*.bin"))
    for options in ({}, {"use_safetensors": False}):
        with pytest.raises(ModelError):
            SoraPipeline.from_pretrained(tmp_path, **options)


def test_latents_have_a_quarter_of_the_frames(latent: SoraPipeline) -> None:
    z = latent(EXAMPLE, num_frames=8, height=16, width=48, num_inference_steps=1, output_type="latent").frames
    assert z.shape == (1, 6, 2, 2, 6)
    assert latent(EXAMPLE, num_frames=4, num_inference_steps=1).frames.shape == (1, 4, 64, 64, 3)
    with pytest.raises(UsageError, match="`height` must be a positive multiple of 16, got 24"):
        latent(EXAMPLE, height=24)
    with pytest.raises(UsageError, match="`num_frames` must be a positive multiple of 4, got 6"):
        latent(EXAMPLE, num_frames=6)


def test_the_latent_scale_is_undone(latent: SoraPipeline) -> None:
    canvas, clip = latent.canvas, picture(0, 1, 4, 16, 16)
    z = canvas.encode(clip, torch.device("cpu"))
    plain = latent.vae.encode(torch.from_numpy(clip).permute(0, 4, 1, 2, 3).float() / 127.5 - 1)
    torch.testing.assert_close(z, (plain - 0.1) / 1.2, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(canvas.decode(z), latent.vae.decode(plain), rtol=1e-3, atol=1e-3)


def test_the_stock_scheduler_agrees_with_our_solver(pipe: SoraPipeline) -> None:
    noise = torch.randn(1, 3, 8, 32, 32, generator=seeded())
    stock = pipe(EXAMPLE, num_frames=8, num_inference_steps=5, latents=noise, output_type="latent").frames
    with torch.no_grad():
        prompt, empty = pipe.encode_prompt([EXAMPLE]), pipe.encode_prompt([""])
    ours = euler(guided_velocity(pipe.transformer, prompt, empty, Guidance(3.0)), noise, sigmas(5, 4.0))
    torch.testing.assert_close(stock, ours, rtol=1e-3, atol=1e-3)


FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 4.0}
OTHERS = [
    (FlowMatchHeunDiscreteScheduler, {"shift": 4.0}),
    (UniPCMultistepScheduler, FLOW),
    (DPMSolverMultistepScheduler, FLOW),
]


@pytest.mark.parametrize(("kind", "options"), OTHERS)
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


@pytest.mark.parametrize(("kind", "options"), [(FlowMatchEulerDiscreteScheduler, {"shift": 4.0}), *OTHERS])
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers 0.42
def test_every_scheduler_leads_to_given_frames(
    pipe: SoraPipeline, kind: type, options: dict[str, object]
) -> None:
    parts = {k: v for k, v in pipe.components.items() if v is not None}
    other = SoraPipeline(**parts | {"scheduler": kind(**options)})
    other.set_progress_bar_config(disable=True)
    first, last = picture(1, 32, 32), picture(2, 32, 32)
    args = {"image": first, "last_image": last, "num_inference_steps": 6}
    out = other(EXAMPLE, **args, generator=seeded()).frames[0]
    assert endpoint_psnr(out, {0: first, -1: last}) == {0: 100, -1: 100}
    z = other(EXAMPLE, **args, generator=seeded(), output_type="latent").frames  # before pasting
    wanted = other.canvas.encode(np.stack([first, last])[:, None], torch.device("cpu"))
    led = z[0, :, [0, -1]].transpose(0, 1)  # (2, C, H, W)
    assert (led - wanted[:, :, 0]).abs().max() < 0.05


def test_given_frames_come_out_as_given(either: SoraPipeline) -> None:
    T, H, W = 8, 32, 32
    run = picture(1, 4, H, W)
    args = {"num_frames": T, "height": H, "width": W, "num_inference_steps": 2}
    for place, where in ((0, slice(0, 4)), (-4, slice(4, 8))):
        out = either(EXAMPLE, frames={place: run}, **args, generator=seeded())
        np.testing.assert_array_equal(out.frames[0][where], run)
        free = either(EXAMPLE, frames={place: run}, paste=False, **args, generator=seeded()).frames[0]
        assert (free[where] != run).any()
    soft = either(EXAMPLE, frames={0: run}, output_type="pt", **args, generator=seeded()).frames
    hard = either(EXAMPLE, frames={0: run}, **args, generator=seeded()).frames
    np.testing.assert_array_equal(either.canvas.to_rgb(soft), hard)


def test_what_is_given_changes_the_rest(either: SoraPipeline) -> None:
    args = {"num_frames": 8, "height": 32, "width": 32, "num_inference_steps": 2}
    a, b = (either(EXAMPLE, image=picture(i, 32, 32), **args, generator=seeded()).frames for i in (1, 2))
    assert (a[:, 4:] != b[:, 4:]).any()


def test_each_clip_of_a_batch_has_its_own(pipe: SoraPipeline) -> None:
    args = {"num_frames": 4, "num_inference_steps": 2}
    seeds = [seeded(1), seeded(2)]
    both = pipe(
        [EXAMPLE, EXAMPLE],
        image=[None, picture(3, 32, 32)],
        frames=[{2: picture(4, 32, 32)}, None],
        **args,
        generator=seeds,
    ).frames
    np.testing.assert_array_equal(both[1, 0], picture(3, 32, 32))
    np.testing.assert_array_equal(both[0, 2], picture(4, 32, 32))
    alone = pipe(EXAMPLE, frames={2: picture(4, 32, 32)}, **args, generator=seeded(1)).frames[0]
    assert np.abs(both[0].astype(int) - alone).max() <= 1


def test_new_noise_on_the_way_comes_from_each_clips_own_seed(
    pipe: SoraPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = {"num_frames": 4, "num_inference_steps": 3, "output_type": "latent"}
    plain = pipe(EXAMPLE, **args, generator=seeded(1)).frames
    monkeypatch.setattr(pipe, "scheduler", scheduler_for("stochastic", pipe.scheduler))
    both = pipe([EXAMPLE, EXAMPLE], **args, generator=[seeded(1), seeded(2)]).frames
    alone = pipe(EXAMPLE, **args, generator=seeded(1)).frames
    assert torch.equal(alone, pipe(EXAMPLE, **args, generator=seeded(1)).frames)
    torch.testing.assert_close(both[:1], alone)
    assert (both[0] - both[1]).abs().max() > 0.1
    assert (plain - alone).abs().max() > 0.01
    start = torch.zeros_like(alone)
    one, two = (pipe(EXAMPLE, **args, latents=start, generator=seeded(i)).frames for i in (1, 2))
    assert (one - two).abs().max() > 0.01


def test_pil_pictures_are_taken(pipe: SoraPipeline) -> None:
    image = Image.fromarray(picture(1, 32, 32))
    out = pipe(EXAMPLE, image=image, num_frames=4, num_inference_steps=1).frames
    np.testing.assert_array_equal(out[0, 0], picture(1, 32, 32))


def test_a_latent_image_fills_its_group(latent: SoraPipeline) -> None:
    args = {"num_frames": 12, "height": 32, "width": 32, "num_inference_steps": 1}
    out = latent(EXAMPLE, image=picture(1, 32, 32), last_image=picture(2, 32, 32), **args).frames[0]
    for i in range(4):
        np.testing.assert_array_equal(out[i], picture(1, 32, 32))
        np.testing.assert_array_equal(out[8 + i], picture(2, 32, 32))
    with pytest.raises(UsageError, match="4 at a time; got part of 4 to 7"):
        latent(EXAMPLE, frames={5: picture(1, 32, 32)}, **args)


def test_a_model_that_takes_no_frames_says_so(text_only: Path) -> None:
    with pytest.raises(UsageError, match="not trained to be given frames"):
        load_pipeline(text_only)(EXAMPLE, image=picture(1, 32, 32))


def test_generators_by_the_clip(pipe: SoraPipeline) -> None:
    args = {"num_frames": 4, "num_inference_steps": 2}
    both = pipe([EXAMPLE, EXAMPLE], **args, generator=[seeded(1), seeded(2)]).frames
    for i in (0, 1):
        alone = pipe(EXAMPLE, **args, generator=seeded(i + 1)).frames[0]
        assert np.abs(both[i].astype(int) - alone).max() <= 1
    with pytest.raises(UsageError, match="one for each of the 2 clips, got 1"):
        pipe([EXAMPLE, EXAMPLE], generator=[seeded()])


def test_bfloat16_on_the_cpu(either: SoraPipeline) -> None:
    half = copy.deepcopy(either).to(torch.bfloat16)
    assert half.transformer.dtype == half.text_encoder.dtype == torch.bfloat16
    args = {"num_frames": 8, "height": 32, "width": 32, "num_inference_steps": 3, "image": picture(1, 32, 32)}
    a, b = (p(EXAMPLE, **args, generator=seeded(), output_type="latent").frames for p in (either, half))
    assert b.dtype == torch.float32
    assert (a - b).abs().mean() < 0.05 * a.abs().mean()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_in_bfloat16_agrees_with_the_cpu(either: SoraPipeline) -> None:
    moved = copy.deepcopy(either).to("cuda", torch.bfloat16)
    args = {"num_frames": 8, "height": 32, "width": 32, "num_inference_steps": 3, "image": picture(1, 32, 32)}
    a, b = (p(EXAMPLE, **args, generator=seeded(), output_type="latent").frames for p in (either, moved))
    assert b.device.type == "cuda"
    assert (a - b.cpu()).abs().mean() < 0.05 * a.abs().mean()
    np.testing.assert_array_equal(moved(EXAMPLE, **args, generator=seeded()).frames[0, 0], picture(1, 32, 32))


def test_the_progress_bar_counts_evaluations(pipe: SoraPipeline, capsys: pytest.CaptureFixture[str]) -> None:
    pipe.set_progress_bar_config(disable=False)
    pipe(EXAMPLE, num_frames=4, num_inference_steps=3)
    pipe.set_progress_bar_config(disable=True)
    assert "3/3" in capsys.readouterr().err


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
        ({"prompt": "a big red dragon"}, "does not know “dragon”"),
        ({"prompt": EXAMPLE + " and" * 9}, "at most 16 words"),
        ({"image": np.zeros((16, 16, 3), np.uint8)}, "must be 32×32 px as the clip, got 16×16"),
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
