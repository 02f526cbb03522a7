"""Exercises of notebook 02: parse a caption, read a motion, break the oracle."""

from typing import Any

import numpy as np

from sorakit.nb.exercise import Exercise, call
from sorakit.types import Rgb
from sorakit.world.caption import caption
from sorakit.world.oracle import score
from sorakit.world.render import render
from sorakit.world.scene import Scene, Shot, Space, Sprite, sample_scene

__all__ = ["EXERCISES"]

_WAYS = ("moves left", "moves right", "moves up", "moves down", "stays still")
_OPPOSITE = {
    "moves left": "moves right",
    "moves right": "moves left",
    "moves up": "moves down",
    "moves down": "moves up",
}
_LARGE, _SHARE, _TRIES = 16, 0.03, 8
"""Grey levels that count as a large change, the share of pixels that may have one, and the clips tried."""


def _facts(answer: Any) -> str | None:
    rng = np.random.default_rng()
    for i in range(60):
        space = Space(
            two=float(i >= 20), textures=("plain",) if i < 10 else ("plain", "striped", "checked", "dotted")
        )
        (shot,) = sample_scene(rng, space).shots
        sentence = caption(Scene((shot,)))
        wanted = {
            "sprites": [(s.size, s.colour, s.shape, s.motion) for s in shot.sprites],
            "texture": shot.texture,
            "background": shot.background,
        }
        if hint := _differs(call(answer, sentence), wanted):
            return f"for “{sentence}”: {hint}"
    return None


def _differs(got: Any, wanted: dict[str, Any]) -> str | None:
    if not isinstance(got, dict) or set(got) != set(wanted):
        keys = sorted(map(str, got)) if isinstance(got, dict) else type(got).__name__
        return f"a dictionary with the keys sprites, texture and background was expected, got {keys}"
    try:
        sprites = [tuple(s) for s in got["sprites"]]
    except TypeError:
        return "`sprites` must be a list of (size, colour, shape, motion)"
    if len(sprites) != len(wanted["sprites"]):
        return f"it names {len(wanted['sprites'])} sprite(s), you found {len(sprites)}"
    for mine, true in zip(sprites, wanted["sprites"], strict=True):
        if mine != true:
            return f"a sprite should be (size, colour, shape, motion) as in the sentence, you have {mine}"
    for key in ("texture", "background"):
        if got[key] != wanted[key]:
            return f"look at the {key} again; you have {got[key]!r}"
    return None


def _motion(answer: Any) -> str | None:
    rng = np.random.default_rng()
    for size in ((16, 32, 32), (12, 32, 48), (16, 48, 32)):
        for way in _WAYS:
            scene = sample_scene(rng, Space(two=0.0, textures=("plain",)))
            sprite, shot = scene.shots[0].sprites[0], scene.shots[0]
            moved = Sprite(sprite.size, sprite.colour, sprite.shape, way)
            frames = render(
                Scene((Shot((moved,), shot.background),)), int(rng.integers(1 << 30)), *size
            ).frames
            got = call(answer, frames)
            if not isinstance(got, str) or got != way:
                return _why(got, way)
    return None


def _why(got: Any, way: str) -> str:
    if not isinstance(got, str) or got not in _WAYS:
        return f"one of {', '.join(_WAYS)} was expected, got {got!r}"
    if got == _OPPOSITE.get(way):
        return f"you say “{got}” of a clip that {way}: which end is first, and which way does y count?"
    if got == "stays still":
        return f"you say “{got}” of a clip that {way}: is your limit too high, or is one axis not looked at?"
    if way == "stays still":
        return f"you say “{got}” of a clip that stays still: how far must it go before you call it a move?"
    return f"you say “{got}” of a clip that {way}: compare how far x and y go, and which of both comes first"


def _damage(answer: Any) -> str | None:
    rng = np.random.default_rng()
    still_read, changed = 0, []
    for _ in range(_TRIES):
        scene = sample_scene(rng, Space(two=0.0, textures=("plain",)))
        frames = render(scene, int(rng.integers(1 << 30))).frames
        got = call(answer, frames.copy())
        if not isinstance(got, np.ndarray) or got.dtype != np.uint8 or got.shape != frames.shape:
            what = f"{got.dtype} {got.shape}" if isinstance(got, np.ndarray) else type(got).__name__
            return f"frames must stay uint8 {frames.shape}, got {what}"
        changed.append(_large_changes(frames, got))
        still_read += int(score(got, scene)["all_facts"] == 1)
    if np.mean(changed) > _SHARE:
        much = f"{np.mean(changed):.1%} of the pixels change by more than {_LARGE} grey levels"
        return f"{much}; at most {_SHARE:.0%} may"
    if still_read > 1:
        return (
            f"the oracle still reads {still_read} of {_TRIES} clips rightly; which fact could a few pixels "
            "change? Think of what the oracle counts, and how large it must be"
        )
    return None


def _large_changes(before: Rgb, after: Rgb) -> float:
    """Share of pixels that change by more than `_LARGE` levels in a channel."""
    difference = np.abs(after.astype(int) - before).max(-1)  # (T, H, W)
    return float((difference > _LARGE).mean())


EXERCISES = (
    Exercise("02.1", "A parser for captions with one or two sprites", _facts),
    Exercise("02.2", "Read the direction of a motion from pixels", _motion),
    Exercise("02.3", "A change that a person looks through and the oracle does not", _damage),
)
