"""Splits that keep generators and sources apart, and the final set that no decision may look at.

In: items with groups. Out: folds of indices; the final set follows a rule that was written down before any
model was fitted: the generators first shown in mid-2024 or later, and every real source (other than those
that share a page with generators) whose name's MD5 begins with a byte divisible by four.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from detectors.dataset import Item
from sorakit.errors import UsageError

__all__ = ["NEWEST", "final_set", "folds", "source_weights"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NEWEST = frozenset(
    {"Wan", "MAGI-1", "SkyReels-V2", "Pyramid-Flow", "NOVA", "Seaweed", "VBench2-sample", "Open-Sora"}
)
"""Groups of generators of the final set."""


def final_set(items: Sequence[Item]) -> Bools:
    """Which items are of the final set `(n,)`; the same for good, whatever else is in the data."""
    tied = {i.group for i in items if i.label == "ai"}
    return np.array(
        [
            i.group in NEWEST
            if i.label == "ai"
            else i.label == "real" and i.group not in tied and _quarter(i.group)
            for i in items
        ]
    )


def _quarter(name: str) -> bool:
    return hashlib.md5(name.encode(), usedforsecurity=False).digest()[0] % 4 == 0


def folds(items: Sequence[Item], k: int, seed: int) -> list[tuple[Ints, Ints]]:
    """`k` pairs of (train, test) indices; a group lies in one test part whole. Both classes are balanced.

    The largest groups are dealt first, each to the fold that has the fewest clips of its kind; ties fall by
    the seed. Raises `UsageError` when there are fewer groups than folds.
    """
    groups = np.array([i.group for i in items])
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < k:
        raise UsageError(f"`k` must be at most the number of groups, {len(names)}, got {k}; add sources")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(names))
    order = order[np.argsort(-sizes[order], kind="stable")]
    load = np.zeros((k, 2))
    total = np.array([max(1, sum(i.label == c for i in items)) for c in ("ai", "real")])
    held: dict[str, int] = {}
    for g in order:
        inside = [items[int(j)].label for j in np.flatnonzero(groups == names[g])]
        adds = np.array([inside.count("ai"), inside.count("real")]) / total
        after = load + adds
        fold = int(np.argmin((after**2).sum(1) - (load**2).sum(1)))
        load[fold] += adds
        held[str(names[g])] = fold
    place = np.array([held[str(g)] for g in groups])
    return [(np.flatnonzero(place != f), np.flatnonzero(place == f)) for f in range(k)]


def source_weights(labels: Sequence[str], sources: Sequence[str]) -> npt.NDArray[np.float64]:
    """Weights `(n,)`: each source counts with the root of its clips, both classes alike, mean 1.

    >>> source_weights(["ai", "ai", "real"], ["a", "a", "b"]).round(2).tolist()
    [0.75, 0.75, 1.5]
    """
    count = Counter(zip(labels, sources, strict=True))
    weight = np.array([count[pair] ** -0.5 for pair in zip(labels, sources, strict=True)])
    kinds = np.array(labels)
    for kind in set(labels):
        weight[kinds == kind] /= weight[kinds == kind].sum()
    scaled: npt.NDArray[np.float64] = weight * len(weight) / weight.sum()
    return scaled
