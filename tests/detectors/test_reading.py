"""Clips are read in a child: one that kills or stalls its reader is named, and the others are read.

See the fixture `hostile` for what such a clip is.
"""

import signal
import sys
from dataclasses import replace

import numpy as np
import pytest

from detectors.cache import gather
from detectors.clip import unpack
from detectors.dataset import read_dataset
from detectors.describe import describe
from detectors.reading import Bounds, Job, read_clips
from detectors.variants import make_variant
from sorakit.errors import OutputError, UsageError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the child in /proc")


@pytest.fixture
def clips(two_folders):
    return read_dataset(two_folders)[:3]


def with_bad(clips, path):
    """The clips with one more, of `path`, in their midst."""
    return [clips[0], replace(clips[1], path=path, sha256="f" * 64), *clips[1:]]


@pytest.mark.parametrize("what", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_clip_that_kills_its_reader_is_named_and_the_others_are_read(clips, hostile, tmp_path, what):
    bad = hostile(tmp_path / "bad.mp4", what)
    told = []
    found = gather(with_bad(clips, bad), ("plain",), tmp_path / "cache", lambda step, _: told.append(step))
    assert [i.path for i in found.items] == [i.path for i in clips]
    assert np.isfinite(found.values).all()
    ((path, why),) = found.failed.items()
    assert path == str(bad)
    assert what.name in why
    assert told == ["features of a.mp4", "features of bad.mp4", "features of a.mp4", "features of a.mp4"]


def test_a_clip_that_stalls_its_reader_is_named(clips, hostile, tmp_path):
    bad = hostile(tmp_path / "bad.mp4", None)
    found = gather(with_bad(clips, bad), ("plain",), tmp_path / "cache", bounds=Bounds(seconds=10.0))
    assert len(found.items) == 3
    assert "longer than 10 s" in found.failed[str(bad)]


def test_features_are_the_same_as_in_this_process(clips, tmp_path):
    found = gather(clips[:1], ("plain", "social"), tmp_path / "cache")
    for j, variant in enumerate(found.variants):
        here = describe(unpack(make_variant(clips[0].path, clips[0].sha256, variant))).values
        assert np.array_equal(found.values[0, j], here)


def test_what_is_no_clips_fault_is_raised(clips, tmp_path):
    with pytest.raises(UsageError, match="mixed9"):
        gather(clips, ("mixed9",), tmp_path / "cache")
    job = Job(str(clips[0].path), clips[0].sha256, {"plain": str(tmp_path / "none" / "a.npz")})
    with pytest.raises(OutputError, match="cannot write features"):
        read_clips([job], Bounds(), lambda _: None)
