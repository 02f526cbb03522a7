"""The sprite world: captioned video with exact ground truth, and the oracle that reads it back."""

from sorakit.world.caption import EXAMPLE, VOCABULARY, caption, encode, parse
from sorakit.world.oracle import FACTS, mean_scores, read, score
from sorakit.world.render import Rendered, Track, render
from sorakit.world.scene import Scene, Shot, Space, Sprite, sample_scene

__all__ = [
    "EXAMPLE",
    "FACTS",
    "VOCABULARY",
    "Rendered",
    "Scene",
    "Shot",
    "Space",
    "Sprite",
    "Track",
    "caption",
    "encode",
    "mean_scores",
    "parse",
    "read",
    "render",
    "sample_scene",
    "score",
]
