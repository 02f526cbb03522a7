"""The detector's figures: held-out generators and sources, the final set, each generator, and time a clip.

In: a folder of clips (`--data`), a cache. Out: tables with n, intervals and commit: AUC plain, re-encoded,
with frame rates and with codecs matched, pairs of one page, TPR at 1 % FPR, calibration, false alarms with
their exact limit, band changes, all beside what container metadata alone reaches; one generator left out at a
time (`--each`); CPU time a clip, decode to band, on one thread (`--time N`, on an idle machine).
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from common import commit, median_interval, table

from detectors.cache import Table, gather
from detectors.dataset import read_dataset
from detectors.fitting import Recipe, fit_fusion, labels_of
from detectors.metrics import auc
from detectors.shipped import Shipped
from detectors.splits import final_set, folds
from detectors.train import train
from detectors.variants import PLAIN, SOCIAL


def rows(part: dict[str, Any], title: str) -> list[list[str]]:
    """Lines of the main table."""
    out = []
    for form in ("plain", "social"):
        f = part[form]
        alarms = f["false_alarms"]
        cells = [cell(f[k]) for k in ("auc", "auc_rate_matched", "auc_codec_matched", "tpr_at_1_percent")]
        out.append(
            [
                title,
                f"{part['ai']} + {part['real']}",
                form,
                *cells,
                str(f["pairs"]),
                str(f["calibration_error"]),
                f"{alarms['hits']}/{alarms['n']}, limit {alarms['upper_95']}",
            ]
        )
    for probe in ("codec_only", "fps_only"):
        matched = part[probe]["auc_rate_matched"]
        out.append([title, "", probe, cell(part[probe]["auc"]), str(matched), "", "", "", "", ""])
    return out


def cell(e: dict[str, Any]) -> str:
    """Value and interval."""
    return f"{e['value']} ({e['ci'][0]}–{e['ci'][1]})"


def each_left_out(all_clips: Table) -> list[list[object]]:
    """For each group with generated clips: models without it and without a fifth of the real sources in turn.

    Its clips are held against the real clips of that fifth, so both are new to the model; five AUC, averaged
    by the number of real clips.
    """
    strengths, recipe, out = Recipe().grid[-1], Recipe(), []
    groups = np.array([i.group for i in all_clips.items])
    y = labels_of(all_clips.items)
    parts = folds(all_clips.items, 5, 0)
    for group in sorted({str(g) for g in groups[y == 1]}):
        own = (groups == group) & (y == 1)
        cells: list[object] = [group, int(own.sum())]
        won = {PLAIN: 0.0, SOCIAL: 0.0}
        count = 0
        for _, test in parts:
            held = np.isin(np.arange(len(y)), test) & (y == 0) & (groups != group)
            model = fit_fusion(all_clips.where(~held & (groups != group)), recipe, strengths)
            mark = np.repeat([0, 1], [int(held.sum()), int(own.sum())])
            for form in won:
                s = model.decision_function(all_clips.of(form))
                won[form] += auc(mark, np.concatenate([s[held], s[own]])) * int(held.sum())
            count += int(held.sum())
        out.append([*cells, *(f"{v / count:.3f}" for v in won.values())])
    return out


def timing(data: Path, n: int) -> None:
    """CPU and wall time of whole detections, model loaded."""
    items = read_dataset(data)
    some = [items[int(i)] for i in np.linspace(0, len(items) - 1, n)]
    detector = Shipped()
    detector.detect(some[0].path)
    cpu, wall = [], []
    for item in some:
        a, b = time.process_time(), time.perf_counter()
        detector.detect(item.path)
        cpu.append((time.process_time() - a) * 1000)
        wall.append((time.perf_counter() - b) * 1000)
    for name, values in (("CPU", cpu), ("wall", wall)):
        middle, low, high = median_interval(values)
        late = float(np.quantile(values, 0.95))
        print(
            f"{name} ms a clip: median {middle:.0f} ({low:.0f}–{high:.0f}), p95 {late:.0f}, n = {len(values)}"
        )


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--cache", type=Path, required=True)
    options.add_argument("--each", action="store_true")
    options.add_argument("--time", type=int, default=0, metavar="N")
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    print(f"commit {commit()}")
    if chosen.time:
        timing(chosen.data, chosen.time)
        return
    if chosen.each:
        items = [i for i in read_dataset(chosen.data) if i.label != "cg"]
        found = gather(items, Recipe().needs(), chosen.cache)
        print(table(["generator left out", "n", "AUC plain", "AUC social"], each_left_out(found)))
        print(f"of them in the final set: {sorted({i.group for i in np.array(items)[final_set(items)]})}")
        return
    with tempfile.TemporaryDirectory() as folder:
        card = train(chosen.data, Path(folder) / "m.skops", cache=chosen.cache, keep_final_out=True)
    head = ["set", "AI + real", "form", "AUC", "rates matched", "codecs matched", "TPR at 1 % FPR", "pairs"]
    head += ["ECE", "real in likely_ai"]
    print(table(head, rows(card["held_out"], "held-out folds") + rows(card["final"], "final set")))
    for key in ("held_out", "final"):
        print(key, "band changes", card[key]["band_changes"], "bands", card[key]["plain"]["bands"])


if __name__ == "__main__":
    main()
