from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sorakit.diffusion.guidance import Guidance, guided_velocity
from sorakit.diffusion.solver import euler, sigmas
from sorakit.errors import UsageError
from sorakit.model.dit import VideoDiT, forward_flops
from sorakit.model.family import dit_config, on_meta, unet_like
from sorakit.model.unet import VideoUNet, unet_flops
from sorakit.train.codec import open_codec
from sorakit.train.objective import Pair, batch_loss
from sorakit.train.recipe import RECIPES
from sorakit.world.dataset import MAKEUP, batches

SMALL = {"widths": (16, 32), "heads": 2, "text_width": 24}
CLIP = (16, 32, 32)


def text(batch: int) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, 5, 24), torch.randn(batch, 24)


def stirred(model: VideoUNet) -> VideoUNet:
    """Zero-initialised layers filled, as after training."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model.eval()


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("size", [(16, 32, 32), (4, 8, 8), (24, 16, 40)])
def test_any_length_and_size_runs(size: tuple[int, int, int], joint: bool) -> None:
    model = stirred(VideoUNet(**SMALL, joint_text=joint))
    out = model(torch.randn(2, 3, *size), torch.tensor([10.0, 900.0]), *text(2))
    assert out.shape == (2, 3, *size)
    assert out.isfinite().all()


def test_three_resolutions_and_latents_run() -> None:
    deep = stirred(VideoUNet(patch=(2, 8, 8), widths=(8, 16, 24), heads=2, text_width=24))
    assert deep(torch.randn(1, 3, 6, 16, 24), torch.ones(1), *text(1)).shape == (1, 3, 6, 16, 24)
    latent = stirred(VideoUNet(channels=48, patch=(1, 2, 2), **SMALL))
    assert latent(torch.randn(1, 48, 3, 4, 6), torch.ones(1), *text(1)).shape == (1, 48, 3, 4, 6)


def test_a_new_model_predicts_zero() -> None:
    out = VideoUNet(**SMALL)(torch.randn(1, 3, 4, 8, 8), torch.tensor([500.0]), *text(1))
    assert not out.any()


def test_clips_of_a_batch_do_not_see_each_other() -> None:
    model = stirred(VideoUNet(**SMALL, joint_text=True))
    z, t, (tokens, pooled) = torch.randn(2, 3, 8, 16, 16), torch.tensor([100.0, 700.0]), text(2)
    both = model(z, t, tokens, pooled)
    for i in range(2):
        alone = model(z[i : i + 1], t[i : i + 1], tokens[i : i + 1], pooled[i : i + 1])
        torch.testing.assert_close(both[i : i + 1], alone, rtol=1e-4, atol=1e-4)


def test_everything_that_it_is_told_changes_the_output() -> None:
    model = stirred(VideoUNet(**SMALL, joint_text=True, given_frames=True))
    z, (tokens, pooled), given = torch.randn(1, 3, 8, 16, 16), text(1), torch.zeros(1, 8)
    first = model(z, torch.tensor([100.0]), tokens, pooled, given)
    given[0, 5] = 1
    for args in (
        (z, torch.tensor([800.0]), tokens, pooled),
        (z, torch.tensor([100.0]), -tokens, pooled),
        (z, torch.tensor([100.0]), tokens, -pooled),
        (z, torch.tensor([100.0]), tokens, pooled, given),
    ):
        assert not torch.allclose(first, model(*args))


def test_every_pixel_depends_on_every_other_time_and_place() -> None:
    model = stirred(VideoUNet(**SMALL))
    z = torch.randn(1, 3, *CLIP, requires_grad=True)
    (seen,) = torch.autograd.grad(model(z, torch.ones(1), *text(1))[0, 0, 0, 0, 0], z)
    assert (seen.abs().amax((0, 1)) > 0).all()


def test_what_does_not_fit_is_refused() -> None:
    model = VideoUNet(**SMALL)
    with pytest.raises(UsageError, match="multiples"):
        model(torch.randn(1, 3, 16, 28, 32), torch.ones(1), *text(1))  # whole at the top, not below
    with pytest.raises(UsageError, match="given_frames"):
        model(torch.randn(1, 3, 4, 8, 8), torch.ones(1), *text(1), torch.zeros(1, 4))
    with pytest.raises(UsageError, match="halve"):
        VideoUNet(patch=(4, 6, 6), widths=(8, 16, 32))
    with pytest.raises(UsageError, match="prediction"):
        VideoUNet(**SMALL, prediction="z")


def test_weights_and_dials_survive_the_disk(tmp_path: Path) -> None:
    model = stirred(VideoUNet(**SMALL, prediction="v", joint_text=True))
    model.save_pretrained(tmp_path)
    again = VideoUNet.from_pretrained(tmp_path, use_safetensors=True, low_cpu_mem_usage=False).eval()
    assert (again.prediction, again.patch, again.stem) == ("v", (4, 8, 8), (4, 4, 4))
    args = (torch.randn(1, 3, 4, 8, 8), torch.tensor([300.0]), *text(1))
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    # convolutions choose their kernel by where the weights lie in memory
    torch.testing.assert_close(again(*args), model(*args), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"joint_text": True}, {"patch": (2, 8, 8), "widths": (8, 16, 24)}])
def test_flops_count_what_torch_counts(options: dict[str, object]) -> None:
    model = VideoUNet(**({"text_width": 24} | options))
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(1, 3, *CLIP), torch.tensor([500.0]), *text(1))
    words = 5 if "joint_text" in options else 0
    assert unet_flops(model, *CLIP, words=words) == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_the_default_costs_what_the_default_dit_does() -> None:
    dit, unet = VideoDiT(), VideoUNet()
    assert unet_flops(unet, *CLIP) == pytest.approx(forward_flops(dit, *CLIP), rel=0.05)
    text = torch.randn(1, 4, 128), torch.randn(1, 128)
    trained = []
    for model in (dit, unet):
        with FlopCounterMode(display=False) as counter:
            model(torch.randn(1, 3, *CLIP), torch.ones(1), *text).square().sum().backward()
        trained.append(counter.get_total_flops())
    assert trained[1] == pytest.approx(trained[0], rel=0.1)


@pytest.mark.parametrize(
    ("depth", "latent", "shape"), [(4, False, CLIP), (8, False, CLIP), (6, True, (4, 8, 8))]
)
def test_one_dial_for_both(depth: int, latent: bool, shape: tuple[int, int, int]) -> None:
    config = dit_config(depth, latent=latent)
    options = unet_like(config, shape, words=4)
    with torch.device("meta"):
        unet = VideoUNet(**options)
    dit = on_meta(config)
    assert unet_flops(unet, *shape, words=4) == pytest.approx(forward_flops(dit, *shape, words=4), rel=0.05)
    assert (unet.channels, unet.patch, unet.mean) == (dit.channels, dit.patch, dit.mean)
    assert options["widths"][1] == pytest.approx(2 * options["widths"][0], rel=0.15)


def test_it_trains_with_the_same_loss_and_probe() -> None:
    recipe = replace(RECIPES["tiny"], bf16=False)
    torch.manual_seed(0)
    pair = Pair(recipe)
    pair.dit = VideoUNet(widths=(16, 32), text_width=48, joint_text=True, given_frames=True)
    pair.probe = torch.nn.Linear(pair.dit.width, MAKEUP)
    codec = open_codec("", pair.dit, torch.device("cpu"))
    batch = next(batches(1, replace(recipe, batch=4, given=1.0).draw))
    optimiser = torch.optim.AdamW(pair.parameters(), 5e-3)
    losses = []
    for _ in range(16):
        loss = batch_loss(pair, batch, recipe, torch.Generator().manual_seed(0), codec)
        optimiser.zero_grad()
        loss.backward()
        losses.append(float(loss.detach()))
        optimiser.step()
    assert losses[-1] < 0.6 * losses[0]
    assert all(bool(p.grad.any()) for p in pair.dit.parameters())
    assert bool(pair.probe.weight.grad.any())


def test_it_is_sampled_like_the_dit() -> None:
    model, (tokens, pooled) = stirred(VideoUNet(**SMALL)), text(2)
    velocity = guided_velocity(model, (tokens, pooled), (0 * tokens, 0 * pooled), Guidance(3.0))
    clip = euler(velocity, torch.randn(2, 3, 4, 8, 8), sigmas(2))
    assert clip.shape == (2, 3, 4, 8, 8)
    assert clip.isfinite().all()
