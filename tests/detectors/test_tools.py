"""Training, measuring, calibrating and watching, through the command line and on clips made here."""

import hashlib
import json
import re
import shutil
import signal
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from detectors.cache import gather, path_of
from detectors.dataset import read_dataset
from detectors.monitor import drift, ks_distance, psi
from detectors.shipped import DEFAULT, Shipped, judge_of
from detectors.store import load_model, read_card
from sorakit.cli import app
from sorakit.errors import InputError, ModelError, UsageError

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The project's entry points as an installed distribution has them, whatever is installed here."""
    folder = tmp_path_factory.mktemp("site")
    info = folder / "sorakit_here-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sorakit-here\nVersion: 1.0\n")
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    lines = [f"[{g}]\n" + "".join(f"{k} = {v}\n" for k, v in groups[g].items()) for g in groups if groups[g]]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture
def kit(site, monkeypatch, tmp_path):
    """`kit("detector", "train", …)`: the program, with this project's entry points."""
    import os  # noqa: PLC0415

    monkeypatch.syspath_prepend(str(site))
    known = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(site), str(ROOT), known])))
    monkeypatch.setenv("SORAKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SORAKIT_DETECTOR", "default")
    return lambda *args: CliRunner().invoke(app, [str(a) for a in args])


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """One cache for all trainings here."""
    return tmp_path_factory.mktemp("features")


@pytest.fixture
def trained(kit, two_folders, features, tmp_path):
    out = tmp_path / "mine.skops"
    done = kit(
        "detector", "train", "--data", two_folders, "--out", out, "--cache", features, "--folds", 3, "--json"
    )
    assert done.exit_code == 0, done.output
    return out, json.loads(done.stdout)


def test_training_on_two_folders_learns_and_describes(trained, video):
    out, card = trained
    assert card["held_out"]["plain"]["auc"]["value"] > 0.9  # noise against blur is easy
    assert card["held_out"]["n"] == 12
    assert {"codec_only", "fps_only"} <= set(card["held_out"])
    assert card["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    text = out.with_suffix(".md").read_text()
    assert "must not be used for" in text
    assert "ai0 1" in text
    blurred, noisy = (Shipped(out).detect(video(90, **look)) for look in ({"blur": 2.0}, {"noise": 6.0}))
    assert blurred.probability > noisy.probability
    assert blurred.model == "own@1"


def test_training_again_gives_the_same_bytes(trained, kit, two_folders, features, tmp_path):
    again = tmp_path / "again.skops"
    done = kit("detector", "train", "--data", two_folders, "--out", again, "--cache", features, "--folds", 3)
    assert done.exit_code == 0, done.output
    assert again.read_bytes() == trained[0].read_bytes()
    assert "held-out folds" in re.sub(r"\s+", " ", done.stderr)


def test_the_cache_is_used_and_mended(two_folders, features, trained):
    items = read_dataset(two_folders)[:2]
    before = gather(items, ("plain",), features)
    path = path_of(features, items[0].sha256, "plain")
    for damage in (b"damaged", b""):
        path.write_bytes(damage)
        again = gather(items, ("plain",), features)
        assert np.array_equal(again.values, before.values)
    made = path.stat().st_mtime_ns
    assert np.array_equal(gather(items, ("plain",), features).values, before.values)
    assert path.stat().st_mtime_ns == made  # nothing is computed a second time


def test_an_unreadable_clip_is_left_out_and_named(two_folders, features, tmp_path):
    items = read_dataset(two_folders)
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"rubbish")
    from dataclasses import replace  # noqa: PLC0415

    found = gather([*items[:2], replace(items[0], path=bad, sha256="0" * 64)], ("plain",), features)
    assert len(found.items) == 2
    assert "bad.mp4" in next(iter(found.failed))
    ai = next(i for i in items if i.label == "ai")
    with pytest.raises(InputError, match="none of the clips labelled ai"):
        gather([items[-1], replace(ai, path=bad, sha256="0" * 64)], ("plain",), features)
    with pytest.raises(InputError, match="none of 1"):
        gather([replace(items[0], path=bad, sha256="0" * 64)], ("plain",), features)


def test_a_bad_clip_ends_nothing_and_is_named(trained, kit, two_folders, features, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(two_folders, data)
    (data / "ai" / "ai0" / "cut.mp4").write_bytes((data / "ai" / "ai0" / "a.mp4").read_bytes()[:900])
    done = kit("detector", "evaluate", "--data", data, "--model", trained[0], "--cache", features, "--json")
    assert done.exit_code == 0, done.output
    ((path, why),) = json.loads(done.stdout)["failed"].items()
    assert path.endswith("cut.mp4")
    assert why
    assert "left out" in done.stderr
    assert "cut.mp4" in re.sub(r"\s+", "", done.stderr)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the child in /proc")
def test_training_leaves_out_a_clip_that_kills_its_reader(kit, two_folders, features, hostile, tmp_path):
    items = read_dataset(two_folders)
    bad = hostile(tmp_path / "bad.mp4", signal.SIGSEGV)
    rows = [f"{i.path},{i.label},{i.source},{i.sha256}" for i in items]
    rows.insert(6, f"{bad},ai,ai9,{'f' * 64}")
    (tmp_path / "manifest.csv").write_text("\n".join(["path,label,generator_or_source,sha256", *rows]) + "\n")
    out = tmp_path / "mine.skops"
    done = kit(
        "detector", "train", "--data", tmp_path, "--out", out, "--cache", features, "--folds", 3, "--json"
    )
    assert done.exit_code == 0, done.output
    card = json.loads(done.stdout)
    assert card["held_out"]["n"] == 12
    assert "SIGSEGV" in card["failed"][str(bad)]
    assert "SIGSEGV" in done.stderr
    assert judge_of(out).name == "own@1"


def test_evaluate_says_when_it_flatters(trained, kit, two_folders, features):
    args = ("detector", "evaluate", "--data", two_folders, "--model", trained[0], "--cache", features)
    done = kit(*args, "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert len(answer["trained_on"]) == 12
    assert [g["n"] for g in answer["generators"]] == [1] * 6
    assert "flatter" in kit(*args).stderr


def test_calibrate_says_what_a_flag_means(trained, kit, two_folders, features, tmp_path):
    out = tmp_path / "rare.skops"
    args = ("detector", "calibrate", "--prior", 0.01, "--model", trained[0], "--out", out)
    done = kit(*args, "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert 0 <= answer["flag_is_right_at_least"] <= answer["flag_is_right"] <= 1
    assert judge_of(out).prior == 0.01
    refused = kit(*args, "--data", two_folders, "--cache", features)
    assert isinstance(refused.exception, UsageError)
    assert "not seen" in str(refused.exception)


def test_calibrating_on_clips_renews_the_whole_card(trained, kit, two_folders, features, tmp_path):
    model, before = trained
    new = tmp_path / "new"
    for i in range(6):
        for label in ("real", "ai"):
            shutil.copytree(two_folders / label / f"{label}{i}", new / label / f"{label}-new{i}")
    args = ("--data", new, "--cache", features, "--model", model, "--out", model)
    done = kit("detector", "calibrate", "--prior", 0.01, *args, "--json")
    assert done.exit_code == 0, done.output
    digest = json.loads(done.stdout)["sha256"]
    assert f"`{digest}`" in kit("detector", "card", "--model", model).stdout
    after, judge = read_card(model), judge_of(model)
    assert before["distributions"] != after["distributions"]
    chances = [judge.chance(v, 0.5) for v in _scores(model, new, features)]
    known = after["distributions"]["values"]["probability"]
    assert [min(chances), max(chances)] == pytest.approx([known[0], known[-1]], abs=2e-3)


def _scores(model, data, features):
    table = gather(read_dataset(data), ("plain",), features)
    return load_model(model)[0]["fusion"].decision_function(table.of("plain")).tolist()


@pytest.mark.parametrize("name", ["mine.json", "mine.md"])
def test_a_calibrated_model_does_not_lie_where_its_card_goes(kit, tmp_path, name):
    done = kit("detector", "calibrate", "--out", tmp_path / name)
    assert done.exit_code == 2
    assert not list(tmp_path.glob("mine*"))


def test_the_shipped_card_reads_as_text(kit):
    done = kit("detector", "card")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("# Detector sorakit-detector@")
    assert "likely_real" in done.stdout


def test_detect_prints_one_object_a_file(kit, video, tmp_path):
    overlay = tmp_path / "heat.png"
    done = kit("detect", video(20, noise=2.0), "--json", "--prior", 0.01, "--overlay", overlay)
    assert done.exit_code == 0, done.output
    line = json.loads(done.stdout)
    assert set(line) == {"file", "detector"}
    assert line["detector"]["prior"] == 0.01
    assert overlay.read_bytes().startswith(b"\x89PNG")


def test_check_asks_the_detector_that_the_settings_name(kit, video, monkeypatch):
    path = video(22, noise=2.0)
    found = json.loads(kit("check", path, "--json").stdout)
    assert found["detector"]["model"].startswith("sorakit-detector@")
    assert found["decision"] in ("likely_ai", "uncertain", "no_evidence")
    monkeypatch.setenv("SORAKIT_DETECTOR", "none")
    assert json.loads(kit("check", path, "--json").stdout)["detector"] is None


def test_detect_goes_on_after_a_bad_file(kit, video, tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "bad.mp4").write_bytes(b"rubbish")
    (tmp_path / "clips" / "good.mp4").write_bytes(video(21).read_bytes())
    done = kit("detect", tmp_path / "clips", "--json", "--detector", "fps-only")
    assert done.exit_code == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["detector"] is None for line in lines] == [True, False]
    assert "bad.mp4" in lines[0]["error"]


@pytest.mark.parametrize(
    "args", [("--prior", "1"), ("--overlay", "a.jpg"), ("--detector", "sharp"), ("--prior", "x")]
)
def test_detect_refuses_what_cannot_be(kit, video, args):
    done = kit("detect", video(21), *args)
    assert done.exit_code == 2 or isinstance(done.exception, UsageError)


def log_of(path: Path, p: np.ndarray, shift: float = 0.0) -> Path:
    """A log whose clips have these chances, and families as the shipped card's, moved by `shift`."""
    known = read_card(DEFAULT)["distributions"]
    rng = np.random.default_rng(0)
    lines = []
    for chance in p:
        families = [
            {"name": k, "weight": float(np.interp(rng.random(), known["at"], q) + shift * (q[-1] - q[0]))}
            for k, q in known["values"].items()
            if k != "probability"
        ]
        lines.append(
            json.dumps({"file": "x", "detector": {"probability": float(chance), "families": families}})
        )
    path.write_text("\n".join([*lines, '{"file": "y", "detector": null}']) + "\n")
    return path


def test_monitor_is_quiet_on_the_same_and_loud_on_other_clips(kit, tmp_path):
    known = read_card(DEFAULT)["distributions"]
    same = np.interp(np.random.default_rng(1).random(300), known["at"], known["values"]["probability"])
    done = kit("detector", "monitor", log_of(tmp_path / "a.jsonl", same), "--json")
    assert done.exit_code == 0, done.output
    plot = tmp_path / "drift.png"
    done = kit("detector", "monitor", log_of(tmp_path / "b.jsonl", same, 0.4), "--plot", plot, "--json")
    assert done.exit_code == 10
    answer = json.loads(done.stdout)
    states = {r["name"]: r["state"] for r in answer["distributions"]}
    assert states["probability"] == "steady"
    assert states["noise"] == "drift"
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_monitor_refuses_what_tells_nothing(tmp_path):
    card = read_card(DEFAULT)
    few = log_of(tmp_path / "few.jsonl", np.full(5, 0.5))
    with pytest.raises(InputError, match="at least 30"):
        drift(few, card)
    (tmp_path / "bad.jsonl").write_text("{\n")
    with pytest.raises(InputError, match="line 1"):
        drift(tmp_path / "bad.jsonl", card)
    with pytest.raises(InputError, match="cannot read"):
        drift(tmp_path / "none.jsonl", card)
    with pytest.raises(ModelError, match="distributions"):
        drift(few, {})


def test_distances_by_hand():
    at = np.linspace(0, 1, 41)
    x = np.random.default_rng(0).random(2000)
    assert psi(x, at) < 0.02
    assert ks_distance(x, at, at) < 0.04
    assert psi(x / 2, at) > 1
    assert ks_distance(x / 2, at, at) == pytest.approx(0.5, abs=0.02)
