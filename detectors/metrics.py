"""How good a detector's scores are, with intervals that know that clips of one source are alike.

In: scores and labels `(n,)`, groups, strata. Out: numbers. AUC is the chance that an AI clip scores above a
real one; within strata only pairs of one stratum count, so that what defines the strata cannot help.
Intervals: bootstrap over groups, each class apart; Clopper & Pearson (1934) for shares.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, rankdata

__all__ = [
    "Estimate",
    "auc",
    "bootstrap",
    "calibration_error",
    "matched_auc",
    "pair_share",
    "tpr_at_fpr",
    "upper_limit",
]

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval and the clips it stands on."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """As in tables: value, interval, n."""
        return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f}, n = {self.n})"


def auc(y: Labels, score: Floats) -> float:
    """Area under the ROC curve; NaN with one class alone.

    >>> auc(np.array([0, 1, 1]), np.array([0.1, 0.2, 0.3]))
    1.0
    """
    ai = int(y.sum())
    real = len(y) - ai
    if ai == 0 or real == 0:
        return float("nan")
    return float((rankdata(score)[y == 1].sum() - ai * (ai + 1) / 2) / (ai * real))


def matched_auc(y: Labels, score: Floats, strata: Sequence[object] | npt.NDArray[np.str_]) -> float:
    """AUC over the pairs that lie in one stratum, each pair counting the same; NaN without any."""
    kinds = np.array([str(s) for s in strata])
    won = pairs = 0.0
    for kind in np.unique(kinds):
        here = kinds == kind
        count = float(y[here].sum() * (here.sum() - y[here].sum()))
        if count:
            won += auc(y[here], score[here]) * count
            pairs += count
    return won / pairs if pairs else float("nan")


def pair_share(y: Labels, score: Floats, pages: Sequence[str]) -> float:
    """As `matched_auc`, each page that has both classes counting the same."""
    kinds = np.array(pages)
    each = [auc(y[kinds == k], score[kinds == k]) for k in np.unique(kinds) if k]
    whole = [v for v in each if not np.isnan(v)]
    return float(np.mean(whole)) if whole else float("nan")


def tpr_at_fpr(y: Labels, score: Floats, fpr: float = 0.01) -> float:
    """Share of AI clips above the highest scores that at most `fpr` of the real clips exceed."""
    real = np.sort(score[y == 0])[::-1]
    allowed = int(np.floor(fpr * len(real)))
    bar = real[min(allowed, len(real) - 1)]
    return float((score[y == 1] > bar).mean())


def calibration_error(y: Labels, p: Floats, bins: int = 10) -> float:
    """Expected calibration error over `bins` of equal numbers of clips."""
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, bins)
    return float(sum(abs(p[i].mean() - y[i].mean()) * len(i) for i in parts if len(i)) / len(p))


def upper_limit(hits: int, n: int, level: float = 0.95) -> float:
    """The exact one-sided upper limit of a share.

    >>> round(upper_limit(0, 100), 4)
    0.0295
    """
    return 1.0 if hits >= n else float(beta.ppf(level, hits + 1, n - hits))


def bootstrap(
    measure: Callable[[npt.NDArray[np.int64]], float],
    y: Labels,
    groups: Sequence[str],
    *,
    rounds: int = 500,
    seed: int = 0,
) -> Estimate:
    """`measure` of indices, with the interval from resampling whole groups, those of each class apart."""
    rng = np.random.default_rng(seed)
    names = np.array(groups)
    members = [[np.flatnonzero((names == g) & (y == k)) for g in np.unique(names[y == k])] for k in (0, 1)]
    values = []
    for _ in range(rounds):
        drawn = [kind[i] for kind in members if kind for i in rng.integers(0, len(kind), len(kind))]
        values.append(measure(np.concatenate(drawn)))
    low, high = np.nanquantile(values, [0.025, 0.975])
    return Estimate(float(measure(np.arange(len(y)))), float(low), float(high), len(y))
