"""The prompts that a model is measured on: which scenes, from which streams, and of which kinds.

In: what a model says it can show, a count and a seed. Out: scenes. What training never saw of them: the
clips, always; the sprites of "held_out", for a model whose recipe holds them back (see `is_held_out`); and
nearly every caption of two sprites or two shots, of which there are far more than a training run draws. The
captions of one plain sprite are few: training has seen those that are not held out.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import numpy as np

from sorakit.generate import ModelInfo
from sorakit.world.scene import Scene, Space, is_held_out, sample_scene

__all__ = ["COMBOS", "GROUPS", "STREAMS", "Combos", "Stream", "fresh_scenes", "prompt_space"]

Combos = Literal["all", "seen", "held_out", "both"]
Stream = Literal["measure", "develop"]

COMBOS: tuple[Combos, ...] = ("all", "seen", "held_out", "both")
"""Which sprites may appear; "both" takes prompts of seen and of held-out sprites in turn."""

STREAMS: Mapping[Stream, int] = MappingProxyType({"measure": 2_000_003, "develop": 3_000_017})
"""Where seeds start: measuring never meets the draws of prompts and noise that settings were chosen on."""


def _held_out(scene: Scene) -> bool:
    return any(is_held_out(s.colour, s.shape, s.motion) for shot in scene.shots for s in shot.sprites)


GROUPS: Mapping[str, Callable[[Scene], bool]] = MappingProxyType(
    {
        "one_object": lambda s: len(s.shots) == 1 and len(s.shots[0].sprites) == 1,
        "two_objects": lambda s: len(s.shots) == 1 and len(s.shots[0].sprites) == 2,
        "with_cut": lambda s: len(s.shots) == 2,
        "fixed_camera": lambda s: not any(shot.camera for shot in s.shots),
        "with_camera": lambda s: any(shot.camera for shot in s.shots),
        "seen": lambda s: not _held_out(s),
        "held_out": _held_out,
    }
)
"""Kinds of scenes. The first three split all prompts, so do the next two, and so do the last two."""


def prompt_space(info: ModelInfo, combos: Literal["all", "seen", "held_out"] = "all") -> Space:
    """The scenes that prompts are drawn from: the world as far as the model says it can show it.

    The mix is the one of the full-world recipe: half of the shots hold two sprites, a fifth of the clips are
    cut, and a camera moves in 35 % of the shots whose background has a texture to show it.

    >>> from sorakit.generate import load_info
    >>> prompt_space(load_info(), "held_out").two
    0.0
    """
    return Space(
        sizes=tuple(info.sizes),
        textures=tuple(info.textures),
        two=0.5 if info.sprites > 1 else 0.0,
        camera=0.35 if info.camera else 0.0,
        cut=0.2 if info.shots > 1 else 0.0,
        combinations=combos,
    )


def fresh_scenes(
    info: ModelInfo, n: int, seed: int, combos: Combos = "all", stream: Stream = "measure"
) -> list[Scene]:
    """`n` scenes of `prompt_space`; a longer list begins with the shorter one of the same seed.

    >>> from sorakit.generate import load_info
    >>> scenes = fresh_scenes(load_info(), 4, seed=1, combos="both")
    >>> [GROUPS["held_out"](s) for s in scenes]
    [False, True, False, True]
    """
    rng = np.random.default_rng([STREAMS[stream], seed])
    both = [prompt_space(info, "seen"), prompt_space(info, "held_out")]
    spaces = both if combos == "both" else [prompt_space(info, combos)]
    return [sample_scene(rng, spaces[i % len(spaces)]) for i in range(n)]
