"""Fitting: held-out scores first, from them calibration and bands, and only then the model on everything.

In: a `Table` of features. Out: `Fitted`. Strengths are chosen inside each training part (nested), folds keep
groups whole, weights make sources of one clip and of fourteen alike. Everything follows from the seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.cache import Table
from detectors.dataset import Item
from detectors.describe import BLOCKS
from detectors.estimators import BlockFusion, ClippedScaler, Platt
from detectors.metrics import auc
from detectors.splits import folds, source_weights
from detectors.variants import AUGMENTED, LATER, PLAIN, SOCIAL
from sorakit.errors import UsageError

__all__ = ["GRID", "Recipe", "fit_fusion", "held_out", "labels_of", "platt_of", "thresholds"]

Floats = npt.NDArray[np.float64]
Report = Callable[[str, float], None]

GRID: tuple[tuple[float, ...], ...] = ((0.03, 0.01, 0.03), (0.1, 0.03, 0.1), (0.3, 0.1, 0.3))
"""Inverse penalties of the blocks among which each training part chooses."""

_INNER = 3


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is fitted: blocks and their shares, penalties to choose from, variants and what each weighs.

    `copies`: variants for a second model, which has `share` of the say. On clips as they are it is the worse
    one, at the strict end the better.
    """

    blocks: tuple[int, ...] = tuple(end for _, end in BLOCKS.values())
    shares: tuple[float, ...] | None = None
    grid: tuple[tuple[float, ...], ...] = GRID
    variants: tuple[tuple[str, float], ...] = ((PLAIN, 1.0), (LATER, 1.0))
    copies: tuple[tuple[str, float], ...] = ((AUGMENTED[0], 1.0),)
    share: float = 1 / 3

    def needs(self) -> tuple[str, ...]:
        """The variants that a table must hold to be fitted and scored."""
        return (*dict.fromkeys([v for v, _ in (*self.variants, *self.copies)] + [PLAIN, SOCIAL]),)


def labels_of(items: Sequence[Item]) -> npt.NDArray[np.int64]:
    """1 for AI, 0 for real `(n,)`."""
    return np.array([int(i.label == "ai") for i in items], np.int64)


def fit_fusion(table: Table, recipe: Recipe, strengths: tuple[float, ...]) -> BlockFusion:
    """One fusion on all variants of the recipe, blended with one on its copies."""
    model = _fit_on(table, recipe, recipe.variants, strengths)
    if not recipe.copies:
        return model
    return model.blend(_fit_on(table, recipe, recipe.copies, strengths, model.scaler_), recipe.share)


def _fit_on(
    table: Table,
    recipe: Recipe,
    variants: Sequence[tuple[str, float]],
    strengths: tuple[float, ...],
    scaler: ClippedScaler | None = None,
) -> BlockFusion:
    X = np.concatenate([table.of(v) for v, _ in variants])
    y = np.tile(labels_of(table.items), len(variants))
    w = source_weights([i.label for i in table.items], [i.source for i in table.items])
    weight = np.concatenate([w * share for _, share in variants])
    model = BlockFusion(blocks=recipe.blocks, strengths=strengths, shares=recipe.shares)
    return model.fit(X, y, sample_weight=weight / weight.mean(), scaler=scaler)


def choose(table: Table, recipe: Recipe, seed: int) -> tuple[float, ...]:
    """The strengths with the best AUC over plain and social clips in folds inside `table`."""
    if len(recipe.grid) == 1:
        return recipe.grid[0]
    y, quality = labels_of(table.items), []
    parts = _parts(table.items, min(_INNER, len({i.group for i in table.items})), seed)
    for strengths in recipe.grid:
        out = {v: np.zeros(len(y)) for v in (PLAIN, SOCIAL)}
        for train, test in parts:
            model = fit_fusion(_take(table, train), recipe, strengths)
            for variant, scores in out.items():
                scores[test] = model.decision_function(table.of(variant)[test])
        quality.append(np.mean([auc(y, s) for s in out.values()]))
    return recipe.grid[int(np.argmax(quality))]


def held_out(
    table: Table,
    recipe: Recipe,
    *,
    k: int = 5,
    seed: int = 0,
    score: Sequence[str] = (PLAIN, SOCIAL),
    report: Report | None = None,
) -> dict[str, Floats]:
    """Scores `(n,)` of each variant, every clip by a model that saw neither its generator nor its source.

    Raises `UsageError` where a class has too few groups for that.
    """
    out = {v: np.zeros(len(table.items)) for v in score}
    for i, (train, test) in enumerate(_parts(table.items, k, seed)):
        if report is not None:
            report(f"fold {i + 1} of {k}", i / k)
        part = _take(table, train)
        model = fit_fusion(part, recipe, choose(part, recipe, seed))
        for variant, scores in out.items():
            scores[test] = model.decision_function(table.of(variant)[test])
    return out


def platt_of(items: Sequence[Item], scores: dict[str, Floats]) -> Platt:
    """The calibrator, from held-out scores of all variants given."""
    x = np.concatenate(list(scores.values()))[:, None]
    y = np.tile(labels_of(items), len(scores))
    w = source_weights([i.label for i in items], [i.source for i in items])
    return Platt().fit(x, y, sample_weight=np.tile(w, len(scores)))


def thresholds(
    items: Sequence[Item], scores: dict[str, Floats], *, alpha: float = 0.01, miss: float = 0.05
) -> tuple[float, float]:
    """(low, high) scores between which the detector is uncertain.

    `high`: the conformal quantile (Vovk et al. 2005) that a new real clip, in its worst form, exceeds at a
    rate of `alpha` at most, if it is like those held out; `low`: as many AI clips fall below in their best.
    """
    y = labels_of(items)
    worst = np.max(np.stack(list(scores.values())), 0)
    real = np.sort(worst[y == 0])
    place = int(np.ceil((len(real) + 1) * (1 - alpha)))
    high = float(real[min(place, len(real)) - 1])
    ai = np.sort(worst[y == 1])
    low = float(ai[max(int(np.floor((len(ai) + 1) * miss)) - 1, 0)])
    return min(low, high), high


def _parts(
    items: Sequence[Item], k: int, seed: int
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """As `folds`, where every training part has clips of both classes."""
    parts, y = folds(items, k, seed), labels_of(items)
    if any(len(set(y[train].tolist())) < 2 for train, _ in parts):
        counts = [len({i.group for i in items if i.label == kind}) for kind in ("ai", "real")]
        raise UsageError(
            f"too few sources: {counts[0]} generators and {counts[1]} sources of real clips were left to be "
            f"dealt into {k} parts, and without one part a class is gone; add others, at least 4 of each"
        )
    return parts


def _take(table: Table, index: npt.NDArray[np.int64]) -> Table:
    mask = np.zeros(len(table.items), bool)
    mask[index] = True
    return table.where(mask)
