"""Published ideas as yardsticks, behind the same protocol: straight trajectories, and second differences.

In: a path to a video. Out: `DetectorEvidence`. `restrav-like` fits a regression to how straight a clip's path
through a network's space is (ReStraV, Internò et al. 2025, there in DINOv2's space); `d3-like` has a single
number, the spread of second differences (D3, Zheng et al., ICCV 2025), and only its scale is fitted. Both see
the canonical clip, so what they reach is comparable with the shipped detector.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.backbone import run_backbone
from detectors.clip import Canonical, canonical, read_squares
from detectors.estimators import BlockFusion, Platt
from detectors.features.shared import Named
from detectors.features.trajectory import path
from detectors.store import load_model
from sorakit.types import DetectorEvidence

__all__ = ["D3Like", "ReStraVLike", "fit_yardstick", "paths_of", "yardsticks"]

FILE = Path(__file__).parent / "models" / "baselines.skops"
SHA256 = "7eaf77596855d8839960d56050f4372a09d46053e037bf2dd839c2465d0a0c1d"

SECOND = "path_top_second"
"""The one number that D3 looks at."""

_SIDE = 160


def paths_of(clip: Canonical) -> Named:
    """42 numbers: the clip's path through the network's top, early and late channels, frame by frame."""
    depths = ("top", "early", "late")
    spaces = dict(zip(depths, run_backbone(clip, _SIDE, 1, depths), strict=True))
    out: Named = {}
    for name, space in spaces.items():
        out |= path(space.mean((2, 3)), name)
    return out


def fit_yardstick(
    X: npt.NDArray[np.float64], y: npt.NDArray[np.int64], w: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """A regression, its sigmoid, and the score that one real clip in a hundred exceeds."""
    model = BlockFusion(strengths=0.1).fit(X, y, sample_weight=w)
    score = model.decision_function(X)
    return {
        "model": model,
        "platt": Platt().fit(score[:, None], y, sample_weight=w),
        "high": float(np.quantile(score[y == 0], 0.99)),
    }


@cache
def yardsticks() -> dict[str, Any]:
    """The fitted yardsticks and probes, hashed before they are read."""
    fitted: dict[str, Any] = load_model(FILE, SHA256)[0]
    return fitted


class _Yardstick:
    """Reads a clip, takes some of its path's numbers, and answers as a detector."""

    name = ""
    key = ""

    def detect(self, file: Path) -> DetectorEvidence:
        """Judge one video; raises as `detectors.clip.read_squares` does."""
        numbers = paths_of(canonical(read_squares(file)))
        x = np.array([list(numbers.values())]) if self.key == "restrav" else np.array([[numbers[SECOND]]])
        fitted = yardsticks()[self.key]
        score = fitted["model"].decision_function(x)
        chance = float(fitted["platt"].predict_proba(score[:, None])[0, 1])
        flagged = float(score[0]) > fitted["high"]
        return DetectorEvidence(
            round(chance, 4),
            "likely_ai" if flagged else "uncertain",
            self.name,
            reasons=[
                "a yardstick after a published idea, for comparison; not calibrated on held-out sources"
            ],
            prior=0.5,
        )


class ReStraVLike(_Yardstick):
    """Straightness of the path, by regression."""

    name = "restrav-like@2"
    key = "restrav"


class D3Like(_Yardstick):
    """Second differences alone."""

    name = "d3-like@2"
    key = "d3"
