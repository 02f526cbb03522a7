"""What to train and how: a typed recipe, and the recipes by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sorakit.world.scene import Space

__all__ = ["RECIPES", "Recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run.

    `sigma`: mean and standard deviation of logit σ. `object_weight`: how much more a sprite's pixels count.
    `decoy`: share of clips whose noisy input shows another shape than the caption and the target (only where
    σ > `decoy_from`). Below that level the picture gives the shape away, so without decoys the network learns
    to read it there and to ignore the word. `decay`: last share of the budget, with a falling learning rate.
    """

    name: str
    space: Space
    shape: tuple[int, int, int] = (16, 32, 32)
    length: int = 16
    model: dict[str, Any] = field(default_factory=dict)
    batch: int = 24
    lr: float = 2e-3
    warmup: int = 60
    decay: float = 0.35
    ema: float = 0.999
    clip: float = 1.0
    text_drop: float = 0.1
    sigma: tuple[float, float] = (1.3, 1.2)
    cap: float = 0.2
    object_weight: float = 4.0
    decoy: float = 0.25
    decoy_from: float = 0.35
    guidance: float = 3.0
    guidance_low: float = 0.5
    shift: float = 4.0
    steps: int = 16
    prompts: int = 48
    bf16: bool = True
    seed: int = 0


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "one-object": Recipe(
            "one-object", Space(textures=("plain",), two=0.0, camera=0.0), model={"patch": (4, 8, 8)}
        ),
        "tiny": Recipe(
            "tiny",
            Space(textures=("plain",), two=0.0, camera=0.0),
            model={"width": 48, "depth": 2, "heads": 2, "text_width": 48},
            batch=8,
            prompts=4,
            steps=4,
        ),
    }
)
"""`one-object` makes the weights in the package; `tiny` is for tests and first notebooks."""
