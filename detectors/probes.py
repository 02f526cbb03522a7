"""Shortcut probes: what a parser of containers scores without looking at a single pixel.

In: files or items with the container's facts. Out: scores, and detectors that always abstain. They show how
far a data set can be "detected" by frame rate, size, bit rate and codec; no figure is printed without them.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from detectors.baselines import yardsticks
from detectors.dataset import Item
from detectors.estimators import ClippedScaler
from detectors.metrics import auc
from detectors.splits import folds
from sorakit.types import DetectorEvidence
from sorakit.video.probe import probe

__all__ = ["CodecOnly", "FpsOnly", "container_facts", "probe_scores"]

Floats = npt.NDArray[np.float64]

_CODECS = ("h264", "gif", "hevc", "vp9", "vp8", "mpeg4")
_CONTAINERS = ("gif", "avi")
"""Those that a manifest and a parser call alike."""


def container_facts(facts: dict[str, str], size: int) -> Floats:
    """What a parser sees: rate, picture size, length, bits a pixel, codec, container."""
    rate = float(facts.get("fps") or 25)
    width, height = float(facts.get("width") or 1), float(facts.get("height") or 1)
    seconds = max(float(facts.get("duration") or 1), 0.04)
    pixels = max(width * height, 1.0)
    numbers = [
        math.log(max(rate, 0.1)),
        math.log(pixels),
        math.log(max(width, 1) / max(height, 1)),
        math.log(seconds),
        math.log(8 * max(size, 1) / (pixels * max(rate * seconds, 1))),
        math.log(8 * max(size, 1) / seconds),
    ]
    numbers += [float(facts.get("codec") == c) for c in _CODECS]
    numbers += [float(facts.get("container", "").split(",")[0] == c) for c in _CONTAINERS]
    return np.array(numbers)


def probe_scores(items: Sequence[Item], k: int = 5, seed: int = 0) -> dict[str, Floats]:
    """`codec_only`: cross-fitted over groups; `fps_only`: the lower rate the more AI, no fit. `(n,)` each."""
    y = np.array([int(i.label == "ai") for i in items])
    X = np.stack([container_facts(i.facts, i.path.stat().st_size if i.path.exists() else 1) for i in items])
    codec = np.zeros(len(items))
    for train, test in folds(items, min(k, len({i.group for i in items})), seed):
        if len(set(y[train])) < 2:
            continue
        scaler = ClippedScaler().fit(X[train])
        model = LogisticRegression(C=1.0, max_iter=500, class_weight="balanced")
        model.fit(scaler.transform(X[train]), y[train])
        codec[test] = model.decision_function(scaler.transform(X[test]))
    rate = -X[:, 0]
    if auc(y, rate) < 0.5:
        rate = -rate
    return {"codec_only": codec, "fps_only": rate}


class FpsOnly:
    """The frame rate alone: a yardstick, never a judgement."""

    name = "fps-only@1"

    def detect(self, path: Path) -> DetectorEvidence:
        """Score by rate alone; always abstains."""
        rate = float(probe(path).fps)
        return _shortcut(
            "fps", np.array([[math.log(max(rate, 0.1))]]), self.name, f"frame rate {rate:g} alone"
        )


class CodecOnly:
    """Container metadata alone: a yardstick, never a judgement."""

    name = "codec-only@1"

    def detect(self, path: Path) -> DetectorEvidence:
        """Score by rate, size, length, bit rate, codec and container; always abstains."""
        info = probe(path)
        g = info.geometry
        facts = {"fps": str(float(info.fps)), "width": str(g.width), "height": str(g.height)}
        facts |= {"duration": str(info.duration), "codec": info.codec, "container": info.container}
        x = container_facts(facts, path.stat().st_size)[None]
        return _shortcut("codec", x, self.name, "container metadata alone")


def _shortcut(key: str, x: Floats, name: str, what: str) -> DetectorEvidence:
    fitted = yardsticks()[key]
    chance = float(fitted["platt"].predict_proba(fitted["model"].decision_function(x)[:, None])[0, 1])
    reason = f"a shortcut probe: this is what {what} says, without looking at the picture"
    return DetectorEvidence(round(chance, 4), "abstain", name, reasons=[reason], prior=0.5)
