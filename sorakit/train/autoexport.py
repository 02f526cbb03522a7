"""Turns an autoencoder's run into a model folder: `python -m sorakit.train.autoexport RUN OUT`.

The averaged weights in half precision, scaled so that sprite-world latents have mean 0 and deviation 1.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

from sorakit.model.vae import VideoVAE, fold_frames
from sorakit.train.autoencoder import PROBE_SEED, AutoTrainer, scaled
from sorakit.train.autorecipe import AUTOENCODER, AutoRecipe
from sorakit.train.folder import settle
from sorakit.train.linear_code import set_scale
from sorakit.train.mixture import mixed_batch

__all__ = ["export_autoencoder", "finished"]


@torch.no_grad()
def finished(trainer: AutoTrainer, batches: int = 48) -> VideoVAE:
    """The run's averaged model, its latents scaled by `batches` of sprites; the trainer is used up."""
    vae: VideoVAE = trainer.ema.model.eval()
    codes = []
    for i in range(1, batches + 1):
        batch = mixed_batch(PROBE_SEED, i, trainer.recipe.buckets)
        codes.append(vae.encoder(fold_frames(scaled(batch, trainer.device))).flatten(0, 2))  # (M, C)
    set_scale(vae, torch.cat(codes))
    return vae


def export_autoencoder(recipe: AutoRecipe, checkpoint: Path, out: Path) -> None:
    """Write `checkpoint`'s model to folder `out`: float16 keeps 11 bits, enough for weights of order one.

    Raises `ModelError` when the checkpoint does not fit the recipe.
    """
    trainer = AutoTrainer(recipe)
    trainer.load(checkpoint)
    vae = finished(trainer)
    nn.Module.to(vae, torch.float16)  # diffusers' own `to` warns of layers that it keeps; here there are none
    vae.save_pretrained(out, safe_serialization=True)
    settle(out)


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m sorakit.train.autoexport", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the run, with last.safetensors")
    parser.add_argument("out", type=Path, help="model folder to write")
    args = parser.parse_args(argv)
    export_autoencoder(AUTOENCODER, args.run / "last.safetensors", args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
