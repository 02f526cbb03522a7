from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from sorakit.errors import UsageError
from sorakit.model.conv import RunningNorm, fold, unfold
from sorakit.model.tiles import Tiling, ramp
from sorakit.model.vae import VideoVAE, fold_frames, unfold_frames
from sorakit.video.convert import rgb_to_array
from sorakit.world import parse, render

SMALL = {"channels": 8, "encoder_widths": (16, 16), "decoder_widths": (16, 16, 16), "depth": 1}
WEIGHTS = Path(__file__).parents[2] / "sorakit" / "weights" / "autoencoder"


@pytest.fixture(scope="module")
def vae() -> VideoVAE:
    """A small one with all layers filled, as after training."""
    torch.manual_seed(0)
    model = VideoVAE(**SMALL).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.03 * torch.randn_like(p))
        model.norm.mean.normal_()
        model.norm.std.uniform_(0.5, 2)
    return model


def clip(*size: int) -> torch.Tensor:
    return torch.rand(*size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
@pytest.mark.parametrize("size", [(16, 32, 32), (4, 8, 8), (5, 32, 48), (1, 48, 32), (24, 8, 64)])
def test_any_length_and_aspect(vae: VideoVAE, size: tuple[int, int, int]) -> None:
    T, H, W = size
    latents = vae.encode(clip(2, 3, *size))
    assert latents.shape == (2, 8, -(-T // 4), H // 8, W // 8)
    out = vae.decode(latents, frames=T)
    assert out.shape == (2, 3, *size)
    assert out.abs().max() <= 1
    assert (vae.channels, vae.temporal, vae.spatial) == (8, 4, 8)


@torch.no_grad()
def test_an_image_is_a_video_of_one_frame_and_padding_repeats_the_last(vae: VideoVAE) -> None:
    x = clip(1, 3, 6, 16, 16)
    image = vae.encode(x[:, :, :1])
    torch.testing.assert_close(image, vae.encode(x[:, :, :1].expand(-1, -1, 4, -1, -1)), rtol=0, atol=0)
    filled = torch.cat([x, x[:, :, -1:], x[:, :, -1:]], 2)
    torch.testing.assert_close(vae.encode(x), vae.encode(filled), rtol=0, atol=0)
    torch.testing.assert_close(vae.decode(image, 1), vae.decode(image)[:, :, :1], rtol=0, atol=0)


@torch.no_grad()
def test_groups_and_clips_do_not_see_each_other(vae: VideoVAE) -> None:
    x = clip(2, 3, 8, 16, 16)
    whole = vae.encode(x)
    parts = torch.cat([vae.encode(x[:, :, :4]), vae.encode(x[:, :, 4:])], 2)
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole[1:], vae.encode(x[1:]), rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_refused(vae: VideoVAE) -> None:
    with pytest.raises(UsageError, match="multiples of 8, got 30 × 32; nearest: 32 × 32"):
        vae.encode(clip(1, 3, 4, 30, 32))
    with pytest.raises(UsageError, match=r"\(B, 3, T ≥ 1, H, W\)"):
        vae.encode(clip(1, 1, 4, 32, 32))
    with pytest.raises(UsageError, match=r"\(B, 8, t, h, w\)"):
        vae.decode(torch.zeros(1, 7, 1, 2, 2))
    for frames in (0, 4, 9):
        with pytest.raises(UsageError, match="5 to 8"):
            vae.decode(torch.zeros(1, 8, 2, 2, 2), frames)
    with pytest.raises(UsageError, match="groups"):
        vae.decode_tiled(torch.zeros(1, 8, 2, 2, 2), groups=0)
    with pytest.raises(UsageError, match="overlap"):
        vae.decode_tiled(torch.zeros(1, 8, 2, 2, 2), tile=6, overlap=4)


@torch.no_grad()
def test_weights_survive_the_disk(vae: VideoVAE, tmp_path: Path) -> None:
    vae.save_pretrained(tmp_path)
    again = VideoVAE.from_pretrained(tmp_path, use_safetensors=True, low_cpu_mem_usage=False).eval()
    x = clip(1, 3, 4, 16, 16)
    torch.testing.assert_close(again.encode(x), vae.encode(x), rtol=0, atol=0)
    torch.testing.assert_close(again.decode(again.encode(x)), vae.decode(vae.encode(x)), rtol=0, atol=0)
    assert not list(tmp_path.rglob("*.bin"))


@torch.no_grad()
def test_bfloat16_is_close(vae: VideoVAE) -> None:
    half = VideoVAE(**SMALL).eval()
    half.load_state_dict(vae.state_dict())
    half.to(torch.bfloat16)
    x = clip(1, 3, 8, 16, 16)
    latents = half.encode(x)
    assert latents.dtype == torch.bfloat16
    assert (latents.float() - vae.encode(x)).abs().mean() < 0.02
    assert (half.decode(latents).float() - vae.decode(vae.encode(x))).abs().mean() < 0.02


@torch.no_grad()
def test_pieces_in_time_are_exact(vae: VideoVAE) -> None:
    z = torch.randn(1, 8, 5, 2, 3)
    whole = vae.decode(z, 18)
    pieces = list(vae.decode_chunks(z, 18, groups=2))
    assert [p.shape[2] for p in pieces] == [8, 8, 2]
    torch.testing.assert_close(torch.cat(pieces, 2), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(vae.decode_tiled(z, 18), whole, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_work_is_bounded_by_the_window(vae: VideoVAE, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    decode = vae._pictures
    monkeypatch.setattr(vae, "_pictures", lambda z: (seen.append(tuple(z.shape[2:])), decode(z))[1])
    out = vae.decode_tiled(torch.randn(1, 8, 5, 20, 13), tile=8, overlap=2, groups=2)
    assert out.shape == (1, 3, 20, 160, 104)
    assert max(t for t, _, _ in seen) == 2
    assert max(max(h, w) for _, h, w in seen) == 8


cuts = st.tuples(st.integers(1, 60), st.integers(1, 20), st.integers(0, 6)).filter(lambda c: c[1] >= 2 * c[2])


@settings(max_examples=60, deadline=None)
@given(cuts)
def test_the_weights_of_all_tiles_add_up_to_one(case: tuple[int, int, int]) -> None:
    length, tile, overlap = case
    total = torch.zeros(length * 8)
    for cut in Tiling(tile, overlap).cuts(length):
        assert 0 < cut.stop - cut.start <= tile
        total[cut.start * 8 : cut.stop * 8] += ramp(cut, length, overlap, 8)
    torch.testing.assert_close(total, torch.ones_like(total))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 3), st.integers(1, 3))
def test_folding_is_exact(frames: int, h: int, w: int) -> None:
    x = clip(2, 3, frames, 4 * h, 4 * w)
    pictures = fold_frames(x)
    assert pictures.shape == (2 * -(-frames // 4), 4 * h, 4 * w, 12)
    torch.testing.assert_close(unfold_frames(pictures, 2)[:, :, :frames], x, rtol=0, atol=0)
    torch.testing.assert_close(unfold(unfold(fold(fold(pictures, 2), 2), 2), 2), pictures, rtol=0, atol=0)


def test_flops_count_what_torch_counts() -> None:
    model = VideoVAE()
    x = clip(1, 3, 16, 64, 64)
    with FlopCounterMode(display=False) as counter:
        latents = model.encode(x)
    assert model.encoder_flops(16, 64, 64) == pytest.approx(counter.get_total_flops(), rel=1e-6)
    assert model.encoder_flops(16, 64, 64) <= 0.5e9
    with FlopCounterMode(display=False) as counter:
        model.decode(latents)
    assert model.decoder_flops(16, 64, 64) == pytest.approx(counter.get_total_flops(), rel=1e-6)
    assert model.decoder_flops(16, 64, 64) <= 2.5e9


def test_the_norm_uses_its_running_statistics_and_follows_the_data() -> None:
    norm = RunningNorm(3, momentum=0.1)
    x = 5 + 2 * torch.randn(4000, 3)
    for _ in range(200):
        norm(x)
    trained = norm(x)
    torch.testing.assert_close(norm.eval()(x), trained, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(trained.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(trained.std(0), torch.ones(3), atol=1e-2, rtol=0)


def test_the_encoder_gains_nothing_by_growing() -> None:
    norm = RunningNorm(2).train()
    x = torch.randn(500, 2, requires_grad=True)
    (norm(x) * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close((x.grad * x).sum(0), torch.zeros(2), atol=1e-3, rtol=0)


shipped = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the autoencoder's weights are not here")
PROMPTS = (
    "a big red circle bounces on a navy background",
    "a small cyan cross moves left and a big red square orbits on a dotted gray background, camera tilts up",
    "a small white triangle grows on a striped maroon background",
)


@pytest.fixture(scope="module")
def packaged() -> VideoVAE:
    return VideoVAE.from_pretrained(WEIGHTS, use_safetensors=True, low_cpu_mem_usage=False).eval()


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * ((a - b).square().mean() / 4).log10())


@shipped
@torch.no_grad()
@pytest.mark.parametrize("side", [32, 64])
def test_shipped_weights_keep_the_world(packaged: VideoVAE, side: int) -> None:
    frames = [render(parse(p), i, 16, side, side).frames for i, p in enumerate(PROMPTS)]
    x = torch.from_numpy(np.stack([rgb_to_array(f) for f in frames]))
    latents = packaged.encode(x)
    assert psnr(packaged.decode(latents), x) > 28
    assert latents.mean().abs() < 0.5
    assert 0.5 < latents.std() < 1.6


@shipped
@torch.no_grad()
def test_seams_of_shipped_weights_do_not_show(packaged: VideoVAE) -> None:
    frames = render(parse(PROMPTS[1]), 3, 4, 192, 256).frames
    latents = packaged.encode(torch.from_numpy(rgb_to_array(frames))[None])
    whole = packaged.decode(latents)
    tiled = packaged.decode_tiled(latents, tile=14, overlap=4)
    assert psnr(whole, tiled) > 45
    step = (tiled - whole).diff(dim=-1).abs().amax()  # a seam would be a step that the whole does not have
    assert step < 0.1
