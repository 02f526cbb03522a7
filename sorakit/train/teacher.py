"""The model that a few-step student learns from: loaded with its way of being sampled, and packaged anew.

In: the folder of a model, or of a training run, whose averaged weights are exported first. Out: networks
with guidance, noise levels, codec and a recipe for what to show; and, from a student's networks, an ordinary
model's folder. Whatever else the teacher's folder holds (tokenizer, autoencoder) goes along unchanged.
"""

import copy
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sorakit.diffusion.guidance import Guidance
from sorakit.errors import ModelError, UsageError
from sorakit.generate import ModelInfo, load_info, load_pipeline
from sorakit.model.dit import VideoDiT
from sorakit.model.text import TextEncoder
from sorakit.prompts import prompt_space
from sorakit.train.codec import Codec
from sorakit.train.export import export, recipe_of
from sorakit.train.folder import settle
from sorakit.train.recipe import RECIPES, Recipe

__all__ = ["Networks", "Teacher", "as_folder", "load_teacher", "package"]

_GIVEN = 0.2
"""Share of clips with given frames, where the teacher can be given some; as in the recipes."""


class Networks(nn.Module):
    """A video model and its text encoder, which train together."""

    def __init__(self, dit: VideoDiT, text: TextEncoder) -> None:
        super().__init__()
        self.dit, self.text = dit, text


@dataclass(frozen=True, slots=True, eq=False)
class Teacher:
    """A model in `folder`, and how it is sampled; `recipe`: what its student is shown, and how it trains."""

    folder: Path
    info: ModelInfo
    networks: Networks
    codec: Codec
    recipe: Recipe

    @property
    def guidance(self) -> Guidance:
        """What the student will do without."""
        return Guidance(self.info.guidance, self.info.guidance_low)


def load_teacher(folder: Path, shapes: str = "all", device: str = "cpu") -> Teacher:
    """The model in `folder`; `shapes`: "all" that the recipe of its name trains on, or its "usual" one.

    Prompts are drawn from what the model can show, without the sprites that training holds back, so that a
    student's held-out scores keep their meaning. Raises `ModelError` when the folder does not load.

    >>> from sorakit.generate import DEFAULT_MODEL
    >>> load_teacher(DEFAULT_MODEL, "usual").recipe.shapes
    ((16, 32, 32),)
    """
    if shapes not in ("all", "usual"):
        raise UsageError(f'`shapes` must be "all" or "usual", got {shapes!r}')
    info, pipe, where = load_info(folder), load_pipeline(folder, device=device), torch.device(device)
    dit, text, vae = pipe.transformer, pipe.text_encoder, pipe.vae
    known = RECIPES.get(info.name.removeprefix("sorakit-")) if shapes == "all" else None
    recipe = Recipe(
        f"{info.name}-student",
        prompt_space(info, "seen"),
        shapes=(pipe.size,) if known is None else known.shapes,
        odds=(1.0,) if known is None else known.odds,
        length=text.length,
        model={"patch": dit.patch},
        autoencoder="" if vae is None else "vae",
        batch=12,
        lr=1e-3,
        warmup=20,
        decay=0.8,
        ema=0.99,
        decoy=0.0,
        given=0.0 if dit.given is None else _GIVEN,
        guidance=1.0,
        shift=float(pipe.scheduler.config["shift"]),
    )
    return Teacher(folder, info, Networks(dit, text).requires_grad_(False), Codec(pipe.canvas, where), recipe)


def package(teacher: Teacher, student: Networks, out: Path, evaluations: int, shift: float) -> None:
    """Write `student` to folder `out`: the teacher's folder with other weights and another way of sampling.

    Weights are halved as in `sorakit.train.export`. The student's `evaluations` are its steps.
    """
    out.mkdir(parents=True, exist_ok=True)
    shutil.copytree(teacher.folder, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.md"))
    half = copy.deepcopy(student).to(torch.float16)
    for name, part in (("transformer", half.dit), ("text_encoder", half.text)):
        shutil.rmtree(out / name)  # or the teacher's shards would stay
        part.save_pretrained(out / name, safe_serialization=True)
    _edit(out / "scheduler" / "scheduler_config.json", shift=shift, stochastic_sampling=False)
    name = f"{teacher.info.name}-{evaluations}step"
    _edit(out / "sorakit.json", name=name, steps=evaluations, guidance=1.0, guidance_low=0.0)
    settle(out)


def as_folder(teacher: Path, out: Path) -> Path:
    """`teacher` itself when it is a model's folder; of a run, a folder `out` with its averaged weights.

    A folder that is there already stays, so that a run that goes on keeps the teacher it began with.
    """
    checkpoint = teacher / "last.safetensors"
    if (teacher / "sorakit.json").is_file() or not checkpoint.is_file():
        return teacher
    if not (out / "sorakit.json").is_file():
        try:
            recipe = recipe_of(checkpoint)
        except (ModelError, UsageError) as error:
            raise ModelError(f"{checkpoint} names no recipe ({error}); export it to a folder") from error
        export(recipe, checkpoint, out, "0.1.0")
    return out


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes, indent=2) + "\n")
