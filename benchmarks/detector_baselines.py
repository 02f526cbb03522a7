"""Fit the yardsticks that ship beside the detector, and measure them where the detector is measured.

In: a folder of clips (`--data`), a cache. Out: `detectors/models/baselines.skops`, and for each yardstick its
AUC on held-out generators and sources, plain and with frame rates matched, with intervals and n. Fitted on
every clip but the final set; measured by five folds over groups of the same clips.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from common import ROOT, commit, table

from detectors.baselines import SECOND, fit_yardstick, paths_of
from detectors.cache import path_of
from detectors.clip import canonical, read_squares
from detectors.dataset import Item, read_dataset
from detectors.evaluate import rate_stratum
from detectors.fitting import labels_of
from detectors.metrics import auc, bootstrap, matched_auc
from detectors.probes import container_facts
from detectors.splits import final_set, folds, source_weights
from detectors.store import save_model

Floats = npt.NDArray[np.float64]


def rows_of(items: list[Item], cache: Path) -> tuple[Floats, list[str]]:
    """The path's numbers of every clip, from the cache or computed, and their names."""
    rows, names = [], []
    for item in items:
        path = path_of(cache, item.sha256, "paths")
        if not path.exists():
            numbers = paths_of(canonical(read_squares(item.path)))
            np.savez(path, values=np.array(list(numbers.values())), names=np.array(list(numbers)))
        with np.load(path) as file:
            rows.append(file["values"].astype(np.float64))
            names = [str(n) for n in file["names"]]
    return np.stack(rows), names


def held_out(X: Floats, y: npt.NDArray[np.int64], items: list[Item], fit: Callable[..., dict]) -> Floats:
    """Scores of every clip by a fit that saw neither its generator nor its source."""
    scores = np.zeros(len(y))
    w = source_weights([i.label for i in items], [i.source for i in items])
    for train, test in folds(items, 5, 0):
        scores[test] = fit(X[train], y[train], w[train])["model"].decision_function(X[test])
    return scores


def main() -> None:
    """Fit, measure, save."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--cache", type=Path, required=True)
    options.add_argument("--out", type=Path, default=ROOT / "detectors/models/baselines.skops")
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    every = [i for i in read_dataset(chosen.data) if i.label != "cg"]
    items = [i for i, new in zip(every, final_set(every), strict=True) if not new]
    y, groups = labels_of(items), [i.group for i in items]
    paths, names = rows_of(items, chosen.cache)
    facts = np.stack([container_facts(i.facts, i.path.stat().st_size) for i in items])
    inputs = {
        "restrav": paths,
        "d3": paths[:, [names.index(SECOND)]],
        "codec": facts,
        "fps": facts[:, :1],
    }
    w = source_weights([i.label for i in items], [i.source for i in items])
    fitted, lines, rates = {}, [], np.array([rate_stratum(i) for i in items])
    for name, X in inputs.items():
        fitted[name] = fit_yardstick(X, y, w)
        s = held_out(X, y, items, fit_yardstick)
        plain = bootstrap(lambda i, s=s: auc(y[i], s[i]), y, groups)
        matched = bootstrap(lambda i, s=s: matched_auc(y[i], s[i], rates[i]), y, groups)
        lines.append([name, plain, matched])
    print(table(["yardstick", "AUC, held out", "the same, frame rates matched"], lines))
    digest = save_model(fitted, {"name": "baselines", "version": "2"}, chosen.out)
    print(f"n = {len(items)} clips of {len(set(groups))} groups; {chosen.out.name} {digest}; {commit()}")


if __name__ == "__main__":
    main()
