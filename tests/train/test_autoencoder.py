import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from sorakit.errors import ModelError, UsageError
from sorakit.model.vae import VideoVAE, fold_frames, fold_patches
from sorakit.train.autoencoder import AutoTrainer, scaled, train_autoencoder
from sorakit.train.autoexport import export_autoencoder, finished
from sorakit.train.autorecipe import AUTOENCODER, AutoRecipe
from sorakit.train.footage import Footage, Strip, is_held_back, open_footage
from sorakit.train.linear_code import principal, set_linear, set_scale
from sorakit.train.loop import Budget
from sorakit.train.mixture import Bucket, mixed_batch

MODEL = {"channels": 12, "encoder_widths": (16, 16), "decoder_widths": (16, 16, 16), "depth": 1}
TINY = AutoRecipe(
    model=MODEL,
    buckets=(Bucket((8, 32, 32), 3, 0.5), Bucket((8, 32, 48), 2, 0.5)),
    warmup=1,
    fit_batches=4,
)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def footage(sources: dict[str, str]) -> Footage:
    """Noise for clips: one 5-frame clip of 80 × 96 a source; `sources` maps names to licences."""
    size = 5 * 80 * 96 * 3
    pixels = np.random.default_rng(0).integers(0, 256, size * len(sources), dtype=np.uint8)
    rows = enumerate(sources.items())
    return Footage(pixels, tuple(Strip(f"{n}.mp4", n, lic, i * size, 5, 80, 96) for i, (n, lic) in rows))


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    recipe = replace(TINY, bf16=False, decay=1e-9)  # the rate must not depend on the budget
    whole = train_autoencoder(recipe, tmp_path / "whole", Budget(steps=4))
    train_autoencoder(recipe, tmp_path / "parts", Budget(steps=2))
    parts = train_autoencoder(recipe, tmp_path / "parts", Budget(steps=4))
    assert (whole.step, whole.clips, whole.flop) == (parts.step, parts.clips, parts.flop)
    assert same(whole.vae, parts.vae)
    assert same(whole.ema.model, parts.ema.model)
    rows = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert {"step", "clips", "cpu_s", "tflop", "loss", "psnr_32"} <= rows[-1].keys()
    assert not list(tmp_path.rglob("*.part"))


def test_the_loss_falls() -> None:
    trainer = AutoTrainer(replace(TINY, buckets=(Bucket((8, 32, 32), 4, 1.0),), lr=1e-2, bf16=False))
    trainer.fit_linear()
    batch = trainer.batch(0)

    def loss() -> float:
        trainer.generator.manual_seed(0)
        with torch.no_grad():
            return float(trainer.loss_of(batch))

    before = loss()
    for _ in range(40):
        trainer.update(batch, 1.0)
    assert loss() < 0.95 * before


def test_sprites_count_more() -> None:
    trainer = AutoTrainer(replace(TINY, noise=0.0, edge=0.0, squared=0.0, bf16=False))
    trainer.fit_linear()
    batch = trainer.batch(0)
    blind = replace(batch, masks=np.zeros_like(batch.masks))
    with torch.no_grad():
        assert float(trainer.loss_of(batch)) > 1.2 * float(trainer.loss_of(blind))


def test_a_diverged_run_stops_before_it_spoils_the_weights() -> None:
    trainer = AutoTrainer(TINY)
    with torch.no_grad():
        trainer.vae.decoder.leave.bias.fill_(float("nan"))
    before = trainer.ema.model.decoder.leave.bias.clone()
    with pytest.raises(ModelError, match="loss became"):
        trainer.update(trainer.batch(0), 1.0)
    assert torch.equal(trainer.ema.model.decoder.leave.bias, before)


def test_a_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    AutoTrainer(TINY).save(path)
    with pytest.raises(ModelError, match="does not fit"):
        AutoTrainer(replace(TINY, model=MODEL | {"channels": 4})).load(path)


def test_sigterm_ends_with_a_checkpoint(tmp_path: Path, sigterm_later: Callable[[], None]) -> None:
    sigterm_later()
    trainer = train_autoencoder(TINY, tmp_path, Budget(hours=1))
    again = AutoTrainer(TINY)
    again.load(tmp_path / "last.safetensors")
    assert again.step == trainer.step > 0


def test_batches_repeat_and_hold_every_shape() -> None:
    for index in range(12):
        one, two = (mixed_batch(3, index, AUTOENCODER.buckets) for _ in range(2))
        assert np.array_equal(one.clips, two.clips)
        assert one.clips.shape[:-1] == one.masks.shape
        assert one.clips.shape[1] % 4 == 0
    image = mixed_batch(0, 0, (Bucket((1, 32, 32), 2, 1.0),))
    assert np.array_equal(image.clips[:, 0], image.clips[:, 3])
    assert image.masks.max() == 1


def test_real_clips_join_a_batch_and_have_no_sprites() -> None:
    real = footage({"a": "MIT"})
    batch = mixed_batch(0, 0, (Bucket((12, 64, 64), 4, 1.0),), real, 0.25)
    assert batch.masks[0].max() == 0
    assert batch.masks[1:].max((1, 2, 3)).min() > 0
    assert batch.clips[0].std() > 20


def test_held_back_sources_and_closed_licences_are_not_trained_on() -> None:
    names = [f"source{i}" for i in range(200)]
    share = np.mean([is_held_back(n) for n in names])
    assert 0.1 < share < 0.3
    real = footage({n: "MIT" if i % 2 else "none" for i, n in enumerate(names)})
    used = {s.source for s in real.for_training().strips}
    kept = {s.source for s in real.held_back().strips}
    assert used
    assert not used & kept
    assert all(s.licence == "MIT" for s in real.for_training().strips)
    assert len(kept) == round(share * 200)


def test_a_folder_of_clips_is_decoded_once(tmp_path: Path) -> None:
    folder, cache = tmp_path / "clips", tmp_path / "cache"
    with pytest.raises(UsageError, match=r"manifest\.csv"):
        open_footage(folder, cache)
    folder.mkdir()
    _write_clip(folder / "one.mp4")
    (folder / "broken.mp4").write_bytes(b"no video")
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "generator_or_source", "licence"])
        writer.writerows([["one.mp4", "real", "s", "MIT"], ["broken.mp4", "real", "s", "MIT"]])
        writer.writerow(["one.mp4", "ai", "generator", "MIT"])
    first = open_footage(folder, cache)
    assert [(s.path, s.frames, s.height, s.width) for s in first.strips] == [("one.mp4", 6, 96, 128)]
    stamp = (cache / "footage.bin").stat().st_mtime_ns
    assert open_footage(folder, cache).strips == first.strips
    assert (cache / "footage.bin").stat().st_mtime_ns == stamp
    crop = first.crop(np.random.default_rng(0), (16, 64, 48))
    assert crop.shape == (16, 64, 48, 3)
    assert abs(int(crop[..., 0].mean()) - 200) < 12


def _write_clip(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        picture = np.full((96, 128, 3), (200, 60, 60), np.uint8)
        for _ in range(6):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


@torch.no_grad()
def test_the_linear_path_starts_as_a_pca() -> None:
    recipe = replace(TINY, fit_batches=6)
    trainer = AutoTrainer(recipe)
    x = torch.cat([scaled(mixed_batch(9, i, recipe.buckets[:1])) for i in range(4)])
    patches = fold_patches(fold_frames(x)).flatten(0, 2)
    set_linear(trainer.vae, patches)
    vae = trainer.vae.eval()
    mean, _, directions = principal(patches, vae.channels)
    expected = (patches.double() - mean) @ directions @ directions.T + mean
    codes = vae.norm(vae.encoder.skip(patches))
    torch.testing.assert_close(vae.decoder.skip(codes).double(), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(codes.std(0), torch.ones(vae.channels), rtol=1e-2, atol=1e-2)


class Elsewhere(torch.Tensor):
    """What a GPU's tensor does: `cpu` brings it here, and no operation takes it beside one from here."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.cpu:
            return args[0].as_subclass(torch.Tensor)
        if any(type(a) is torch.Tensor for a in args):
            raise RuntimeError(f"{func} got tensors of two devices")
        return super().__torch_function__(func, types, args, kwargs or {})


@torch.no_grad()
def test_the_linear_path_is_set_wherever_the_clips_are() -> None:
    here, there = (VideoVAE(channels=8, encoder_widths=(8, 8), decoder_widths=(8, 8, 8)) for _ in range(2))
    patches = torch.rand(1000, 768, generator=torch.Generator().manual_seed(0))
    set_linear(here, patches)
    set_linear(there, patches.as_subclass(Elsewhere))
    assert torch.equal(here.encoder.skip.weight, there.encoder.skip.weight)


@torch.no_grad()
def test_a_new_scale_changes_latents_and_no_picture() -> None:
    trainer = AutoTrainer(TINY)
    trainer.fit_linear()
    vae = trainer.ema.model
    x = scaled(trainer.batch(0))
    before = vae.decode(vae.encode(x))
    set_scale(vae, 3 + 2 * torch.randn(500, vae.channels))
    torch.testing.assert_close(vae.decode(vae.encode(x)), before, rtol=1e-4, atol=1e-4)


def test_exported_latents_are_standard(tmp_path: Path) -> None:
    train_autoencoder(TINY, tmp_path / "run", Budget(steps=2))
    export_autoencoder(TINY, tmp_path / "run" / "last.safetensors", tmp_path / "model")
    vae = VideoVAE.from_pretrained(tmp_path / "model", use_safetensors=True, low_cpu_mem_usage=False).eval()
    clips = [scaled(mixed_batch(5, i, TINY.buckets[:1])) for i in range(12)]
    with torch.no_grad():
        latents = vae.encode(torch.cat(clips)).movedim(1, -1).flatten(0, -2)
    assert latents.mean(0).abs().mean() < 0.25
    assert (latents.std(0) - 1).abs().mean() < 0.25
    trainer = AutoTrainer(TINY)
    trainer.load(tmp_path / "run" / "last.safetensors")
    ours = finished(trainer)
    with torch.no_grad():
        torch.testing.assert_close(ours.encode(clips[0]), vae.encode(clips[0]), rtol=0.02, atol=0.02)


@pytest.mark.slow
def test_the_command_trains_and_exports(tmp_path: Path) -> None:
    def run(*args: str) -> None:
        subprocess.run([sys.executable, "-m", *args], check=True, capture_output=True, timeout=250)

    run("sorakit.train.autoencoder", "--out", str(tmp_path / "run"), "--steps", "1")
    run("sorakit.train.autoexport", str(tmp_path / "run"), str(tmp_path / "model"))
    assert {p.name for p in (tmp_path / "model").iterdir()} == {
        "config.json",
        "diffusion_pytorch_model.safetensors",
    }
