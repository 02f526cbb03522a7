"""A detector's probability at another share of synthetic clips in the queue.

In: `DetectorEvidence` that states its prior. Out: the same at the prior that holds here. Bayes' rule on the
odds; bands do not move, for they stand on error rates, not on how many clips of a kind arrive.
"""

import math
from dataclasses import replace

from sorakit.errors import UsageError
from sorakit.types import DetectorEvidence

__all__ = ["at_prior", "flag_is_right", "moved"]


def at_prior(evidence: DetectorEvidence, prior: float) -> DetectorEvidence:
    """`evidence` with probability, segments and heat map at `prior`; as it is where it states none.

    Raises `UsageError` unless `prior` lies between 0 and 1.

    >>> at_prior(DetectorEvidence(0.5, "uncertain", "x@1", prior=0.5), 0.01).probability
    0.01
    """
    _check(prior)
    old = evidence.prior
    if old is None or not 0 < old < 1:
        return evidence
    known = evidence.probability
    return replace(
        evidence,
        prior=prior,
        probability=None if known is None else moved(known, old, prior),
        segments=[s | {"score": moved(float(s["score"]), old, prior)} for s in evidence.segments],
        heatmap=evidence.heatmap and [[moved(v, old, prior) for v in row] for row in evidence.heatmap],
    )


def moved(p: float, old: float, new: float) -> float:
    """A probability moved from one prior to another, 4 digits.

    >>> moved(0.9, 0.5, 0.01)
    0.0833
    """
    if not 0 < p < 1:
        return p
    odds = math.log(p / (1 - p)) + math.log(new / (1 - new)) - math.log(old / (1 - old))
    return round((1 + math.tanh(odds / 2)) / 2, 4)  # the logistic function, without overflow


def flag_is_right(hits: float, false_alarms: float, prior: float) -> float:
    """Share of flagged clips that are synthetic, given the rates of flags in both classes.

    >>> round(flag_is_right(0.3, 0.01, 0.01), 2)
    0.23
    """
    _check(prior)
    right = hits * prior
    every = right + false_alarms * (1 - prior)
    return right / every if every > 0 else 0.0


def _check(prior: float) -> None:
    if not 0 < prior < 1:
        raise UsageError(f"`prior` must lie between 0 and 1, got {prior}; 0.01 means one clip in a hundred")
