"""A third party's detector is found through its entry point and runs in the guarded child."""

import os
import textwrap

import cv2
import numpy as np
import pytest

from sorakit.check import check
from sorakit.errors import UsageError
from sorakit.prior import at_prior
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


def test_a_crashing_detector_is_an_error_not_a_crash(
    tmp_path, monkeypatch, settings, file_factory, clip_factory
):
    _install(tmp_path, monkeypatch, PLUGIN.replace("return DetectorEvidence", "os.abort(); DetectorEvidence"))
    settings = settings.model_copy(update={"detector": "sure"})
    verdict = check(file_factory(tmp_path / "plain.mp4", clip_factory()), settings=settings)
    assert verdict.decision is Decision.ERROR
    assert "crash" in verdict.reasons[0]


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
