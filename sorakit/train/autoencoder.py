"""Trains the video autoencoder: `python -m sorakit.train.autoencoder --out runs/autoencoder --hours 0.64`.

A PCA of the first batches fills the linear path; then L1, the L1 of the gradients and a squared error, with
the ground truth's sprites counting seven times, because a clip is mostly background and a plain mean lets
small objects dissolve. Noise on the latents keeps their neighbourhood decodable for the diffusion model that
will miss them a little. SIGTERM ends the run with a checkpoint; the same command goes on from there.
"""

import argparse
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sorakit.errors import ModelError
from sorakit.model.vae import VideoVAE, fold_frames, fold_patches
from sorakit.precision import suited
from sorakit.train.autorecipe import AUTOENCODER, AutoRecipe
from sorakit.train.checkpoint import load_checkpoint, save_checkpoint
from sorakit.train.ema import Ema
from sorakit.train.footage import Footage, open_footage
from sorakit.train.linear_code import set_linear
from sorakit.train.loop import Budget
from sorakit.train.mixture import Bucket, Mixed, mixed_batch
from sorakit.train.optim import step
from sorakit.train.stopping import stoppable
from sorakit.video.convert import rgb_to_array

__all__ = ["PROBE_SEED", "AutoTrainer", "scaled", "train_autoencoder"]

PROBE_SEED = 1_000_003
"""No training stream starts from this seed."""

_STATE = ("step", "clips", "flop", "loss", "wall", "cpu")


class AutoTrainer:
    """One run's state and its step."""

    def __init__(self, recipe: AutoRecipe, footage: Footage | None = None, device: str = "cpu") -> None:
        self.recipe, self.footage, self.device = recipe, footage, torch.device(device)
        with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU, so no GPU's state changes
            torch.default_generator.manual_seed(recipe.seed)
            self.vae = VideoVAE(**recipe.model).to(self.device)
        for skip in (self.vae.encoder.skip, self.vae.decoder.skip):
            skip.requires_grad_(False)  # 768 inputs that move together: the smallest step undoes the PCA
        self.ema = Ema(self.vae, recipe.ema)
        self.optimisers = _optimisers(self.vae, recipe)
        self.generator = torch.Generator().manual_seed(recipe.seed + 1)
        self.step, self.clips, self.flop, self.loss = 0, 0, 0.0, math.nan
        self.wall = self.cpu = 0.0

    def batch(self, index: int) -> Mixed:
        """Batch `index` of the run's stream."""
        r = self.recipe
        return mixed_batch(r.seed, index, r.buckets, self.footage, r.real)

    @torch.no_grad()
    def fit_linear(self) -> None:
        """Fill the linear path by PCA of the first batches; call once, before the first step."""
        clips = (scaled(self.batch(i), self.device) for i in range(self.recipe.fit_batches))
        patches = [fold_patches(fold_frames(x)).flatten(0, 2) for x in clips]  # each (M, 768)
        set_linear(self.vae, torch.cat(patches), self.recipe.seed)
        self.ema.model.load_state_dict(self.vae.state_dict())

    def update(self, batch: Mixed, rate: float) -> float:
        """One step at `rate` times the learning rates; raises `ModelError` when the loss is not finite."""
        self.vae.train()
        loss = self.loss_of(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(f"the loss became {value} at step {self.step}; lower `lr` or start again")
        loss.backward()  # type: ignore[no-untyped-call]
        step(self.vae, self.optimisers, (self.recipe.lr * rate, self.recipe.lr_rest * rate), self.recipe.clip)
        self._count(batch)
        self.loss = value if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * value
        return value

    def loss_of(self, batch: Mixed) -> Tensor:
        """The loss of reconstructing `batch` through noisy latents."""
        r, B = self.recipe, len(batch.clips)
        target = fold_frames(scaled(batch, self.device))  # (N, H, W, 12)
        mask = F.max_pool2d(torch.from_numpy(batch.masks), 3, 1, 1)[:, None]  # (B, 1, T, H, W), grown by 1 px
        weight = 1 + r.object_weight * fold_frames(mask.expand(-1, 3, -1, -1, -1)).to(self.device)
        weight = weight / weight.mean()  # (N, H, W, 12)
        sigma = r.noise * torch.rand(B, 1, generator=self.generator)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=r.bf16):
            codes = self.vae.norm(self.vae.encoder(target))  # (N, h, w, C)
            noise = torch.randn(codes.shape, generator=self.generator)
            noise *= sigma.expand(B, len(codes) // B).reshape(-1, 1, 1, 1)
            out = self.vae.decoder(codes + noise.to(self.device))  # (N, H, W, 12)
        miss = out.float() - target  # (N, H, W, 12)
        loss: Tensor = (miss.abs() * weight).mean() + r.squared * (miss.square() * weight).mean()
        for axis in (1, 2):
            size = weight.shape[axis] - 1
            loss = loss + r.edge * (miss.diff(dim=axis).abs() * weight.narrow(axis, 1, size)).mean()
        return loss

    def _count(self, batch: Mixed) -> None:
        self.step += 1
        B, T, H, W = batch.masks.shape
        self.clips += B
        self.flop += 3 * B * (self.vae.encoder_flops(T, H, W) + self.vae.decoder_flops(T, H, W))
        self.ema.update(self.vae, self.step)
        for kept, new in zip(self.ema.model.buffers(), self.vae.buffers(), strict=True):
            kept.copy_(new)

    @torch.no_grad()
    def probe(self) -> dict[str, float]:
        """PSNR in dB of the averaged model on 16 fresh sprite-world clips of each of the first two shapes."""
        out = {}
        for bucket in self.recipe.buckets[:2]:
            x = scaled(mixed_batch(PROBE_SEED, 0, (Bucket(bucket.shape, 16, 1.0),)), self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bf16):
                y = self.ema.model.decode(self.ema.model.encode(x)).float()
            each = (y - x).square().mean((1, 2, 3, 4)) / 4  # (B,), of values in [0, 1]
            out[f"psnr_{bucket.shape[1]}"] = round(float(-10 * each.log10().mean()), 2)
        return out

    def save(self, path: Path) -> None:
        """Write everything needed to go on."""
        state = {k: getattr(self, k) for k in _STATE} | {"recipe": asdict(self.recipe)}
        save_checkpoint(path, self._modules(), self.optimisers, self.generator, state)

    def load(self, path: Path) -> None:
        """Go on from `path`."""
        state = load_checkpoint(path, self._modules(), self.optimisers, self.generator)
        for name in _STATE:
            setattr(self, name, state[name])

    def _modules(self) -> dict[str, nn.Module]:
        return {"model": self.vae, "ema": self.ema.model}


def scaled(batch: Mixed, device: torch.device | None = None) -> Tensor:
    """The clips of `batch` as `float32 (B, 3, T, H, W)` in [-1, 1]."""
    return torch.from_numpy(np.stack([rgb_to_array(clip) for clip in batch.clips])).to(device)


def train_autoencoder(
    recipe: AutoRecipe,
    out: Path,
    budget: Budget,
    footage: Footage | None = None,
    *,
    device: str = "cpu",
    save_every: float = 240,
    probe_every: int = 250,
) -> AutoTrainer:
    """Train in folder `out` until `budget` is used; goes on from `out/last.safetensors` if present.

    `save_every` in seconds, `probe_every` in steps. Writes `log.jsonl` and `last.safetensors`.
    """
    trainer = AutoTrainer(suited(recipe, device), footage, device)
    last = out / "last.safetensors"
    out.mkdir(parents=True, exist_ok=True)
    if last.exists():
        trainer.load(last)
    else:
        trainer.fit_linear()
    with (out / "log.jsonl").open("a") as log, stoppable() as stop:
        saved = trainer.wall
        clock = (time.monotonic() - trainer.wall, time.process_time() - trainer.cpu)
        while (used := budget.used(trainer.wall / 3600, trainer.step)) < 1 and not stop:
            if trainer.step % probe_every == 0:
                _log(log, trainer, used)
            trainer.update(trainer.batch(trainer.step), recipe.rate(trainer.step, used))
            trainer.wall, trainer.cpu = time.monotonic() - clock[0], time.process_time() - clock[1]
            if trainer.wall - saved >= save_every:
                trainer.save(last)
                saved = trainer.wall
        trainer.save(last)
        _log(log, trainer, used)
    return trainer


def _optimisers(vae: VideoVAE, recipe: AutoRecipe) -> list[torch.optim.Optimizer]:
    """Muon on matrices between hidden features, AdamW on what touches pixels or latents, and on biases."""
    named = [(n.split(".")[1], p) for n, p in vae.named_parameters() if p.requires_grad]
    hidden = [p for place, p in named if p.ndim == 2 and place not in ("enter", "leave")]
    rest = [p for place, p in named if p.ndim < 2 or place in ("enter", "leave")]
    return [
        torch.optim.Muon(hidden, lr=recipe.lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, recipe.lr_rest, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _log(file: Any, trainer: AutoTrainer, used: float) -> None:
    row = {
        "step": trainer.step,
        "clips": trainer.clips,
        "wall_s": round(trainer.wall, 1),
        "cpu_s": round(trainer.cpu, 1),
        "tflop": round(trainer.flop / 1e12, 2),
        "loss": None if math.isnan(trainer.loss) else round(trainer.loss, 5),
        "used": round(used, 4),
    }
    file.write(json.dumps(row | trainer.probe()) + "\n")
    file.flush()


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when the budget is used or the run was stopped in good order."""
    parser = argparse.ArgumentParser(prog="python -m sorakit.train.autoencoder", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints and log")
    parser.add_argument("--hours", type=float, default=math.inf)
    parser.add_argument("--steps", type=float, default=math.inf)
    parser.add_argument("--real", type=Path, help="folder of clips with manifest.csv; without, sprites alone")
    parser.add_argument("--cache", type=Path, default=Path("runs/footage"), help="decoded real clips")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    footage = open_footage(args.real, args.cache).for_training() if args.real else None
    train_autoencoder(AUTOENCODER, args.out, Budget(args.hours, args.steps), footage, device=args.device)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
