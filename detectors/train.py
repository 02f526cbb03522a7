"""Train a detector from a folder of clips: held-out scores, calibration, bands, final fit, model file, cards.

In: a data folder, an output path, a seed. Out: `NAME.skops`, `NAME.json` (figures, distributions, hash) and
`NAME.md`, the model and data card. The same data, seed and libraries give the same bytes.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.cache import Report, Table, gather
from detectors.card import distributions, write_card
from detectors.dataset import Item, read_dataset
from detectors.describe import BLOCKS, VERSION
from detectors.estimators import BlockFusion
from detectors.evaluate import figures
from detectors.fitting import Recipe, choose, fit_fusion, held_out, labels_of, platt_of, thresholds
from detectors.reading import Bounds
from detectors.splits import final_set
from detectors.store import save_model
from detectors.variants import PLAIN, SOCIAL
from sorakit.errors import UsageError

__all__ = ["bundle_of", "train"]

Floats = npt.NDArray[np.float64]

_FAR_QUANTILE = 0.995
_FAR = 4.0
_MIN_FAR = 10
_MIN_KNOWN = 4
"""Clips of a generator from which its mean is told apart, and its hits counted."""


def train(
    data: Path,
    out: Path,
    *,
    cache: Path,
    name: str = "own",
    version: str = "1",
    seed: int = 0,
    folds: int = 5,
    prior: float = 0.5,
    keep_final_out: bool = False,
    final_report: bool = False,
    bounds: Bounds | None = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train on `data` (a manifest or two folders) and write the model to `out`; returns its card.

    `keep_final_out`: leave the final set (see `detectors.splits`) out of everything and report on it.
    `final_report`: report on it by such a model, then fit the one that is written on everything.
    `bounds`: what reading one clip may cost; one that costs more, or ends its reader, is left out and named.
    Raises `UsageError` for data without both classes, with too few groups, or without a final set where one
    is wanted, `InputError` when no clip of a class can be read.

    >>> train(Path("clips"), Path("mine.skops"), cache=Path("runs/features"))["name"]  # doctest: +SKIP
    'own'
    """
    tell: Report = report or (lambda _step, _share: None)
    recipe = Recipe()
    items = [i for i in read_dataset(data) if i.label != "cg"]
    table = gather(items, recipe.needs(), cache, lambda step, share: tell(step, 0.8 * share), bounds)
    final = final_set(table.items)
    judged = None
    if keep_final_out or final_report:
        _must_be_whole(table.items, final)
        used, scores, bundle = _fit(table.where(~final), recipe, tell, folds=folds, seed=seed, prior=prior)
        kept = table.where(final)
        new = {v: bundle["fusion"].decision_function(kept.of(v)) for v in (PLAIN, SOCIAL)}
        judged = figures(kept.items, new, bundle, seed=seed)
    if not keep_final_out:
        used, scores, bundle = _fit(table, recipe, tell, folds=folds, seed=seed, prior=prior)
    card: dict[str, Any] = {
        "name": name,
        "version": version,
        "features": VERSION,
        "seed": seed,
        "folds": folds,
        "prior": prior,
        "strengths": list(bundle["fusion"].strengths),
        "held_out": figures(used.items, scores, bundle, seed=seed),
        "clips": {k: dict(Counter(i.source for i in used.items if i.label == k)) for k in ("ai", "real")},
        "failed": table.failed,
        "distributions": distributions(bundle, used.of(PLAIN), scores[PLAIN]),
    }
    if judged is not None:
        card["final"] = judged
    digest = save_model(bundle, card, out)
    write_card(card | {"sha256": digest}, used.items, out.with_suffix(".md"))
    return card | {"sha256": digest}


def _must_be_whole(items: Sequence[Item], final: npt.NDArray[np.bool_]) -> None:
    y = labels_of(items)
    if any(len(set(y[part].tolist())) < 2 for part in (final, ~final)):
        raise UsageError(
            "the final set is the newest generators known here and a quarter of the real sources, by their "
            "names; of these clips it, or what is left, lacks a class: train without a final set, and keep "
            "clips of your own apart for `evaluate`"
        )


def _fit(
    used: Table, recipe: Recipe, tell: Report, *, folds: int, seed: int, prior: float
) -> tuple[Table, dict[str, Floats], dict[str, Any]]:
    scores = held_out(used, recipe, k=folds, seed=seed, report=lambda s, p: tell(s, 0.8 + 0.15 * p))
    tell("final fit", 0.95)
    return used, scores, bundle_of(used, recipe, scores, prior=prior, seed=seed)


def bundle_of(
    table: Table, recipe: Recipe, scores: dict[str, Floats], *, prior: float, seed: int
) -> dict[str, Any]:
    """Everything a `Judge` needs: plain numbers, arrays and this package's estimators."""
    fusion = fit_fusion(table, recipe, choose(table, recipe, seed))
    platt = platt_of(table.items, scores)
    low, high = thresholds(table.items, scores)
    y = labels_of(table.items)
    worst = np.max(np.stack(list(scores.values())), 0)
    generators, centroids = _means(fusion, table.items, table.of(PLAIN))
    far = np.abs(fusion.scaler_.transform(table.of(PLAIN)))[:, : BLOCKS["hand"][1]] > _FAR
    return {
        "fusion": fusion,
        "platt": platt,
        "low": low,
        "high": high,
        "margin": float(np.median(np.abs(scores[PLAIN] - scores[SOCIAL]))),
        "false_alarms": float((worst[y == 0] > high).mean()),
        "far_limit": max(_MIN_FAR, int(np.quantile(far.sum(1), _FAR_QUANTILE))),
        "generators": generators,
        "centroids": centroids,
        "hit_rate": round(_hit_rate(fusion, table), 3),
        "prior": prior,
        "features": VERSION,
    }


def _known(count: Counter[str]) -> list[str]:
    """The generators whose mean is kept: those with enough clips, or all where none has."""
    return sorted(s for s, n in count.items() if n >= _MIN_KNOWN) or sorted(count)


def _means(
    fusion: BlockFusion, items: Sequence[Item], X: Floats
) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The mean clip of each generator with enough clips, in standardised features."""
    Z = fusion.scaler_.transform(X)
    sources = np.array([i.source if i.label == "ai" else "" for i in items])
    count = Counter(s for s in sources if s)
    known = _known(count)
    return known, np.stack([Z[sources == s].mean(0) for s in known]).astype(np.float32)


def _hit_rate(fusion: BlockFusion, table: Table) -> float:
    """Share of AI clips, re-encoded, whose generator's mean, made without the clip, is nearest."""
    Z, seen = (fusion.scaler_.transform(table.of(v)) for v in (PLAIN, SOCIAL))
    sources = np.array([i.source if i.label == "ai" else "" for i in table.items])
    count = Counter(s for s in sources if s)
    known = _known(count)
    if len(known) < 2:
        return 1.0
    sums = np.stack([Z[sources == s].sum(0) for s in known])
    hits = []
    for i in np.flatnonzero(np.isin(sources, known)):
        own = known.index(str(sources[i]))
        means = sums / np.array([count[s] for s in known])[:, None]
        if count[known[own]] == 1:  # no mean without it: the hint would name another generator
            hits.append(False)
            continue
        means[own] = (sums[own] - Z[i]) / (count[known[own]] - 1)
        near = means @ seen[i] / np.linalg.norm(means, axis=1)
        hits.append(int(np.argmax(near)) == own)
    return float(np.mean(hits))
