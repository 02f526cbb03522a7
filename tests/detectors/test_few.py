"""Training on few clips: what cannot be fitted or told is said in one line, and no hint claims too much."""

from pathlib import Path

import numpy as np
import pytest

from detectors.cache import Table
from detectors.dataset import Item
from detectors.estimators import BlockFusion
from detectors.fitting import Recipe, held_out, labels_of
from detectors.train import _hit_rate, train
from sorakit.errors import UsageError


def made_up(**clips: int) -> Table:
    """Random features of sources such as `ai0` with so many clips each."""
    items = [
        Item(Path(f"{name}-{i}"), "ai" if name.startswith("ai") else "real", name, f"{i:064x}", name)
        for name, n in clips.items()
        for i in range(n)
    ]
    forms = Recipe().needs()
    rng = np.random.default_rng(0)
    return Table(items, forms, rng.normal(size=(len(items), len(forms), 1688)).astype(np.float32), {})


@pytest.mark.parametrize("generators", [1, 2])
def test_too_few_generators_are_named(generators):
    table = made_up(**{f"ai{i}": 3 for i in range(generators)}, **{f"real{i}": 2 for i in range(6)})
    with pytest.raises(UsageError, match="too few sources"):
        held_out(table, Recipe(), k=3)


def test_without_a_final_set_there_is_no_report_on_one(monkeypatch, tmp_path):
    table = made_up(**{f"{kind}{i}": 1 for kind in ("ai", "real") for i in range(4)})
    monkeypatch.setattr("detectors.train.read_dataset", lambda _data: table.items)
    monkeypatch.setattr("detectors.train.gather", lambda *_args: table)
    with pytest.raises(UsageError, match="final set"):
        train(tmp_path, tmp_path / "m.skops", cache=tmp_path, keep_final_out=True)


def test_a_hint_among_generators_of_one_clip_is_not_called_right():
    table = made_up(ai0=1, ai1=1, ai2=1, real0=3)
    model = BlockFusion(blocks=(1688,)).fit(table.of("plain"), labels_of(table.items))
    assert _hit_rate(model, table) == 0.0
