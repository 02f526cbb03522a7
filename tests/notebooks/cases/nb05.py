"""Answers to the exercises of notebook 05: right ones, and typical mistakes."""

import numpy as np


def by_level(sigma, loss, edges, *, empty=np.nan, reduce=np.mean, shift=0, strict=False):
    place = np.digitize(sigma, edges, right=strict) - 1 + shift
    parts = [loss[place == i] for i in range(len(edges) - 1)]
    return np.array([reduce(part) if len(part) else empty for part in parts])


def average(kept, now, step, decay):
    d = min(decay, (1 + step) / (10 + step))
    return d * kept + (1 - d) * now


def slow(kept, now, step, decay):
    return decay * kept + (1 - decay) * now


def larger(kept, now, step, decay):
    d = max(decay, (1 + step) / (10 + step))
    return d * kept + (1 - d) * now


def accumulate(model, parts, loss_of, *, weigh=lambda part, clips, count: len(part) / clips, forget=False):
    clips, total = sum(len(part) for part in parts), 0.0
    for part in parts:
        if forget:
            model.zero_grad()
        loss = loss_of(model, part) * weigh(part, clips, len(parts))
        loss.backward()
        total += loss.item()
    return total


def only_looks(model, parts, loss_of):
    return sum(loss_of(model, part).item() * len(part) for part in parts) / sum(len(part) for part in parts)


RIGHT = {"05.1": (by_level,), "05.2": (average,), "05.3": (accumulate,)}
WRONG = {
    "05.1": [
        (lambda s, v, e: by_level(s, v, e, empty=0.0),),
        (lambda s, v, e: by_level(s, v, e, reduce=np.sum),),
        (lambda s, v, e: by_level(s, v, e, shift=1),),
        (lambda s, v, e: by_level(s, v, e, strict=True),),
        (lambda s, v, e: np.full(len(e), np.nan),),
    ],
    "05.2": [(lambda kept, now, step, decay: average(now, kept, step, decay),), (slow,), (larger,)],
    "05.3": [
        (lambda m, p, f: accumulate(m, p, f, weigh=lambda *_: 1.0),),
        (lambda m, p, f: accumulate(m, p, f, weigh=lambda _part, _clips, count: 1 / count),),
        (lambda m, p, f: accumulate(m, p, f, forget=True),),
        (lambda m, p, f: len(p) * accumulate(m, p, f),),
        (only_looks,),
    ],
}
