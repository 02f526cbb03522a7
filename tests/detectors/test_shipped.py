"""The shipped detector on files made here: whole evidence, abstentions in words, the same every time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from detectors import shipped
from detectors.baselines import D3Like, ReStraVLike
from detectors.clip import SIDE, Canonical, canonical, read_squares
from detectors.describe import describe, reencoded
from detectors.evidence import MIN_FRAMES, Judge, Window
from detectors.features import FAMILIES
from detectors.probes import CodecOnly, FpsOnly
from detectors.shipped import Shipped, judge_of
from sorakit.errors import NotAVideoError, UsageError
from sorakit.video.convert import resize
from sorakit.video.roundtrip import compress, planes_of

PROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"


def test_evidence_is_whole(video):
    found = Shipped().detect(video(1, noise=2.0))
    assert found.model.startswith("sorakit-detector@")
    assert found.label in ("likely_ai", "uncertain", "abstain")
    assert 0 < found.probability < 1
    assert found.prior == 0.5
    assert found.reasons
    assert [(s["start_ms"], s["end_ms"]) for s in found.segments] == [(0, 1625)]
    assert found.segments[0]["score"] == found.probability
    assert np.array(found.heatmap).shape == (7, 7)
    assert 0 < np.min(found.heatmap) <= np.max(found.heatmap) < 1
    assert {f["name"] for f in found.families} == set(FAMILIES)
    weights = [abs(f["weight"]) for f in found.families]
    assert weights == sorted(weights, reverse=True)
    assert len(found.nearest) == 3
    assert all(0 < n["hit_rate"] < 1 for n in found.nearest)
    assert json.loads(json.dumps(found.families)) == found.families


def test_the_same_file_gets_the_same_answer(video):
    assert Shipped().detect(video(2)) == Shipped().detect(video(2))


def test_the_second_pass_shrinks_nothing_again_and_scores_the_same(video, monkeypatch):
    path, shrunk, scores = video(1, noise=2.0), [], []
    judge = judge_of()
    full = read_squares(path)
    small = [resize(f, SIDE, SIDE) for f in full.frames]
    copy = Canonical(*planes_of(compress(small, crf=28, preset="superfast")))
    described = describe(canonical(full))
    expected = [judge.score(described), judge.score(reencoded(described, copy))]
    score = Judge.score
    monkeypatch.setattr(Judge, "close", lambda *_: True)
    monkeypatch.setattr(Judge, "refuse", lambda *_: [])
    monkeypatch.setattr(Judge, "score", lambda j, d: scores.append(score(j, d)) or scores[-1])
    monkeypatch.setattr(shipped, "resize", lambda *a: shrunk.append(a) or resize(*a))
    Shipped().detect(path)
    assert len(shrunk) == len(small)
    assert scores[:2] == expected


def test_families_and_intercept_make_up_the_probability(video):
    found = Shipped().detect(video(3, noise=2.0))
    other = Shipped().detect(video(4, blur=2.0))
    logit = [np.log(e.probability / (1 - e.probability)) for e in (found, other)]
    told = [sum(f["weight"] for f in e.families) for e in (found, other)]
    assert told[0] - told[1] == pytest.approx(logit[0] - logit[1], abs=0.02)


def test_a_prior_moves_the_probability_alone(video):
    even, rare = (Shipped(prior=p).detect(video(5)) for p in (0.5, 0.01))
    assert rare.label == even.label
    assert rare.probability < even.probability
    with pytest.raises(UsageError, match="prior"):
        Shipped(prior=0.0)


def test_short_clips_get_no_probability(video):
    found = Shipped().detect(video(6, frames=MIN_FRAMES - 3))
    assert found.label == "abstain"
    assert found.probability is None
    assert "too short" in found.reasons[0]


def test_still_pictures_and_static_clips_are_not_judged(tmp_path, moving_frames):
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), moving_frames(7, 1)[0])
    found = Shipped().detect(picture)
    assert (found.label, found.probability) == ("abstain", None)
    assert "still picture" in found.reasons[0]
    static = tmp_path / "static.mp4"
    static.write_bytes(compress([moving_frames(7, 1)[0]] * 14, crf=20))
    found = Shipped().detect(static)
    assert found.label == "abstain"
    assert any("hardly moves" in r for r in found.reasons)


def test_drawings_are_not_judged(tmp_path):
    frames = []
    for t in range(14):
        frame = np.full((192, 192, 3), (240, 240, 235), np.uint8)
        cv2.circle(frame, (40 + 8 * t, 96), 24, (200, 40, 30), -1)
        frames.append(frame)
    path = tmp_path / "drawn.mp4"
    path.write_bytes(compress(frames, crf=18))
    found = Shipped().detect(path)
    assert found.label == "abstain"
    assert any("few tones" in r for r in found.reasons)
    assert (found.probability, found.heatmap) == (None, None)


def test_an_unstable_score_is_not_given_the_upper_band(video):
    judge = judge_of()
    clip = canonical(read_squares(video(1, noise=2.0)))
    described = describe(clip)
    score = judge.score(described)
    bands = {"high": score - 0.1, "low": score - 0.5, "margin": 0.2}
    strict = Judge(judge._b | bands, judge.name)
    window = [Window(0.0, 1.6, 13, described)]
    assert strict.close(score)
    assert not strict.close(score + 0.2)
    assert strict.evidence(window, 0.5).label == "likely_ai"
    assert strict.evidence(window, 0.5, score).label == "likely_ai"
    assert strict.evidence(window, 0.5, score - 0.2).label == "uncertain"
    refused = strict.evidence(window, 0.5, score - 1)
    assert (refused.label, refused.probability) == ("abstain", None)
    assert "re-encode" in refused.reasons[0]


def test_a_long_clip_is_judged_in_three_places(video):
    found = Shipped().detect(video(8, frames=80))
    assert len(found.segments) == 3
    starts = [s["start_ms"] for s in found.segments]
    assert starts == sorted(starts)
    assert starts[-1] > 7000


def test_rubbish_is_an_error_of_the_kit(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom" + bytes(500))
    with pytest.raises(NotAVideoError):
        Shipped().detect(path)


@pytest.mark.parametrize("kind", [ReStraVLike, D3Like, CodecOnly, FpsOnly])
def test_yardsticks_keep_the_protocol(video, kind):
    found = kind().detect(video(9))
    assert found.model == kind.name
    assert 0 < found.probability < 1
    if kind in (CodecOnly, FpsOnly):
        assert found.label == "abstain"
        assert "without looking" in found.reasons[0]


def test_the_frame_rate_probe_sees_the_rate_and_the_detector_does_not(video):
    slow, fast = video(10, fps=6), video(10, fps=10)
    assert FpsOnly().detect(slow).probability > FpsOnly().detect(fast).probability


def test_our_own_world_is_never_called_real(tmp_path):
    from sorakit.robustness.clips import made  # noqa: PLC0415

    for path in made(2, 3, tmp_path):
        assert Shipped().detect(path).label in ("likely_ai", "uncertain", "abstain")


@pytest.mark.slow
def test_our_own_model_is_never_called_real(tmp_path):
    generate = pytest.importorskip("sorakit.generate")
    del generate
    pytest.importorskip("torch")
    out = tmp_path / "own.mp4"
    kit = "from sorakit.cli import main; main()"
    env = os.environ | {"SORAKIT_HOME": str(tmp_path / "home"), "SORAKIT_PRESET": "ultrafast"}
    command = [
        sys.executable,
        "-c",
        kit,
        "generate",
        "a big red circle bounces on a navy background",
        "-o",
        str(out),
        "--seed",
        "1",
    ]
    subprocess.run([sys.executable, "-c", kit, "keys", "dev"], env=env, check=True, capture_output=True)
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = Shipped().detect(out)
    assert found.label in ("likely_ai", "uncertain", "abstain")


def test_detecting_needs_no_torch(tmp_path, video):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('torch is not here')")
    code = (
        "import sys; from pathlib import Path; from detectors.shipped import Shipped; "
        "print(Shipped().detect(Path(sys.argv[1])).label); assert 'torch' not in sys.modules"
    )
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    env = os.environ | {"PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code, str(video(1))],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT.parent,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("likely_ai", "uncertain", "abstain")


def test_entry_points_name_what_exists():
    import tomllib  # noqa: PLC0415
    from importlib import import_module  # noqa: PLC0415

    groups = tomllib.loads(PROJECT.read_text())["project"]["entry-points"]
    assert set(groups["sorakit.detectors"]) >= {
        "default",
        "restrav-like",
        "d3-like",
        "codec-only",
        "fps-only",
    }
    for group in ("sorakit.detectors", "sorakit.detector_tools"):
        for target in groups[group].values():
            module, _, name = target.partition(":")
            assert callable(getattr(import_module(module), name))
