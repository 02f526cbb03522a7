"""Figures of scored clips, each beside what the container's metadata alone reaches on the same clips.

In: items, scores of each variant, the calibrated bands. Out: a JSON-ready table of AUC (plain, matched by
frame rate and by codec), TPR at 1 % FPR, calibration, false alarms with their exact limit, band changes and
pages.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.dataset import Item
from detectors.fitting import labels_of
from detectors.metrics import (
    Estimate,
    auc,
    bootstrap,
    calibration_error,
    matched_auc,
    pair_share,
    tpr_at_fpr,
    upper_limit,
)
from detectors.probes import probe_scores
from detectors.variants import PLAIN, SOCIAL

__all__ = ["by_generator", "codec_stratum", "figures", "rate_stratum"]

Floats = npt.NDArray[np.float64]

_RATES = (9.0, 13.0, 20.0, 27.0)
_BANDS = ("abstain", "uncertain", "likely_ai")


def rate_stratum(item: Item) -> str:
    """Which of five ranges of frame rates a clip's file has: up to 9, 13, 20, 27, above."""
    return str(int(np.digitize(float(item.facts.get("fps") or 25), _RATES)))


def codec_stratum(item: Item) -> str:
    """Codec and whether the picture is over 0.2 megapixels: pairs of one stratum look alike to a parser."""
    size = float(item.facts.get("width") or 0) * float(item.facts.get("height") or 0)
    return f"{item.facts.get('codec', '')}/{size > 2e5}"


def figures(
    items: Sequence[Item], scores: dict[str, Floats], bundle: dict[str, Any], *, seed: int = 0
) -> dict[str, Any]:
    """All figures of `scores` (variant to `(n,)`), and the shortcut probes' on the same clips."""
    y, groups = labels_of(items), [i.group for i in items]

    def with_interval(measure: Any) -> dict[str, Any]:
        return _plain(bootstrap(measure, y, groups, seed=seed))

    rates, codecs = np.array([rate_stratum(i) for i in items]), np.array([codec_stratum(i) for i in items])
    pages = np.array(_pages(items))
    gif = np.array([i.facts.get("container") == "gif" for i in items])
    out: dict[str, Any] = {
        "n": len(y),
        "ai": int(y.sum()),
        "real": int((1 - y).sum()),
        "groups": len(set(groups)),
    }
    for variant, s in scores.items():
        p = bundle["platt"].predict_proba(s[:, None])[:, 1]
        out[variant] = {
            "auc": with_interval(lambda i, s=s: auc(y[i], s[i])),
            "auc_rate_matched": with_interval(lambda i, s=s: matched_auc(y[i], s[i], rates[i])),
            "auc_codec_matched": with_interval(lambda i, s=s: matched_auc(y[i], s[i], codecs[i])),
            "auc_without_gif": with_interval(lambda i, s=s: auc(y[i[~gif[i]]], s[i[~gif[i]]])),
            "tpr_at_1_percent": with_interval(lambda i, s=s: tpr_at_fpr(y[i], s[i])),
            "pairs": _known(pair_share(y, s, list(pages))),
            "pages": int(sum(bool(k) for k in set(pages))),
            "calibration_error": round(calibration_error(y, _balanced(p, y)), 4),
            "false_alarms": _false_alarms(y, s, bundle["high"]),
            "bands": {k: _bands(s[y == v], bundle) for k, v in (("ai", 1), ("real", 0))},
        }
    if PLAIN in scores and SOCIAL in scores:
        out["band_changes"] = _changes(scores[PLAIN], scores[SOCIAL], bundle)
    for name, s in probe_scores(items).items():
        out[name] = {
            "auc": with_interval(lambda i, s=s: auc(y[i], s[i])),
            "auc_rate_matched": _known(matched_auc(y, s, rates)),
        }
    return out


def by_generator(items: Sequence[Item], scores: Floats, high: float) -> list[dict[str, Any]]:
    """For each generator: AUC of its clips against all real ones, and the share in the upper band."""
    y = labels_of(items)
    real = scores[y == 0]
    out = []
    for source in sorted({i.source for i in items if i.label == "ai"}):
        own = scores[[i.source == source for i in items]]
        both = np.concatenate([real, own])
        mark = np.concatenate([np.zeros(len(real), np.int64), np.ones(len(own), np.int64)])
        out.append(
            {
                "generator": source,
                "n": len(own),
                "auc": _known(auc(mark, both)),
                "likely_ai": round(float((own > high).mean()), 4),
            }
        )
    return out


def _pages(items: Sequence[Item]) -> list[str]:
    """The page of clips whose page shows both classes, else nothing."""
    seen: dict[str, set[str]] = {}
    for i in items:
        seen.setdefault(i.page, set()).add(i.label)
    return [i.page if i.page and {"ai", "real"} <= seen[i.page] else "" for i in items]


def _known(value: float) -> float | None:
    """A number for JSON, which has no NaN."""
    return None if np.isnan(value) else round(value, 4)


def _plain(e: Estimate) -> dict[str, Any]:
    return {"value": _known(e.value), "ci": [_known(e.low), _known(e.high)], "n": e.n}


def _balanced(p: Floats, y: npt.NDArray[np.int64]) -> Floats:
    """Chances moved from even odds to the share of AI clips among these clips."""
    share = float(np.clip(y.mean(), 1e-3, 1 - 1e-3))
    odds = p / (1 - p) * share / (1 - share)
    moved: Floats = odds / (1 + odds)
    return moved


def _false_alarms(y: npt.NDArray[np.int64], s: Floats, high: float) -> dict[str, Any]:
    hits, n = int((s[y == 0] > high).sum()), int((y == 0).sum())
    return {
        "hits": hits,
        "n": n,
        "share": round(hits / max(n, 1), 4),
        "upper_95": round(upper_limit(hits, n), 4),
    }


def _index(s: Floats, bundle: dict[str, Any]) -> npt.NDArray[np.int64]:
    place: npt.NDArray[np.int64] = (s > bundle["low"]).astype(np.int64) + (s > bundle["high"])
    return place


def _bands(s: Floats, bundle: dict[str, Any]) -> dict[str, float]:
    place = _index(s, bundle)
    return {name: round(float((place == i).mean()), 4) for i, name in enumerate(_BANDS)}


def _changes(a: Floats, b: Floats, bundle: dict[str, Any]) -> dict[str, Any]:
    one, two = _index(a, bundle), _index(b, bundle)
    return {
        "n": len(a),
        "share": round(float((one != two).mean()), 4),
        "between_ends": int((np.abs(one - two) == 2).sum()),
    }
