"""Answers to notebook 13."""

from typing import Any

import numpy as np


def _search(scores: Any, labels: Any, weigh: Any, extra: tuple[float, ...] = (np.inf,)) -> Any:
    def cost(t: float) -> float:
        flagged = scores >= t
        return float(weigh(flagged[labels == 1].mean(), flagged[labels == 0].mean()))

    return min([*np.unique(scores), *extra], key=cost)


def _right(s: Any, y: Any, base: float, miss: float, alarm: float) -> Any:
    return _search(s, y, lambda tpr, fpr: base * (1 - tpr) * miss + (1 - base) * fpr * alarm)


def _swapped(s: Any, y: Any, base: float, miss: float, alarm: float) -> Any:
    return _right(s, y, base, alarm, miss)


def _of_the_sample(s: Any, y: Any, base: float, miss: float, alarm: float) -> Any:
    return _right(s, y, y.mean(), miss, alarm)


def _never_nothing(s: Any, y: Any, base: float, miss: float, alarm: float) -> Any:
    return _search(s, y, lambda tpr, fpr: base * (1 - tpr) * miss + (1 - base) * fpr * alarm, ())


def _the_cost(s: Any, y: Any, base: float, miss: float, alarm: float) -> Any:
    flagged = s >= _right(s, y, base, miss, alarm)
    tpr, fpr = flagged[y == 1].mean(), flagged[y == 0].mean()
    return base * (1 - tpr) * miss + (1 - base) * fpr * alarm + 2


_POLICY = """
name: festival
version: 1
about: For the festival.
detector: {prior: 0.02, likely_ai: 0.5, uncertain: 0.1}
then:
  tampered: {action: hold, review: festival team}
  conflict: {action: hold, review: festival team}
  error: {action: hold, review: festival team}
  ai_declared: {action: label}
  ai_recovered: {action: label}
  ai_watermarked: {action: label}
  likely_ai: {review: festival team}
"""

_scores = np.r_[np.full(60, 0.95), np.full(40, 0.3), np.full(3, 0.92), np.full(97, 0.2)]
_labels = np.r_[np.ones(100, int), np.zeros(100, int)]
_share = {"what": "real clips flagged", "value": 0.03, "low": 0.0103, "high": 0.0845, "n": 100}
_card = {
    "intended_use": "Moderators of one site see flagged uploads first; a person decides on each of them.",
    "must_not_use": [
        "No upload is removed automatically without somebody who looked.",
        "A low score is no proof that a camera took the clip.",
    ],
    "figures": [_share],
    "data": "Measured on 100 generated and 100 real clips of one site.",
    "limits": "Rates under 1 % cannot be shown with so few real clips.",
}


def _with(**changes: Any) -> tuple[Any, ...]:
    return _card | changes, _scores, _labels


RIGHT = {"13.1": (_right,), "13.2": (_POLICY,), "13.3": (_card, _scores, _labels)}

WRONG = {
    "13.1": [
        (_swapped,),
        (_of_the_sample,),
        (_never_nothing,),
        (_the_cost,),
        (lambda *_: 0.5,),
        (lambda s, y, *_: s,),
        (3,),
    ],
    "13.2": [
        (_POLICY.replace("  error: {action: hold, review: festival team}\n", ""),),
        (_POLICY.replace("detector: {prior: 0.02, likely_ai: 0.5, uncertain: 0.1}\n", ""),),
        (_POLICY.replace("likely_ai: {review", "likely_ai: {action: reject, review"),),
        (_POLICY.replace("ai_recovered: {action: label}", "ai_recovered: {action: hold}"),),
        (_POLICY.replace("prior: 0.02", "prior: 0.5"),),
        (_POLICY.replace("festival\n", "mine\n"),),
        (_POLICY.replace("  likely_ai: {review: festival team}\n", ""),),
        ({"name": "festival"},),
        ("then: [",),
    ],
    "13.3": [
        _with(intended_use="A robust, state of the art detector for content moderation of videos."),
        _with(intended_use="Finds generated video among the uploads of one site every night."),
        _with(must_not_use=["No misuse of any kind is allowed with it."] * 2),
        _with(must_not_use=["Not for still pictures, which it never saw."] * 2),
        _with(figures=[_share | {"n": 369}]),
        _with(figures=[_share | {"low": 0.029, "high": 0.031}]),
        _with(figures=[_share | {"value": 0.6, "low": 0.5, "high": 0.7}]),
        _with(figures=[{"what": "accuracy", "value": 0.95}]),
        _with(data="Measured on a large set of clips from many sources."),
        _with(limits=None),
    ],
}
