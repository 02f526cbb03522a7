"""Turns a training run's averaged weights into a model folder: `python -m sorakit.train.export RUN OUT`.

The folder is a diffusers pipeline (`save_pretrained`) in half precision plus `sorakit.json`.
"""

import argparse
from pathlib import Path

import torch
from diffusers.schedulers import FlowMatchEulerDiscreteScheduler

from sorakit.generate import ModelInfo
from sorakit.model.tokenizer import build_tokenizer
from sorakit.pipeline import SoraPipeline
from sorakit.train.loop import Trainer
from sorakit.train.recipe import RECIPES, Recipe

__all__ = ["export", "export_pipeline"]


def export_pipeline(trainer: Trainer, dtype: torch.dtype = torch.float16) -> SoraPipeline:
    """The run's EMA weights as a pipeline; float16 keeps 11 bits, enough for weights of order one."""
    recipe = trainer.recipe
    pair = trainer.ema.model.to(dtype)
    return SoraPipeline(
        tokenizer=build_tokenizer(recipe.length),
        text_encoder=pair.text,
        transformer=pair.dit,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=recipe.shift),  # type: ignore[no-untyped-call]
    )


def export(recipe: Recipe, checkpoint: Path, out: Path, version: str) -> None:
    """Write `checkpoint`'s model to folder `out`; what is sampled best goes into `sorakit.json`."""
    trainer = Trainer(recipe)
    trainer.load(checkpoint)
    export_pipeline(trainer).save_pretrained(out, safe_serialization=True)
    space = recipe.space
    info = ModelInfo(
        name=f"sorakit-{recipe.name}",
        version=version,
        licence="Apache-2.0",
        sprites=2 if space.two else 1,
        shots=2 if space.cut else 1,
        sizes=list(space.sizes),
        textures=list(space.textures),
        camera=space.camera > 0,
        steps=recipe.steps,
        guidance=recipe.guidance,
        guidance_low=recipe.guidance_low,
    )
    for file in out.rglob("*"):  # safetensors makes files that only their owner can read
        file.chmod(0o755 if file.is_dir() else 0o644)
    (out / "sorakit.json").write_text(info.model_dump_json(indent=2) + "\n")


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m sorakit.train.export", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the run, with last.safetensors")
    parser.add_argument("out", type=Path, help="model folder to write")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="one-object")
    parser.add_argument("--version", default="0.1.0")
    args = parser.parse_args(argv)
    export(RECIPES[args.recipe], args.run / "last.safetensors", args.out, args.version)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
