"""Answers to notebook 12."""

from typing import Any

import numpy as np
from scipy.stats import beta


def _split(groups: Any, share: float, rng: Any) -> Any:
    chosen = rng.permutation(np.unique(groups))
    in_test = np.isin(groups, chosen[: max(1, round(share * len(chosen)))])
    return np.flatnonzero(~in_test), np.flatnonzero(in_test)


def _by_clip(groups: Any, share: float, rng: Any) -> Any:
    order = rng.permutation(len(groups))
    cut = round(share * len(groups))
    return order[cut:], order[:cut]


def _masks(groups: Any, share: float, rng: Any) -> Any:
    _, test = _split(groups, share, rng)
    mask = np.isin(np.arange(len(groups)), test)
    return ~mask, mask


def _always_the_first(groups: Any, share: float, rng: Any) -> Any:
    return _split(groups, share, np.random.default_rng(0))


def _one_clip_a_group(groups: Any, share: float, rng: Any) -> Any:
    train, test = _split(groups, share, rng)
    return train[np.unique(groups[train], return_index=True)[1]], test


def _half(groups: Any, share: float, rng: Any) -> Any:
    return _split(groups, 0.5, rng)


def _swapped(groups: Any, share: float, rng: Any) -> Any:
    return _split(groups, share, rng)[::-1]


def _exact(hits: int, n: int) -> Any:
    low = beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0
    return low, beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0


def _rate(y: Any, s: Any, *, real: Any = None, at: bool = False, n: int | None = None) -> Any:
    real = np.sort(s[y == 0] if real is None else real)[::-1]
    bar = real[int(0.01 * len(real))]
    caught = s[y == 1] >= bar if at else s[y == 1] > bar
    return caught.mean(), *_exact(int(caught.sum()), n or len(caught))


def _normal(y: Any, s: Any) -> Any:
    p = _rate(y, s)[0]
    half = 1.959964 * np.sqrt(p * (1 - p) / (y == 1).sum())
    return p, p - half, p + half


def _quantile(y: Any, s: Any) -> Any:
    caught = s[y == 1] > np.quantile(s[y == 0], 0.99)
    return caught.mean(), *_exact(int(caught.sum()), len(caught))


def _right(tpr: Any, fpr: Any, prior: Any) -> Any:
    return tpr * prior / (tpr * prior + fpr * (1 - prior))


RIGHT = {"12.1": (_split,), "12.2": (_rate,), "12.3": (_right,)}

WRONG = {
    "12.1": [
        (_by_clip,),
        (_masks,),
        (_always_the_first,),
        (_one_clip_a_group,),
        (_half,),
        (_swapped,),
        (lambda g, s, r: np.arange(len(g)),),
    ],
    "12.2": [
        (lambda y, s: _rate(y, s, at=True),),
        (lambda y, s: _rate(1 - y, s),),
        (lambda y, s: _rate(y, s, real=s[y == 1]),),
        (lambda y, s: _rate(y, s, real=s),),
        (lambda y, s: _rate(y, s, n=len(y)),),
        (lambda y, s: (_rate(y, s)[0], *_rate(y, s)[:0:-1]),),
        (_normal,),
        (_quantile,),
        (lambda y, s: _rate(y, s)[0],),
    ],
    "12.3": [
        (lambda tpr, fpr, prior: tpr / (tpr + fpr),),
        (lambda tpr, fpr, prior: tpr * prior + fpr * (1 - prior),),
        (lambda tpr, fpr, prior: tpr * prior,),
        (lambda tpr, fpr, prior: _right(fpr, tpr, prior),),
        (lambda tpr, fpr, prior: 1 - _right(tpr, fpr, prior),),
        (lambda tpr, fpr, prior: tpr,),
    ],
}
