"""Exercises of notebook 08: overlap of boxes, how well a clip follows, and how given frames enter."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sorakit.diffusion.guidance import Held
from sorakit.nb.exercise import Exercise, call, near
from sorakit.world.box import Box, boxes_between, iou

__all__ = ["EXERCISES"]


def _box(rng: np.random.Generator, near_x: float = 0.0) -> Box:
    x, y, w, h = near_x + rng.uniform(0, 12), rng.uniform(0, 12), rng.uniform(3, 14), rng.uniform(3, 14)
    return float(x), float(y), float(x + w), float(y + h)


def _iou(answer: Any) -> str | None:
    rng = np.random.default_rng()
    one = (2.0, 3.0, 10.0, 9.0)
    hint = near(call(answer, one, one), 1.0, "a box and itself must give 1: shared area over covered area")
    if hint:
        return hint
    for far in ((30.0, 4.0, 40.0, 8.0), (4.0, 30.0, 8.0, 40.0), (30.0, 30.0, 40.0, 40.0)):
        says = "boxes that do not touch must give 0; what are your shared width and height when they do not?"
        hint = near(call(answer, one, far), 0.0, says) or near(call(answer, far, one), 0.0, says)
        if hint:
            return hint
    for _ in range(12):
        a, b = _box(rng), _box(rng, rng.uniform(-6, 6))
        got, wanted = call(answer, a, b), iou(a, b)
        if hint := near(got, wanted, _why_iou(got, a, b, wanted)):
            return hint
    return None


def _why_iou(got: Any, a: Box, b: Box, value: float) -> str:
    """What is wrong with an overlap that should be `value`."""
    wider = [(c[0], c[1], c[2] + 1, c[3] + 1) for c in (a, b)]
    if near(got, value / (1 + value), "no") is None:
        return "divide by what at least one of them covers: the shared part lies in both, count it once"
    if near(got, iou(*wider), "no") is None:
        return "x1 is the edge itself, not the last pixel: a box is x1 − x0 wide, without + 1"
    return "check which edge is which: x before y"


def _runs() -> Iterator[tuple[Box, Box, list[Box | None]]]:
    rng = np.random.default_rng()
    for frames in (2, 5, 16):
        first, last = _box(rng), _box(rng, 8)
        way = boxes_between(first, last, frames) + rng.uniform(-1, 1, (frames, 4))
        found: list[Box | None] = [(float(b[0]), float(b[1]), float(b[2]), float(b[3])) for b in way]
        if frames > 4:
            found[int(rng.integers(1, frames - 1))] = None
        yield first, last, found


def _obedience(answer: Any) -> str | None:
    for first, last, found in _runs():
        got = call(answer, first, last, found)
        way = boxes_between(first, last, len(found))
        each = [0.0 if f is None else iou(tuple(w), f) for w, f in zip(way, found, strict=True)]
        seen = [v for v, f in zip(each, found, strict=True) if f is not None]
        hint = "interpolate all four numbers evenly, so that frame 0 is at `first` and the last one at `last`"
        if len(seen) < len(each) and near(got, np.mean(seen), "no") is None:
            hint = "a frame in which nothing was seen counts as 0, it must not be left out of the mean"
        elif len(each) > 2 and near(got, np.mean(each[1:-1]), "no") is None:
            hint = "both ends are included here"
        if wrong := near(got, np.mean(each), hint):
            return wrong
    return None


def _condition(answer: Any) -> str | None:
    for b, c, t, side in ((1, 3, 8, 4), (2, 4, 16, 6), (3, 2, 12, 12)):
        noisy, clean = torch.randn(b, c, t, side, side), torch.randn(b, c, t, side, side)
        mask = (torch.rand(b, t) < 0.4).float()
        mask[:, 0], mask[:, 1] = 1, 0
        got = call(answer, noisy.clone(), clean.clone(), mask.clone())
        if not isinstance(got, tuple | list) or len(got) != 2:
            return "return two tensors: what is shown, and what the patches are told"
        swapped = near(got[0], Held(clean, 1 - mask).put(noisy), "no") is None
        hint = "where the mask is 1 the clean frame must stand" + (
            ", and yours has it the other way round" * swapped
        )
        hint += "; the mask's axes are (B, T): give it axes of length 1 for channels, height and width"
        wrong = near(got[0], Held(clean, mask).put(noisy), f"shown: {hint}")
        told = "told: keep the frames in order, 4 neighbours in time to a patch"
        wrong = wrong or near(got[1], mask.reshape(b, t // 4, 4), told)
        if wrong:
            return wrong
    return None


EXERCISES = (
    Exercise("08.1", "Intersection over union of two boxes, 0 for disjoint ones", _iou),
    Exercise("08.2", "Mean IoU between the straight way and the boxes found", _obedience),
    Exercise("08.3", "What the model is shown and told of given frames", _condition),
)
