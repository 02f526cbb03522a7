"""A recipe in figures: parameters and operations, counted without training it."""

from typing import Any

from sorakit.model.dit import forward_flops
from sorakit.train.objective import Pair
from sorakit.train.recipe import LATENT, Recipe

__all__ = ["summary"]


def summary(recipe: Recipe) -> dict[str, Any]:
    """Name, parameters of what is published, TFLOP of 1,000 steps on clips of the usual shape, and purpose.

    >>> from sorakit.train.recipe import RECIPES
    >>> summary(RECIPES["tiny"])["name"]
    'tiny'
    """
    pair = Pair(recipe)
    t, s = LATENT if recipe.autoencoder else (1, 1)
    frames, height, width = recipe.shape
    each = forward_flops(pair.dit, -(-frames // t), height // s, width // s, pair.words)
    clips = 1000 * recipe.batch * recipe.accumulate
    return {
        "name": recipe.name,
        "parameters": sum(p.numel() for part in (pair.dit, pair.text) for p in part.parameters()),
        "tflop_per_1000_steps": round(3 * clips * each / 1e12, 2),
        "about": recipe.about,
    }
