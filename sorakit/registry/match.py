"""Compare two fingerprints: is one video the other after re-encoding, cropping, mirroring, trimming?

In: the registered fingerprint and the one at hand. Out: a similarity in [0, 1]. Hypotheses of scale,
mirroring, small rotation and time offset are tried; for each, normalised cross-correlation over all shifts
(Lewis, "Fast normalized cross-correlation", 1995), averaged over the frames that the offset pairs up. The
best alignments are then judged twice: by what the frames show, and by what changes over time, so that two
clips of one still scene, or two sprites on one background, are told apart by their motion.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sorakit.registry.sketch import Fingerprint

__all__ = ["MATCH_THRESHOLD", "similarity"]

MATCH_THRESHOLD = 0.68
"""At or above: the same video. Set above every pair of different videos seen in development, the kit's sprite
clips aside, which resemble one another; `benchmarks/fingerprint.py` measures both kinds of error."""

Stack = npt.NDArray[np.float32]
Pairs = tuple[tuple[int, int], ...]

SCALES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.62, 0.55)
ANGLES = (0.0, -5.0, 5.0)
MARGIN = 2
"""Cells by which a part may hang over the whole's edge."""

MIN_CELLS = 60
BLANK = 0.05
"""A frame with less spread is empty (a fade): OpenCV calls it like everything, we call it like nothing."""

KEPT = 4
"""Alignments that are judged in full."""

MOTION_FLOOR = 0.015
"""Mean square of change over time, in normalised cells, at which motion and picture weigh the same."""


@dataclass(frozen=True, slots=True)
class _Pose:
    scale: float
    angle: float
    mirrored: bool


@dataclass(frozen=True, slots=True)
class _Alignment:
    score: float
    pose: _Pose
    pairs: Pairs
    top: int
    left: int


def similarity(registered: Fingerprint, seen: Fingerprint) -> float:
    """How alike two videos are, 0 to 1; the same video when at or above `MATCH_THRESHOLD`.

    Raises `RegistryError` for a malformed fingerprint.

    >>> from sorakit.registry.sketch import fingerprint
    >>> rng = np.random.default_rng(0)
    >>> f = fingerprint((i / 25, rng.integers(0, 256, (90, 160), np.uint8)) for i in range(30))
    >>> similarity(f, f) >= MATCH_THRESHOLD
    True
    """
    times_a, a = registered.unpack()
    times_b, b = seen.unpack()
    forth = _best(a, b, list(_pairings(times_a, times_b)), ANGLES)
    if forth >= 0.9:
        return min(1.0, forth)
    # A letterboxed copy shows more than the original: then the original is the part.
    back = _best(b, a, list(_pairings(times_b, times_a)), (0.0,))
    return min(1.0, max(0.0, forth, back))


def _best(whole: Stack, part: Stack, pairings: list[Pairs], angles: tuple[float, ...]) -> float:
    """The best alignment of `part` as a cut-out of `whole`."""
    found: list[_Alignment] = []
    padded = np.pad(whole, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))
    for pose in (_Pose(s, a, m) for m in (False, True) for a in angles for s in SCALES):
        cut = _posed(part, whole.shape, pose)
        if cut is None:
            continue
        blank = cut.std((1, 2)) < BLANK
        maps: dict[tuple[int, int], Stack] = {}
        for pairs in pairings:
            for i, j in pairs:
                if (i, j) not in maps:
                    maps[i, j] = _correlate(padded[i], cut[j]) * np.float32(not blank[j])
            total = np.sum([maps[p] for p in pairs], axis=0)
            at = int(total.argmax())
            top, left = divmod(at, total.shape[1])
            # one pair among hundreds fits by chance more easily than ten at once
            score = float(total[top, left]) / (len(pairs) + 0.3)
            found.append(_Alignment(score, pose, pairs, top - MARGIN, left - MARGIN))
    found.sort(key=lambda f: -f.score)
    return max((_judge(whole, part, f) for f in found[:KEPT]), default=0.0)


def _pairings(times_w: Stack, times_p: Stack) -> Iterator[Pairs]:
    """Which frames show the same moment, for each time offset worth trying; each pairing once."""
    w, p = times_w - times_w[0], times_p - times_p[0]
    seen: set[Pairs] = set()
    stretch = float(w[-1] / p[-1]) if p[-1] > 0 and w[-1] > 0 else 1.0
    shifts = [(0.0, stretch)]  # the whole video, perhaps at another speed
    if not 0.95 < stretch < 1.05:
        step = max(float(min(w[-1] / max(len(w) - 1, 1), p[-1] / max(len(p) - 1, 1))), 0.02)
        first, last = sorted((0.0, float(w[-1] - p[-1])))
        shifts += [(s, 1.0) for s in np.arange(first, last + step, max(step, (last - first) / 150))]
    for shift, speed in shifts:
        pairs = _nearest(w, p * np.float32(speed) + np.float32(shift))
        if pairs and pairs not in seen:
            seen.add(pairs)
            yield pairs


def _nearest(w: Stack, p: Stack) -> Pairs:
    """Each frame of the sparser side with the nearest of the denser, where the two overlap in time."""
    distance = np.abs(w[:, None] - p[None, :])
    low, high = max(w[0], p[0]), min(w[-1], p[-1])
    gap = max(float(np.median(np.diff(t))) if len(t) > 1 else 0.0 for t in (w, p))
    inside = [i for i, t in enumerate(w) if low - gap / 8 <= t <= high + gap / 8]
    inside_p = [j for j, t in enumerate(p) if low - gap / 8 <= t <= high + gap / 8]
    if not inside or not inside_p:  # a short cut between two frames of a long video
        i, j = np.unravel_index(int(distance.argmin()), distance.shape)
        return ((int(i), int(j)),)
    if len(inside) <= len(inside_p):
        return tuple((i, int(distance[i].argmin())) for i in inside)
    return tuple((int(distance[:, j].argmin()), j) for j in inside_p)


def _posed(part: Stack, shape: tuple[int, ...], pose: _Pose) -> Stack | None:
    """`part` turned, and sized to fill `pose.scale` of the whole; None when too few cells are left."""
    _, rows_w, columns_w = shape
    _, rows_p, columns_p = part.shape
    unit = min(rows_w / rows_p, columns_w / columns_p) * pose.scale
    rows, columns = round(rows_p * unit), round(columns_p * unit)
    if rows * columns < MIN_CELLS or min(rows, columns) < 4:
        return None
    turn = cv2.getRotationMatrix2D(((columns_p - 1) / 2, (rows_p - 1) / 2), pose.angle, 1.0)
    way = cv2.INTER_AREA if rows < rows_p else cv2.INTER_LINEAR
    out = np.empty((len(part), rows, columns), np.float32)
    for k, frame in enumerate(part):
        f = np.ascontiguousarray(frame[:, ::-1]) if pose.mirrored else frame
        if pose.angle:
            f = cv2.warpAffine(f, turn, (columns_p, rows_p), flags=cv2.INTER_LINEAR).astype(np.float32)
        out[k] = cv2.resize(f, (columns, rows), interpolation=way)
    return out


def _correlate(whole: Stack, part: Stack) -> Stack:
    """Over all shifts of `part` in the padded `whole`."""
    return np.asarray(cv2.matchTemplate(whole, part, cv2.TM_CCOEFF_NORMED), np.float32)


def _judge(whole: Stack, part: Stack, found: _Alignment) -> float:
    """Correlation of all paired frames over their overlap, lowered where what moves does not agree."""
    cut = _posed(part, whole.shape, found.pose)
    if cut is None:
        return 0.0
    y, x = found.top, found.left
    rows = slice(max(0, y), min(whole.shape[1], y + cut.shape[1]))
    columns = slice(max(0, x), min(whole.shape[2], x + cut.shape[2]))
    w = np.stack([whole[i, rows, columns] for i, _ in found.pairs])
    p = np.stack(
        [cut[j, rows.start - y : rows.stop - y, columns.start - x : columns.stop - x] for _, j in found.pairs]
    )
    shown = _cosine(w - w.mean((1, 2), keepdims=True), p - p.mean((1, 2), keepdims=True))
    shown *= len(found.pairs) / (len(found.pairs) + 0.15)
    if len(found.pairs) < 3:
        return shown
    dw, dp = w - w.mean(0), p - p.mean(0)
    moving = max(float((dw**2).mean()), float((dp**2).mean()))
    share = moving / (moving + MOTION_FLOOR)
    return (1 - share) * shown + share * min(shown, _cosine(dw, dp))


def _cosine(a: Stack, b: Stack) -> float:
    return float((a * b).sum() / max(math.sqrt(float((a * a).sum()) * float((b * b).sum())), 1e-6))
