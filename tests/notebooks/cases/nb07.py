"""Answers to notebook 07."""

import numpy as np


def line(x, y):
    return np.polyfit(np.log(x), np.log(y), 1)


def power_law(x, y, *, fit=line, ends=(0.025, 0.975), apart=False):
    rng = np.random.default_rng(1)
    picks = [i for i in rng.integers(0, len(x), (400, len(x))) if len(set(i)) > 2]
    slopes = [fit(x[i], y[rng.permutation(i)] if apart else y[i])[0] for i in picks]
    return fit(x, y)[0], *np.quantile(slopes, ends)


def training_flops(n, words, width, depth, patch, *, times=6, tokens=None, attention=2):
    m = n + words
    block = m * 12 * width**2 + attention * m * m * width + 6 * width**2
    return times * (depth * block + 2 * (tokens or n) * patch * width)


def predict(x, y, wanted, *, straight=False):
    floors = [0.0] if straight else np.linspace(0, 0.98 * y.min(), 200)
    best = min(
        floors,
        key=lambda e: (
            ((np.log(y - e) - np.polyval(line(x, y - e), np.log(x))) ** 2).mean() / np.log(y - e).var()
        ),
    )
    return best + np.exp(np.polyval(line(x, y - best), np.log(wanted)))


RIGHT = {"07.1": (power_law,), "07.2": (training_flops,), "07.3": (predict,)}

WRONG = {
    "07.1": [
        (lambda x, y: power_law(x, y, fit=lambda a, b: np.polyfit(a, b, 1)),),
        (lambda x, y: power_law(y, x),),
        (lambda x, y: power_law(x, y, ends=(0.975, 0.025)),),
        (lambda x, y: power_law(x, y, ends=(0.45, 0.55)),),
        (lambda x, y: line(x, y)[0],),
    ],
    "07.2": [
        (lambda *a: training_flops(*a, times=2),),
        (lambda *a: training_flops(*a, times=3),),
        (lambda n, w, *a: training_flops(n, 0, *a) if w else 1,),
        (lambda n, w, *a: training_flops(n, w, *a, tokens=n + w + 1),),
        (lambda *a: training_flops(*a, attention=1),),
    ],
    "07.3": [
        (lambda x, y, n: predict(x, y, n, straight=True),),
        (lambda x, y, n: np.polyval(np.polyfit(x, y, 1), n),),
        (lambda x, y, n: y[-1],),
    ],
}
