"""From a clip's numbers to evidence: probability, band, and the reasons in plain words.

In: a loaded model and the descriptions of one or more windows. Out: `DetectorEvidence`. The band follows from
the score alone and does not move with the prior; `likely_real` is never given, for a low score was not shown
to be evidence of a recording. The lowest band is `abstain` with a probability; without one, it is a refusal.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from detectors.describe import BLOCKS, Description, names
from detectors.features import WORDS, family_of
from sorakit.types import DetectorEvidence

__all__ = ["MIN_FRAMES", "Judge", "Window"]

MIN_FRAMES = 8
_FEW_TONES = 5.3
_STILL = -1.8
_FAR = 4.0
_MAX_NEAREST = 3
_TOP, _LATE = BLOCKS["top"], BLOCKS["late"]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One described window: where it lies, seconds, and how many frames it has."""

    start: float
    end: float
    frames: int
    described: Description


class Judge:
    """A loaded model bundle, ready to give evidence. `bundle`: what `detectors.train` saved."""

    def __init__(self, bundle: dict[str, Any], name: str) -> None:
        self._b = bundle
        self.name = name
        place = {n: i for i, n in enumerate(names())}
        self._tones, self._moves = place["colour_entropy"], place["flow_difference"]
        kinds = [family_of(n) for n in names()]
        self._families = {f: np.array([k == f for k in kinds]) for f in WORDS}

    @property
    def prior(self) -> float:
        """The share of synthetic clips in the queue that is assumed where nobody names one."""
        return float(self._b["prior"])

    def score(self, described: Description) -> float:
        """The fused score of one window."""
        fusion = self._b["fusion"]
        return float(self._scaled(described.values) @ fusion.coef_ + fusion.intercept_)

    def _scaled(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Clipped deviations `(d,)`."""
        scaled: npt.NDArray[np.float64] = self._b["fusion"].scaler_.scaled(values.astype(np.float64))
        return scaled

    def band(self, score: float) -> str:
        """`likely_ai`, `uncertain`, or the lowest band, `abstain`."""
        if score > self._b["high"]:
            return "likely_ai"
        return "uncertain" if score > self._b["low"] else "abstain"

    def close(self, score: float) -> bool:
        """Whether a re-encode could take the score out of the upper band."""
        return bool(0 < score - self._b["high"] < self._b["margin"])

    def chance(self, score: float, prior: float) -> float:
        """Probability at a prior; kept off 0 and 1, which no classifier knows."""
        return float(self._chances(np.array([score]), prior)[0])

    def _chances(self, scores: npt.NDArray[np.floating], prior: float) -> npt.NDArray[np.floating]:
        odds = self._b["platt"].log_odds(scores.astype(np.float64))
        chances: npt.NDArray[np.floating] = np.clip(expit(odds + logit(prior)), 0.001, 0.999)
        return chances

    def refuse(self, windows: Sequence[Window]) -> list[str]:
        """Why this clip cannot be judged at all, in plain words; empty when it can."""
        values = np.mean([w.described.values for w in windows], 0)
        out = []
        if max(w.frames for w in windows) < MIN_FRAMES:
            out.append(
                f"the clip is too short: {windows[0].frames} frames at 8 a second, {MIN_FRAMES} are needed"
            )
        if values[self._moves] < _STILL:
            out.append("the picture hardly moves, and the detector judges moving pictures")
        if values[self._tones] < _FEW_TONES:
            out.append("few tones, as in drawings and screen recordings, which the detector was not made for")
        scaled = self._scaled(values)[: BLOCKS["hand"][1]]
        if int((np.abs(scaled) > _FAR).sum()) > self._b["far_limit"]:
            out.append("the clip is unlike any that the detector was fitted on")
        return out

    def evidence(
        self, windows: Sequence[Window], prior: float, again: float | None = None
    ) -> DetectorEvidence:
        """Evidence from windows in time. `again`: the first one's score after a re-encode."""
        values = np.mean([w.described.values for w in windows], 0)
        reasons = self.refuse(windows)
        scores = [self.score(w.described) for w in windows]
        score = float(np.mean(scores))
        label = self.band(score)
        if again is not None and label == "likely_ai" and self.band(again) != label:
            label = "uncertain"
            if self.band(again) == "abstain":
                reasons.append("a re-encode takes the score from the highest band to the lowest")
        if reasons:
            return DetectorEvidence(None, "abstain", self.name, reasons=reasons, prior=prior)
        chance = self.chance(score, prior)
        return DetectorEvidence(
            probability=round(chance, 4),
            label=label,  # type: ignore[arg-type]
            model=self.name,
            segments=[
                {
                    "start_ms": round(w.start * 1000),
                    "end_ms": round(w.end * 1000),
                    "score": round(self.chance(s, prior), 4),
                }
                for w, s in zip(windows, scores, strict=True)
            ],
            reasons=[self._words(label, chance, prior)],
            prior=prior,
            heatmap=self._heatmap(windows, score, prior),
            families=self._spoke(values),
            nearest=self._nearest(values),
        )

    def _words(self, label: str, chance: float, prior: float) -> str:
        if label == "likely_ai":
            share = self._b["false_alarms"]
            return (
                f"the score is above what all but {share:.1%} of held-out real clips reach; "
                f"probability {chance:.0%} if {prior:.0%} of the queue is synthetic"
            )
        if label == "uncertain":
            return "the score lies where held-out real and generated clips both do"
        return "the score is low; that is no evidence of a real recording"

    def _spoke(self, values: npt.NDArray[np.floating]) -> list[dict[str, Any]]:
        parts = self._scaled(values) * self._b["fusion"].coef_ * self._b["platt"].slope_[0]
        weights = {f: float(parts[mask].sum()) for f, mask in self._families.items()}
        order = sorted(weights, key=lambda f: -abs(weights[f]))
        return [
            {"name": f, "weight": round(weights[f], 3), "words": f"{WORDS[f]}: {_direction(weights[f])}"}
            for f in order
        ]

    def _nearest(self, values: npt.NDArray[np.floating]) -> list[dict[str, Any]]:
        """Training generators by the cosine to their mean clip; a hint, right at the stated rate."""
        z = self._scaled(values)
        c = self._b["centroids"].astype(np.float64)
        near = c @ z / (np.linalg.norm(c, axis=1) * np.linalg.norm(z) + 1e-9)
        share = np.exp((near - near.max()) * 20)
        share /= share.sum()
        order = np.argsort(-near, kind="stable")[:_MAX_NEAREST]
        return [
            {
                "generator": self._b["generators"][i],
                "share": round(float(share[i]), 3),
                "hit_rate": self._b["hit_rate"],
            }
            for i in order
        ]

    def _heatmap(self, windows: Sequence[Window], score: float, prior: float) -> list[list[float]]:
        """Rows of chances over the picture: the score with the network's part read at each place alone.

        The network's channels enter as means over the picture, so each place's share of the logit is exact
        (class activation mapping, Zhou et al., CVPR 2016).
        """
        fusion = self._b["fusion"]
        weight = fusion.coef_ / fusion.scaler_.scale_
        top = np.mean([w.described.top for w in windows], 0)
        late = np.mean([w.described.late for w in windows], 0)
        size = top.shape[1]
        late = late.reshape(late.shape[0], size, late.shape[1] // size, size, -1).mean((2, 4))
        here = np.tensordot(weight[slice(*_TOP)], top - top.mean((1, 2), keepdims=True), 1)
        half = _LATE[0] + late.shape[0]
        here = here + np.tensordot(weight[_LATE[0] : half], late - late.mean((1, 2), keepdims=True), 1)
        spread = float(np.abs(here).max()) or 1.0
        here = here * min(1.0, 3.0 / spread / max(float(self._b["platt"].slope_[0]), 1e-6))
        return [[round(float(v), 3) for v in row] for row in self._chances(score + here, prior)]


def _direction(weight: float) -> str:
    if math.fabs(weight) < 0.1:
        return "says little"
    return "as in generated clips" if weight > 0 else "as in recorded clips"
