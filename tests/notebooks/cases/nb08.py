"""Answers to notebook 08."""

import numpy as np
import torch

from sorakit.world.box import boxes_between, iou


def obedience(first, last, found, *, ends=True, empty=0.0, shift=0):
    way = boxes_between(first, last, len(found) + shift)
    each = [empty if f is None else iou(w, f) for w, f in zip(way, found, strict=False)]
    each = [e for e in each if e is not None]
    return np.mean(each if ends else each[1:-1] or each)


def iou_without_floor(a, b):
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return wide * high / (sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - wide * high)


def iou_over_the_sum(a, b):
    v = iou(a, b)
    return 1.0 if a == b else v / (1 + v)


def iou_plus_one(a, b):
    return iou((*a[:2], a[2] + 1, a[3] + 1), (*b[:2], b[2] + 1, b[3] + 1)) if iou(a, b) else 0.0


def condition(noisy, clean, mask, *, invert=False, steps=4):
    where = mask[:, None, :, None, None].bool() ^ invert
    told = mask.unflatten(1, (-1, steps))
    return torch.where(where, clean, noisy), told if steps == 4 else told.transpose(1, 2)


RIGHT = {"08.1": (iou,), "08.2": (obedience,), "08.3": (condition,)}

WRONG = {
    "08.1": [
        (iou_without_floor,),
        (iou_over_the_sum,),
        (iou_plus_one,),
        (lambda a, b: iou_over_the_sum(a, b) / 2 + 0.5,),
        (0.5,),
    ],
    "08.2": [
        (lambda a, b, f: obedience(a, b, f, empty=None),),
        (lambda a, b, f: obedience(a, b, f, ends=False),),
        (lambda a, b, f: obedience(a, b, f, shift=1),),
        (lambda a, b, f: obedience(b, a, f),),
    ],
    "08.3": [
        (lambda *given: condition(*given, invert=True),),
        (lambda n, c, m: (condition(n, c, m)[0], m.view(len(m), 4, -1).transpose(1, 2)),),
        (lambda n, c, m: condition(n, c, m)[0],),
        (lambda n, c, m: (condition(n, c, m)[0], m),),
    ],
}
