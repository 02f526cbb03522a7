"""Answers to notebook 09."""

import numpy as np

from sorakit.continuity import seam_ratios
from sorakit.world import parse, render


def ratio(frames, seam, *, signed=True, inside=False, shift=0, whole=False):
    steps = np.abs(np.diff(frames.astype(int) if signed else frames, axis=0)).mean((1, 2, 3))
    at = min(seam - 1 + shift, len(steps) - 1)
    near = steps if whole else steps[max(at - 4, 0) : at + 5]
    rest = near.sum() - steps[at]
    return steps[at] / (near.mean() if inside else rest / (len(near) - 1))


def ratio_from_the_end(frames, seam):
    steps, at = np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3)), seam - 1
    return steps[at] / np.concatenate([steps[at - 4 : at], steps[at + 1 : at + 5]]).mean()


def join(first, second, overlap, *, weight=None, keep=False):
    weight = np.arange(1, overlap + 1) / (overlap + 1) if weight is None else weight(overlap)
    weight = weight[:, None, None, None]
    faded = ((1 - weight) * first[-overlap:] + weight * second[:overlap]).round().astype(np.uint8)
    return np.concatenate([first if keep else first[:-overlap], faded, second[overlap:]])


def find_cut(frames, *, mean=False, late=1):
    change = np.abs(np.diff(frames.astype(int), axis=0)).max(-1)
    size = change.mean((1, 2)) if mean else np.median(change, axis=(1, 2))
    return int(size.argmax()) + late if size.max() > (0 if mean else 20) else 0


_whole = render(parse("a small red circle orbits on a navy background"), 1, 24, span=16).frames
_first, _second = _whole[:16], _whole[12:] + np.uint8(9)

RIGHT = {
    "09.1": (lambda f, s: seam_ratios(f, [s])[0],),
    "09.2": (join, _first, _second),
    "09.3": (find_cut,),
}

WRONG = {
    "09.1": [
        (lambda f, s: ratio(f, s, signed=False),),
        (lambda f, s: ratio(f, s, inside=True),),
        (lambda f, s: ratio(f, s, shift=1),),
        (lambda f, s: ratio(f, s, whole=True),),
        (lambda f, s: 1 / ratio(f, s),),
        (ratio_from_the_end,),
    ],
    "09.2": [
        (lambda a, b, k: np.concatenate([a, b[k:]]), _first, _second),
        (lambda a, b, k: np.concatenate([a, b]), _first, _second),
        (lambda a, b, k: join(a, b, k, weight=lambda n: 1 - np.arange(1, n + 1) / (n + 1)), _first, _second),
        (lambda a, b, k: join(a, b, k, weight=lambda n: np.full(n, 0.5)), _first, _second),
        (lambda a, b, k: join(a, b, k, keep=True), _first, _second),
    ],
    "09.3": [
        (lambda f: find_cut(f, late=0),),
        (lambda f: find_cut(f, mean=True),),
        (lambda f: len(f) // 2,),
        (lambda f: 0,),
    ],
}
