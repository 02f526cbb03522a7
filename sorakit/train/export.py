"""Turns a training run's averaged weights into a model folder: `python -m sorakit.train.export RUN OUT`.

The folder is a diffusers pipeline (`save_pretrained`) in half precision, `sorakit.json` and `MODEL_CARD.md`,
whose figures come from the run's ledger and, when given, from the JSON of `sorakit bench generate`.
"""

import argparse
import re
from pathlib import Path

import torch
from pydantic import ValidationError

from sorakit.errors import UsageError
from sorakit.model.tokenizer import build_tokenizer
from sorakit.model_info import ModelInfo
from sorakit.pipeline import SoraPipeline
from sorakit.schedulers import scheduler_of
from sorakit.train.card import read_scores, write_card
from sorakit.train.checkpoint import checkpoint_state
from sorakit.train.codec import load_autoencoder
from sorakit.train.folder import settle
from sorakit.train.recipe import RECIPES, Recipe
from sorakit.train.recipe_file import recipe_from
from sorakit.train.trainer import Trainer

__all__ = ["export", "export_pipeline", "recipe_of"]


def recipe_of(checkpoint: Path) -> Recipe:
    """The recipe that `checkpoint` was trained with, as it was then; raises `ModelError` or `UsageError`."""
    state = checkpoint_state(checkpoint)
    return recipe_from(state.get("recipe", {}), str(checkpoint))


def export_pipeline(trainer: Trainer, dtype: torch.dtype = torch.float16) -> SoraPipeline:
    """The run's EMA weights as a pipeline; float16 keeps 11 bits, enough for weights of order one."""
    recipe = trainer.recipe
    pair = trainer.averaged().to(dtype)
    # read again: the one that training ran may have been rounded to bfloat16
    vae = load_autoencoder(recipe.autoencoder, dtype) if recipe.autoencoder else None
    return SoraPipeline(
        tokenizer=build_tokenizer(recipe.length),
        text_encoder=pair.text,
        transformer=pair.dit,
        scheduler=scheduler_of(recipe.solver, recipe.shift),
        vae=vae,
        size=recipe.shape,
    )


def export(recipe: Recipe, checkpoint: Path, out: Path, version: str, scores: Path | None = None) -> None:
    """Write `checkpoint`'s model to folder `out`; what is sampled best goes into `sorakit.json`.

    `scores`: file with the JSON object of `sorakit bench generate --json`, for the card. Raises `ModelError`
    when the checkpoint does not fit the recipe, `UsageError` when `scores` cannot be read, or for a `version`
    or a recipe that no model folder may have.
    """
    measured = None if scores is None else read_scores(scores)
    info = _info(recipe, version)
    trainer = Trainer(recipe)
    trainer.load(checkpoint)
    export_pipeline(trainer).save_pretrained(out, safe_serialization=True)
    (out / "sorakit.json").write_text(info.model_dump_json(indent=2) + "\n")
    write_card(out / "MODEL_CARD.md", info, recipe, trainer, measured)
    settle(out)


def _info(recipe: Recipe, version: str) -> ModelInfo:
    space, (frames, height, width) = recipe.space, recipe.shape
    said = {
        "name": "sorakit-" + re.sub(r"[^a-z0-9.-]+", "-", recipe.name.lower())[:56],
        "version": version,
        "licence": "Apache-2.0",
        "sprites": 2 if space.two else 1,
        "shots": 2 if space.cut else 1,
        "sizes": list(space.sizes),
        "textures": list(space.textures),
        "camera": space.camera > 0,
        "steps": recipe.steps,
        "guidance": recipe.guidance,
        "guidance_low": recipe.guidance_low,
        "given_frames": bool(recipe.model.get("given_frames", False)),
        "latent": bool(recipe.autoencoder),
        "frames": frames,
        "height": height,
        "width": width,
    }
    try:
        return ModelInfo.model_validate(said)
    except ValidationError as error:
        raise UsageError(f"recipe `{recipe.name}` and version {version} make no model: {error}") from error


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m sorakit.train.export", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the run, with last.safetensors")
    parser.add_argument("out", type=Path, help="model folder to write")
    parser.add_argument("--recipe", choices=sorted(RECIPES), help="instead of the run's own")
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument("--scores", type=Path, help="JSON of `sorakit bench generate --json`, for the card")
    args = parser.parse_args(argv)
    checkpoint = args.run / "last.safetensors"
    recipe = RECIPES[args.recipe] if args.recipe else recipe_of(checkpoint)
    export(recipe, checkpoint, args.out, args.version, args.scores)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
