"""Data, splits and metrics: groups stay whole, the final set is fixed, figures are what they say."""

from pathlib import Path

import numpy as np
import pytest

from detectors.dataset import Item, read_dataset
from detectors.metrics import (
    auc,
    bootstrap,
    calibration_error,
    matched_auc,
    pair_share,
    tpr_at_fpr,
    upper_limit,
)
from detectors.splits import NEWEST, final_set, folds, source_weights
from sorakit.errors import InputError, UsageError

HEAD = "path,label,generator_or_source,repo,parent,sha256\n"


def items_of(tmp_path: Path, rows: str) -> list[Item]:
    (tmp_path / "manifest.csv").write_text(HEAD + rows)
    return read_dataset(tmp_path)


def test_two_folders(two_folders):
    items = read_dataset(two_folders)
    assert len(items) == 12
    assert {i.label for i in items} == {"ai", "real"}
    assert len({i.group for i in items}) == 12


def test_groups_join_families_parents_and_pages(tmp_path):
    items = items_of(
        tmp_path,
        "a,ai,Wan2.1,p1,,01\nb,ai,Self-Forcing(Wan2.1),p2,,02\nc,ai,Lumiere,lum,,03\nd,real,inputs,lum,,04\n"
        "e,real,cam,p3,X,05\nf,real,other,p4,X,06\ng,real,cam,p5,,07\n",
    )
    group = {i.path.name: i.group for i in items}
    assert group["a"] == group["b"]
    assert group["c"] == group["d"]  # one page shows both
    assert group["e"] == group["f"] == group["g"]
    assert len({group["a"], group["c"], group["e"]}) == 3


@pytest.mark.parametrize(
    "rows",
    ["a,fake,x,p,,01\n", "a\n", "a,ai\n", "a,ai,x,p,,../../elsewhere\n"],
)
def test_a_bad_manifest_is_named(tmp_path, rows):
    with pytest.raises(InputError, match="no manifest"):
        items_of(tmp_path, rows)


@pytest.mark.parametrize("rate", ["30000/1001", "nan"])
def test_a_fact_that_is_no_number_is_named_before_anything_is_computed(tmp_path, rate):
    (tmp_path / "manifest.csv").write_text(f"path,label,generator_or_source,sha256,fps\na,ai,x,01,{rate}\n")
    with pytest.raises(InputError, match="no manifest"):
        read_dataset(tmp_path)


def test_a_manifest_may_begin_as_spreadsheets_write_it(tmp_path):
    text = "path,label,generator_or_source,sha256\na,ai,x,01\nb,real,y,02\n"
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8-sig")
    assert [i.source for i in read_dataset(tmp_path)] == ["x", "y"]


def test_the_same_bytes_are_never_in_training_and_test(tmp_path):
    items = items_of(tmp_path, "a,ai,x,,,01\nb,real,here,,,02\nc,real,there,,,02\nd,real,other,,,03\n")
    group = {i.path.name: i.group for i in items}
    assert group["b"] == group["c"]
    assert len(set(group.values())) == 3


def test_one_class_is_not_enough(tmp_path):
    with pytest.raises(UsageError, match="both classes"):
        items_of(tmp_path, "a,ai,x,p,,01\n")
    with pytest.raises(UsageError, match="both classes"):
        read_dataset(tmp_path / "nothing")


def many(n_sources: int = 20, clips: int = 4) -> list[Item]:
    return [
        Item(Path(f"{k}{s}-{c}"), k, f"{k}{s}", "0", f"{k}{s}")
        for k in ("ai", "real")
        for s in range(n_sources)
        for c in range(clips)
    ]


def test_folds_keep_groups_whole_and_classes_balanced():
    items = many()
    groups = np.array([i.group for i in items])
    seen = []
    for train, test in folds(items, 5, 0):
        assert set(groups[train]).isdisjoint(groups[test])
        assert np.mean([items[i].label == "ai" for i in test]) == pytest.approx(0.5)
        seen += test.tolist()
    assert sorted(seen) == list(range(len(items)))
    assert [t.tolist() for _, t in folds(items, 5, 0)] == [t.tolist() for _, t in folds(items, 5, 0)]
    with pytest.raises(UsageError, match="groups"):
        folds(items, 100, 0)


def test_the_final_set_is_a_rule():
    items = [
        Item(Path("a"), "ai", "Wan2.1", "0", "Wan"),
        Item(Path("b"), "ai", "AnimateDiff", "0", "AnimateDiff"),
        Item(Path("c"), "real", "sleap", "0", "sleap"),
        Item(Path("d"), "real", "Vide", "0", "Vide"),
    ]
    assert final_set(items).tolist() == [True, False, True, False]
    assert "Wan" in NEWEST


def test_weights_are_alike_for_both_classes():
    w = source_weights(["ai"] * 9 + ["real"], ["a"] * 9 + ["b"])
    assert w[:9].sum() == pytest.approx(w[9])
    assert w.mean() == pytest.approx(1)


def test_auc_by_hand():
    y, s = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
    assert auc(y, s) == pytest.approx(0.75)
    assert np.isnan(auc(np.ones(2, int), s[:2]))


def test_a_stratum_cannot_help_itself():
    rng = np.random.default_rng(0)
    rate = rng.integers(0, 2, 400)
    y = (rng.random(400) < np.where(rate == 1, 0.9, 0.1)).astype(int)
    leak = rate + 0.01 * rng.normal(size=400)
    assert auc(y, leak) > 0.85
    assert matched_auc(y, leak, rate.tolist()) == pytest.approx(0.5, abs=0.1)
    assert pair_share(y, y.astype(float), ["p" if r else "" for r in rate]) == 1.0


def test_rates_and_limits():
    y = np.array([0] * 100 + [1] * 10)
    s = np.concatenate([np.linspace(0, 1, 100), np.full(10, 0.995)])
    assert tpr_at_fpr(y, s, 0.01) == 1.0
    assert tpr_at_fpr(y, s, 0.0) == 0.0
    assert upper_limit(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100))
    assert calibration_error(np.array([0, 1] * 50), np.full(100, 0.5)) == pytest.approx(0, abs=1e-9)
    assert calibration_error(np.zeros(100, int), np.full(100, 0.3)) == pytest.approx(0.3)


def test_the_bootstrap_takes_groups_whole():
    y = np.array([0, 1] * 40)
    s = np.random.default_rng(0).normal(size=80)
    wide = bootstrap(lambda i: auc(y[i], s[i]), y, [str(i // 20) for i in range(80)], rounds=200)
    small = bootstrap(lambda i: auc(y[i], s[i]), y, [str(i) for i in range(80)], rounds=200)
    assert wide.low <= wide.value <= wide.high
    assert small.low <= small.value <= small.high
    assert wide.n == 80
