"""A third party's detector is found through its entry point and runs in the guarded child."""

import os
import textwrap

from sorakit.check import check
from sorakit.types import Decision

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
    verdict = check(file_factory(tmp_path / "plain.mp4", clip_factory()), settings=settings)
    assert verdict.decision is Decision.ERROR
    assert "crash" in verdict.reasons[0]
