"""A third party's detector is found through its entry point and runs in the guarded child."""

import os
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest

from sorakit.check import _detect, check, exit_code
from sorakit.detect import failed
from sorakit.errors import InputError, UsageError
from sorakit.prior import at_prior
from sorakit.publish import publish
from sorakit.types import Decision, DetectorEvidence

PLUGIN = """
import os
from sorakit.types import DetectorEvidence

class Sure:
    name = "sure@1"

    def detect(self, path):
        return DetectorEvidence(0.97, "likely_ai", self.name, reasons=[f"pid {os.getpid()}", path.name])
"""


def _install(tmp_path, monkeypatch, source):
    folder = tmp_path / "site"
    info = folder / "sure_detector-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "sure_detector.py").write_text(textwrap.dedent(source))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sure-detector\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sorakit.detectors]\nsure = sure_detector:Sure\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_an_installed_detector_is_asked(tmp_path, monkeypatch, settings, file_factory, clip_factory):
    clip = file_factory(tmp_path / "plain.mp4", clip_factory())
    assert check(clip, settings=settings).evidence.detector is None
    _install(tmp_path, monkeypatch, PLUGIN)
    assert check(clip, settings=settings).evidence.detector is None  # the settings name no detector
    settings = settings.model_copy(update={"detector": "sure"})
    verdict = check(clip, settings=settings)
    opinion = verdict.evidence.detector
    assert opinion is not None
    assert opinion.model == "sure@1"
    assert opinion.reasons[1] == "plain.mp4"
    assert opinion.reasons[0] != f"pid {os.getpid()}"
    assert verdict.decision is Decision.LIKELY_AI


FAILS = {
    "raises": ('raise RuntimeError(f"cannot use {path}:\\n  no such layer")', "no such layer"),
    "aborts": ("os.abort()", "SIGABRT"),
    "is killed": ("os.kill(os.getpid(), 9)", "SIGKILL"),
    "takes all memory": ("bytearray(1 << 46)", "memory"),
    "answers what is no evidence": ('return DetectorEvidence("much", "likely_ai", self.name)', "probability"),
}


@pytest.fixture
def failing(request, tmp_path, monkeypatch, settings):
    """Settings that name a detector which fails, and a word of the reason."""
    code, word = FAILS[request.param]
    _install(tmp_path, monkeypatch, PLUGIN.replace("return DetectorEvidence", f"{code}; DetectorEvidence"))
    return settings.model_copy(update={"detector": "sure"}), word


def _is_failure(opinion, word):
    assert opinion is not None
    assert (opinion.label, opinion.probability, opinion.model) == ("abstain", None, "sure")
    assert opinion.failed
    assert word in opinion.reasons[0]
    assert "\n" not in opinion.reasons[0]
    assert "/" not in opinion.reasons[0]


@pytest.mark.parametrize("failing", FAILS, indirect=True)
def test_nothing_found_and_a_detector_that_fails_is_an_error(tmp_path, failing, file_factory, clip_factory):
    settings, word = failing
    verdict = check(file_factory(tmp_path / "plain.mp4", clip_factory()), settings=settings)
    assert verdict.decision is Decision.ERROR
    assert verdict.evidence.error == verdict.reasons[0]
    assert word in verdict.reasons[0]
    assert verdict.evidence.sha256 is not None
    _is_failure(verdict.evidence.detector, word)
    assert exit_code([verdict]) == 1


@pytest.mark.parametrize("failing", ["raises", "is killed"], indirect=True)
def test_a_detector_that_fails_takes_nothing_from_the_other_layers(tmp_path, failing, clip_factory):
    settings, word = failing
    clip = publish(clip_factory(seed=3), tmp_path / "marked.mp4", settings=settings).path
    verdict = check(clip, settings=settings)
    assert verdict.decision is Decision.AI_DECLARED
    assert verdict.evidence.error is None
    assert verdict.evidence.watermark.found
    assert word in verdict.reasons[-1]
    assert "failed" in verdict.reasons[-1]
    _is_failure(verdict.evidence.detector, word)


def test_a_detector_that_stalls_has_failed(tmp_path, monkeypatch, settings, file_factory, clip_factory):
    _install(tmp_path, monkeypatch, PLUGIN.replace("return Det", "import time; time.sleep(60); return Det"))
    limits = settings.limits.model_copy(update={"check_seconds": 3.0})
    settings = settings.model_copy(update={"detector": "sure", "limits": limits})
    _is_failure(_detect(file_factory(tmp_path / "plain.mp4", clip_factory()), settings), "longer than 3 s")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cannot open '/srv/in box/a b.mp4'", "cannot open 'a b.mp4'"),
        ("weights in /opt/models/x/y.bin are damaged", "weights in y.bin are damaged"),
        ("C:\\models\\y.bin and/or n/a\nat 3/4", "y.bin and/or n/a at 3/4"),
        ("\x1b[2Jgone", "[2Jgone"),
        ("", "InputError"),
        ("long " * 200, ("long " * 60).rstrip() + " "),
    ],
)
def test_why_a_detector_failed_is_one_line_without_a_path(text, said):
    assert failed(Path("/srv/in box/a b.mp4"), "sure", InputError(text)).reasons == [said]


def test_a_detector_that_is_not_installed_is_named(
    tmp_path, monkeypatch, settings, file_factory, clip_factory
):
    _install(tmp_path, monkeypatch, PLUGIN)
    settings = settings.model_copy(update={"detector": "sharp"})
    verdict = check(file_factory(tmp_path / "plain.mp4", clip_factory()), settings=settings)
    assert verdict.decision is Decision.ERROR
    assert "sharp" in verdict.reasons[0]
    assert "sure" in verdict.reasons[0]


def test_pictures_are_not_given_to_a_detector(tmp_path, monkeypatch, settings):
    _install(tmp_path, monkeypatch, PLUGIN)
    picture = tmp_path / "still.png"
    cv2.imwrite(str(picture), np.full((64, 64, 3), 90, np.uint8))
    verdict = check(picture, settings=settings.model_copy(update={"detector": "sure"}))
    assert verdict.decision is Decision.NO_EVIDENCE
    assert verdict.evidence.detector is None


def test_a_prior_moves_the_chance_and_nothing_else():
    before = DetectorEvidence(
        0.9, "likely_ai", "x@1", prior=0.5, heatmap=[[0.5, 0.9]], segments=[{"start_ms": 0, "score": 0.9}]
    )
    after = at_prior(before, 0.01)
    assert after.probability == pytest.approx(0.9 * 0.01 / (0.9 * 0.01 + 0.1 * 0.99), abs=1e-4)
    assert after.label == "likely_ai"
    assert after.heatmap == [[0.01, after.probability]]
    assert after.segments[0]["score"] == after.probability
    assert at_prior(after, 0.5).probability == pytest.approx(0.9, abs=1e-3)
    unstated = DetectorEvidence(0.9, "likely_ai", "x@1")
    assert at_prior(unstated, 0.01) == unstated
    with pytest.raises(UsageError, match="prior"):
        at_prior(before, 1.0)
