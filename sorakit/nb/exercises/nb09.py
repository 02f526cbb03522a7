"""Exercises of notebook 09: the ratio of a seam, a soft join, and where a clip is cut."""

from typing import Any

import numpy as np
import numpy.typing as npt

from sorakit.continuity import seam_ratios
from sorakit.nb.exercise import Exercise, call, near, numbers
from sorakit.types import Rgb
from sorakit.world.render import render
from sorakit.world.scene import Space, sample_scene

__all__ = ["EXERCISES"]

_ROOM = 1.15
"""How much steeper than the window's own step the end of a fade may be."""


def _ratio(answer: Any) -> str | None:
    rng = np.random.default_rng()
    for count, side in ((6, 4), (12, 8), (24, 6)):
        frames = rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
        frames[count // 2 :] //= 4  # steps of many sizes
        for seam in (1, int(rng.integers(2, count - 1)), count - 1):
            got, wanted = call(answer, frames.copy(), seam), seam_ratios(frames, [seam])[0]
            if hint := near(got, wanted, _why(got, frames, seam), 1e-3):
                return hint
    return None


def _why(got: Any, frames: Rgb, seam: int) -> str:
    """What is wrong with this ratio."""
    wrapped = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    steps = np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3))
    at = seam - 1
    around = [i for i in range(at - 4, at + 5) if 0 <= i < len(steps) and i != at]

    def is_like(value: float) -> bool:
        return near(got, value, "no", 1e-3) is None

    if is_like(wrapped[at] / wrapped[around].mean()):
        return "uint8 wraps around: 3 − 5 is 254 there; make the frames signed before you subtract"
    if is_like(steps[at] / steps[[*around, at]].mean()):
        return "the seam's own step is among the steps around it; leave it out"
    if is_like(steps[at] / np.delete(steps, at).mean()):
        return "only the steps up to 4 on either side count, not those of the whole clip"
    if is_like(steps[at] / np.r_[steps[at - 4 : at], steps[at + 1 : at + 5]].mean()):
        return "near the start a slice from `i - 4` counts from the end; begin it at max(i - 4, 0)"
    if is_like(1 / (steps[at] / steps[around].mean())):
        return "upside down: the seam's step comes first, divided by the others'"
    return f"before a seam at frame {seam} lies the step from frame {seam - 1} to {seam}; check your places"


def _join(answer: Any, first: Rgb, second: Rgb) -> str | None:
    rng = np.random.default_rng()
    for a, b, k in ((6, 8, 3), (12, 10, 4), (5, 5, 1)):
        level = int(rng.integers(20, 120))
        one, two = (np.full((n, 4, 6, 3), v, np.uint8) for n, v in ((a, level), (b, level + 100)))
        got = numbers(call(answer, one.copy(), two.copy(), k))
        hint = _shaped(got, a + b - k, one.shape[1:])
        hint = hint or _faded(got.mean((1, 2, 3)) - level, a - k, k)
        if hint:
            return hint
    joined = numbers(call(answer, first.copy(), second.copy(), 4))
    return _shaped(joined, len(first) + len(second) - 4, first.shape[1:]) or _softer(joined, first, second)


def _faded(values: npt.NDArray[np.float64], start: int, k: int) -> str | None:
    """Whether `values` go from 0 to 100 by even steps over the `k` frames from `start` on."""
    if np.any(np.abs(values[:start]) > 0.5) or np.any(np.abs(values[start + k :] - 100) > 0.5):
        return "outside the overlap frames stay as they are: first those of `first`, last those of `second`"
    if np.any(np.diff(values) < -0.5):
        return "the weight of `second` must rise from frame to frame of the overlap; yours falls somewhere"
    if (largest := np.diff(values).max()) > 100 / (k + 1) + 1:
        return (
            f"over {k} frames a fade has {k + 1} steps, with in and out included; your largest "
            f"is {largest:.0f} % of the way, it could be {100 / (k + 1):.0f} %"
        )
    return None


def _softer(joined: npt.NDArray[Any], first: Rgb, second: Rgb) -> str | None:
    """Whether both ends of the fade are softer than hard joins there, or as soft as the window itself."""
    places = [len(first) - 4, len(first)]
    soft = seam_ratios(np.clip(np.round(joined), 0, 255).astype(np.uint8), places)
    hard = [
        seam_ratios(np.concatenate([first[:-4], second]), places[:1])[0],
        seam_ratios(np.concatenate([first, second[4:]]), places[1:])[0],
    ]
    limits = [1 + (h - 1) / 2 for h in hard]
    limits[1] = max(limits[1], _ROOM * seam_ratios(second, [4])[0], _ROOM)
    if all(s <= limit for s, limit in zip(soft, limits, strict=True)):
        return None
    says = " and ".join(f"{s:.2f}" for s in soft)
    joints = " and ".join(f"{h:.2f}" for h in hard)
    return f"the ratios at the ends of your fade are {says}; hard joins there have {joints}"


def _shaped(got: Any, frames: int, rest: tuple[int, ...]) -> str | None:
    shape = np.shape(got)
    if shape == (frames, *rest):
        return None
    return f"its shape is {shape}, expected {(frames, *rest)}: frames that exist twice come out once"


def _find_cut(answer: Any) -> str | None:
    rng = np.random.default_rng()
    for cuts in (1.0, 0.0, 1.0, 0.0, 1.0, 0.0):
        scene = sample_scene(rng, Space(textures=("plain",), two=0.0, camera=0.0, cut=cuts))
        count, skipped, side = (
            int(rng.integers(12, 33)),
            int(rng.integers(0, 4)),
            int(rng.choice([24, 32, 48])),
        )
        frames = render(scene, int(rng.integers(1 << 30)), count, side, side).frames[skipped:]
        wanted = count // 2 - skipped if cuts else 0
        got = numbers(call(answer, frames.copy()))
        if hint := near(got, wanted, _where(got, wanted) if got.ndim == 0 else "", 1e-9):
            return hint
    return None


def _where(got: Any, wanted: int) -> str:
    if not wanted:
        return "it finds a cut in a clip of one shot: something that moves fast is not a cut"
    if got == wanted - 1:
        return "one too early: step i leads from frame i to i + 1, and the second shot begins with the latter"
    if got == 0:
        return "it misses a cut; at a cut most of the pixels change at once, even where the colours are close"
    return f"the second shot begins with frame {wanted} of this clip, yours says {got:g}"


EXERCISES = (
    Exercise("09.1", "The step over a seam against the steps around it", _ratio),
    Exercise("09.2", "A join that fades over frames that exist twice", _join),
    Exercise("09.3", "The first frame of the second shot, or 0", _find_cut),
)
