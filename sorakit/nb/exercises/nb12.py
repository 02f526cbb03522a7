"""Exercises of notebook 12: a split that does not leak, a rate with its interval, and what a flag means."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, norm

from sorakit.nb.exercise import Exercise, call, near
from sorakit.prior import flag_is_right

__all__ = ["EXERCISES"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def _split(answer: Any) -> str | None:
    rng = np.random.default_rng()
    for count, share in ((6, 0.34), (20, 0.25), (40, 0.1)):
        sizes = rng.integers(1, 12, count)
        groups = np.repeat([f"{rng.integers(1 << 30):x}" for _ in range(count)], sizes)
        groups = groups[rng.permutation(len(groups))]
        tests = []
        for seed in range(4):
            parts = call(answer, groups.copy(), share, np.random.default_rng(seed))
            if hint := _one_split(parts, groups, share):
                return hint
            tests.append(frozenset(np.asarray(parts[1]).tolist()))
        if len(set(tests)) == 1:
            return "four generators with different seeds gave one and the same split; draw with `rng`"
    return None


def _one_split(parts: Any, groups: npt.NDArray[np.str_], share: float) -> str | None:
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        return "two arrays of indices were expected, train and test"
    train, test = (np.asarray(p) for p in parts)
    return _form(train, test) or _content(train, test, groups, share)


def _form(train: Any, test: Any) -> str | None:
    if any(p.dtype == bool for p in (train, test)):
        return "masks came back; indices were asked for (np.flatnonzero turns one into the other)"
    if not train.size or not test.size:
        return "one side is empty"
    if any(p.ndim != 1 or not np.issubdtype(p.dtype, np.integer) for p in (train, test)):
        return f"indices of shape (n,) were expected, got {train.dtype} {train.shape} and {test.shape}"
    return None


def _content(train: Ints, test: Ints, groups: npt.NDArray[np.str_], share: float) -> str | None:
    both, n = np.concatenate([train, test]), len(groups)
    if len(np.unique(both)) < len(both):
        return "a clip stands on both sides, or twice on one"
    if sorted(both.tolist()) != list(range(n)):
        return f"of {n} clips {n - len(np.intersect1d(both, np.arange(n)))} are on neither side"
    every, tested = set(groups), set(groups[test])
    if shared := set(groups[train]) & tested:
        return f"{len(shared)} of {len(every)} groups are on both sides; draw groups, not clips"
    if abs(len(tested) - share * len(every)) > 1:
        return f"{len(tested)} of {len(every)} groups are in the test part, asked was a share of {share:.2f}"
    return None


def _rate(answer: Any) -> str | None:
    rng = np.random.default_rng()
    for generated, real in ((80, 250), (150, 60), (40, 420)):
        y = np.r_[np.ones(generated, np.int64), np.zeros(real, np.int64)]
        s = np.round(rng.normal(0, 1, len(y)) + 2 * y, 1)
        s[generated + np.argsort(-s[generated:])[: int(0.01 * real) + 1]] += 0.5  # a gap below the bar
        order = rng.permutation(len(y))
        y, s = y[order], s[order]
        got = call(answer, y.copy(), s.copy())
        if not isinstance(got, tuple | list) or len(got) != 3:
            return "three numbers were expected: tpr, low, high"
        hits, bar = _hits(y, s)
        if hint := near(got[0], hits / generated, _rate_slip(got[0], y, s, bar)):
            return hint
        if hint := near(got[1:], _exact(hits, generated), _interval_slip(got[1:], hits, len(y), generated)):
            return hint
    return None


def _hits(y: Ints, s: Floats) -> tuple[int, float]:
    real = np.sort(s[y == 0])[::-1]
    bar = float(real[int(0.01 * len(real))])
    return int((s[y == 1] > bar).sum()), bar


def _rate_slip(got: Any, y: Ints, s: Floats, bar: float) -> str:
    generated, real = s[y == 1], s[y == 0]

    def is_(value: float) -> bool:
        return near(got, value, "no") is None

    if is_(float((generated >= bar).mean())):
        return "clips *at* the bar count as caught, but real ones there would count as false alarms too"
    if is_(float((generated > np.quantile(real, 0.99)).mean())):
        return "np.quantile goes between two real scores, and more than 1 % can lie above; take a real score"
    if is_(float((real > bar).mean())):
        return "that is the share of real clips above the bar; which class is 1?"
    if is_(float((generated > np.sort(generated)[::-1][int(0.01 * len(generated))]).mean())):
        return "the bar was set on the generated clips; false alarms are a matter of the real ones"
    if is_(float((generated > np.sort(s)[::-1][int(0.01 * len(s))]).mean())):
        return "the bar was set on all clips; 1 % of the *real* ones may lie above"
    return "the TPR differs; sort the real scores from the top: how many of them may lie above the bar?"


def _exact(hits: int, n: int) -> tuple[float, float]:
    low = float(beta.ppf(0.025, hits, n - hits + 1)) if hits else 0.0
    return low, float(beta.ppf(0.975, hits + 1, n - hits)) if hits < n else 1.0


def _interval_slip(got: Any, hits: int, everything: int, n: int) -> str:
    half = float(norm.ppf(0.975)) * np.sqrt(hits / n * (1 - hits / n) / n)
    if near(got, (hits / n - half, hits / n + half), "no") is None:
        return "that is the normal approximation; it fails near 0 and 1, where it matters"
    if near(got, _exact(hits, everything), "no") is None:
        return "the interval counts all clips; only generated ones can be caught"
    if near(got, _exact(hits, n)[::-1], "no") is None:
        return "low and high have changed places"
    return "the TPR is right, the interval is not; `exact_interval` takes the hits and their number"


def _flags(answer: Any) -> str | None:
    rng = np.random.default_rng()
    for shape in ((), (7,), (2, 3)):
        tpr, fpr = rng.uniform(0.2, 0.95, shape), rng.uniform(0.01, 0.15, shape)
        prior = rng.uniform(0.001, 0.4, shape)
        got = call(answer, tpr, fpr, prior)
        wanted = np.vectorize(flag_is_right)(tpr, fpr, prior)
        if hint := near(got, wanted, _flag_slip(got, tpr, fpr, prior)):
            return hint
    return None


def _flag_slip(got: Any, tpr: Any, fpr: Any, prior: Any) -> str:
    flags = tpr * prior + fpr * (1 - prior)
    slips = (
        (
            tpr / (tpr + fpr),
            "that holds where half of all uploads are generated; where is `prior`?",
        ),
        (flags, "that is the share of uploads flagged; how many of those flags are right?"),
        (tpr * prior, "those are the right flags as a share of all uploads; divide by all flags"),
        (fpr * (1 - prior) / flags, "that is the share of flags that are wrong"),
        (tpr * prior / (tpr * prior + fpr), "false alarms come from the share 1 − prior of the uploads only"),
        (fpr * prior / (fpr * prior + tpr * (1 - prior)), "tpr and fpr have changed places"),
        (tpr, "the TPR looks at generated clips only; a flag may also come from one of the many others"),
    )
    for value, hint in slips:
        if near(got, value, "no") is None:
            return hint
    return "count for 1,000 uploads: how many right flags, how many wrong ones?"


EXERCISES = (
    Exercise("12.1", "A split in which no source is on both sides.", _split),
    Exercise("12.2", "TPR at 1 % FPR with its exact interval.", _rate),
    Exercise("12.3", "The share of flags that are right, at a base rate.", _flags),
)
