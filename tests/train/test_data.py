import gc
import io
import json
import os
import tarfile
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from sorakit.errors import InputError, LimitError, UsageError
from sorakit.train import shards
from sorakit.train.data import World, open_source, open_stream
from sorakit.train.loop import Budget, Run, train
from sorakit.train.recipe import RECIPES, Recipe
from sorakit.train.shards import Sample, ShardSet, read_sample, world_samples, write_shards
from sorakit.world.dataset import Batch

TINY = replace(RECIPES["tiny"], batch=3, prompts=2, steps=2)
OWN = replace(TINY, probe=0.0, decoy=0.0)


def equal(a: Batch, b: Batch) -> bool:
    names = ("clips", "decoys", "tokens", "masks", "given", "makeup", "textured")
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("shards")
    paths = write_shards(world_samples(OWN, 7), out, per_shard=3)
    assert [p.name for p in paths] == ["shard-000000.tar", "shard-000001.tar", "shard-000002.tar"]
    return out


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_make_the_same_stream(workers: int) -> None:
    source = World(5, TINY.draw)
    with (
        open_stream(source, first=4, step=2) as alone,
        open_stream(source, first=4, step=2, workers=workers) as made,
    ):
        for a, b in zip(islice(alone, 5), islice(made, 5), strict=True):
            assert equal(a.batch, b.batch)
            assert a.worker == -1
            assert 0 <= b.worker < workers
            assert b.cpu > 0


def test_processes_share_one_stream() -> None:
    source = World(5, TINY.draw)
    with (
        open_stream(source) as all_of_it,
        open_stream(source, step=2) as even,
        open_stream(source, first=1, step=2) as odd,
    ):
        mixed = [m.batch for pair in zip(islice(even, 2), islice(odd, 2), strict=True) for m in pair]
        assert all(equal(a.batch, b) for a, b in zip(islice(all_of_it, 4), mixed, strict=True))


def test_training_with_workers_learns_the_same(tmp_path: Path) -> None:
    runs = [Run(workers=w, log_every=1) for w in (0, 2)]
    a, b = (train(TINY, tmp_path / str(r.workers), Budget(steps=3), r) for r in runs)
    assert a.loss == b.loss
    assert all(bool((x == y).all()) for x, y in zip(a.pair.parameters(), b.pair.parameters(), strict=True))
    assert b.ledger.cpu > 0


def test_shards_give_back_what_was_written(folder: Path) -> None:
    found = ShardSet.open(folder, OWN)
    assert len(found.places) == 7
    for place, written in zip(found.places, world_samples(OWN, 7), strict=True):
        got = read_sample(place)
        assert got.caption == written.caption
        assert np.array_equal(got.frames, written.frames)
        assert got.mask is not None
        assert np.array_equal(got.mask, written.mask)


def test_shards_are_a_pure_function_of_the_number(folder: Path) -> None:
    a, b = open_source(OWN, folder), open_source(OWN, folder)
    assert equal(a.batch(3), b.batch(3))
    assert not equal(a.batch(3), a.batch(4))
    batch = a.batch(0)
    assert batch.clips.shape == (3, 16, 32, 32, 3)
    assert 0 < batch.masks.mean() < 1
    assert batch.tokens.shape == (3, OWN.length)


def test_shards_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`per_shard` must be at least 1, got 0"):
        write_shards(world_samples(OWN, 1), tmp_path, per_shard=0)


def test_clips_of_any_size_are_fitted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 255, s, np.uint8) for s in ((5, 40, 64, 3), (30, 24, 20, 3), (16, 32, 32, 3))]
    write_shards((Sample(c, "a red circle") for c in clips), tmp_path)
    batch = open_source(OWN, tmp_path).batch(1)
    assert batch.clips.shape == (3, 16, 32, 32, 3)
    assert not batch.masks.any()
    assert not batch.makeup.any()


def test_a_run_learns_from_shards_and_its_ledger_says_so(folder: Path, tmp_path: Path) -> None:
    trainer = train(OWN, tmp_path, Budget(steps=2), Run(shards=folder))
    assert trainer.ledger.data == ["7 clips in 3 shard(s), shard-000000.tar to shard-000002.tar"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves files open
def test_webdataset_reads_them(folder: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    first, *rest = list(webdataset.WebDataset(str(folder / "shard-000000.tar"), shardshuffle=False))
    assert len(rest) == 2
    assert first["__key__"] == "00000000"
    assert json.loads(first["json"])["frames"] == 16
    assert first["png"][:4] == b"\x89PNG"
    gc.collect()  # its open file is found in this test


def test_shards_have_no_truth_for_the_probe(folder: Path) -> None:
    with pytest.raises(UsageError, match="--set probe=0 --set decoy=0"):
        ShardSet.open(folder, TINY)
    with pytest.raises(UsageError, match="holds no"):
        ShardSet.open(folder / "none", OWN)


@pytest.mark.parametrize(
    "sample",
    [
        Sample(np.zeros((4, 8, 8, 3), np.uint8), "a purple elephant"),
        Sample(np.zeros((4, 8, 8), np.uint8), "a red circle"),
        Sample(np.zeros((4, 8, 8, 3), np.float32), "a red circle"),  # type: ignore[arg-type]
        Sample(np.zeros((4, 8, 8, 3), np.uint8), "a red circle", np.zeros((4, 8, 9), np.uint8)),
    ],
)
def test_what_no_run_could_use_is_not_written(tmp_path: Path, sample: Sample) -> None:
    with pytest.raises(UsageError):
        write_shards([sample], tmp_path)
    assert not list(tmp_path.glob("*.tar"))


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path / "x.tar", "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def png(height: int = 8, width: int = 4) -> bytes:
    return bytes(cv2.imencode(".png", np.zeros((height, width, 3), np.uint8))[1])


ABOUT = b'{"caption": "a red circle", "frames": 4}'


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"a.png": b"GIF89a", "a.json": ABOUT}, InputError),
        ({"a.png": png()[:60], "a.json": ABOUT}, InputError),
        ({"a.png": png(9), "a.json": ABOUT}, InputError),
        ({"a.png": png(), "a.json": b"[]"}, InputError),
        ({"a.png": png(), "a.json": b'{"caption": "a red circle", "frames": 0}'}, InputError),
        ({"a.png": png(), "a.mask.png": png(4), "a.json": ABOUT}, InputError),
        ({"a.png": png()[:16] + b"\x7f\xff\xff\xff" * 2 + png()[24:], "a.json": ABOUT}, LimitError),
    ],
)
def test_a_broken_sample_is_an_error_in_words(
    tmp_path: Path, members: dict[str, bytes], kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=r"x\.tar"):
        ShardSet.open(tar_of(tmp_path, members), OWN).batch(0)


def test_reading_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = ShardSet.open(
        tar_of(tmp_path, {"a.png": png(), "a.json": ABOUT, "b.txt": b"x", "c.png": png()}), OWN
    )
    assert [w.key for w in source.places] == ["a"]
    monkeypatch.setattr(shards, "_MAX_BYTES", 10)
    with pytest.raises(LimitError):
        source.batch(0)
    (tmp_path / "x.tar").write_bytes(os.urandom(2000))
    with pytest.raises(InputError):
        ShardSet.open(tmp_path, OWN)


def test_a_recipe_of_its_own_size(folder: Path) -> None:
    recipe: Recipe = replace(OWN, shapes=((8, 16, 24),), odds=(1.0,))
    assert open_source(recipe, folder).batch(0).clips.shape[1:] == (8, 16, 24, 3)
