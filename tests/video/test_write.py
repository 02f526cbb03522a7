from fractions import Fraction

import av
import numpy as np
import pytest

from sorakit.errors import OutputError, UnsupportedError, UsageError
from sorakit.types import Clip
from sorakit.video.probe import probe
from sorakit.video.read import read_clip, read_luma
from sorakit.video.write import EncodeSettings, enlarge, geometry_of_clip, write_clip

QUICK = EncodeSettings(crf=18, preset="veryfast")


def test_what_is_written_and_how_it_is_tagged(tmp_path, clip_factory):
    clip = clip_factory(2.0, fps=Fraction(24000, 1001))
    path = tmp_path / "a.mp4"
    assert write_clip(clip, path, settings=QUICK, metadata={"AIGC": '{"Label":"1"}', "title": "t"}) is None
    info = probe(path)
    assert (info.codec, info.pix_fmt, info.fps) == ("h264", "yuv420p", Fraction(24000, 1001))
    assert (info.primaries, info.transfer, info.matrix, info.range) == ("bt709", "bt709", "bt709", "limited")
    assert (info.metadata["AIGC"], info.metadata["title"]) == ('{"Label":"1"}', "t")
    assert info.frame_count == len(clip.frames)
    assert info.duration == pytest.approx(clip.duration, abs=1e-3)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    back = read_clip(path).frames
    assert np.abs(back.astype(int) - clip.frames).mean() < 4


def test_a_chart_comes_back_within_two_levels_of_what_the_planes_hold(tmp_path):
    steps = (16, 64, 128, 192, 240)
    patches = np.array([[r, g, b] for r in steps for g in steps for b in steps], np.uint8).reshape(5, 25, 3)
    picture = np.repeat(np.repeat(patches, 64, 0), 16, 1)
    write_clip(
        Clip(np.stack([picture] * 24), Fraction(24)), tmp_path / "a.mp4", settings=EncodeSettings(0, "medium")
    )
    back = read_clip(tmp_path / "a.mp4").frames[12]
    centres = (slice(32, None, 64), slice(7, None, 16))
    assert np.abs(back[centres].astype(int) - picture[centres]).max() <= 2


def test_the_filter_sees_each_stored_plane_once_in_order(tmp_path, clip_factory):
    clip, seen = clip_factory(1.0, (321, 257)), []

    def brighter(luma):
        assert not luma.flags.writeable
        seen.append(luma.copy())
        return luma + np.uint8(2)

    psnr = write_clip(clip, tmp_path / "a.mp4", luma=brighter, settings=EncodeSettings(0, "veryfast"))
    geometry = geometry_of_clip(clip)
    assert (geometry.width, geometry.height) == (322, 258)
    assert [p.shape for p in seen] == [(258, 322)] * 24
    assert psnr == pytest.approx(20 * np.log10(255 / 2), abs=1e-6)
    for (_, stored), plane in zip(read_luma(tmp_path / "a.mp4"), seen, strict=True):
        assert np.array_equal(stored, plane + np.uint8(2))  # crf 0 is lossless


@pytest.mark.parametrize("bad", [lambda y: y[:-2], lambda y: y.astype(np.float32)])
def test_a_filter_that_changes_shape_or_type_is_refused(tmp_path, clip_factory, bad):
    with pytest.raises(UsageError, match="keep shape and dtype"):
        write_clip(clip_factory(0.5), tmp_path / "a.mp4", luma=bad, settings=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_errors_leave_nothing_and_keep_what_was_there(tmp_path, clip_factory):
    clip = clip_factory(1.0)
    target = tmp_path / "a.mp4"
    target.write_bytes(b"precious")

    def fails(luma):
        raise ValueError("filter")

    with pytest.raises(ValueError, match="filter"):
        write_clip(clip, target, luma=fails, settings=QUICK)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    assert target.read_bytes() == b"precious"
    with pytest.raises(UsageError, match=r"\.mp4, \.m4v, \.mov"):
        write_clip(clip, tmp_path / "a.avi")
    with pytest.raises(OutputError, match="cannot write"):
        write_clip(clip, tmp_path / "no" / "such" / "folder" / "a.mp4", settings=QUICK)


def test_progress_runs_from_the_first_frame_to_one(tmp_path, clip_factory):
    shares = []
    write_clip(clip_factory(1.0), tmp_path / "a.mov", settings=QUICK, progress=lambda _, s: shares.append(s))
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("bad", [{"crf": 60}, {"preset": "best"}, {"key_seconds": 0}])
def test_settings_are_checked(bad):
    with pytest.raises(UsageError):
        EncodeSettings(**bad)


def test_key_frames_come_every_two_seconds(tmp_path, clip_factory):
    write_clip(clip_factory(5.0, fps=10), tmp_path / "a.mp4", settings=QUICK)
    with av.open(str(tmp_path / "a.mp4")) as container:
        keys = [float(p.pts * p.time_base) for p in container.demux(video=0) if p.is_keyframe and p.size]
    assert keys == [0.0, 2.0, 4.0]


def test_enlarging_is_by_the_smallest_whole_factor(clip_factory):
    small = clip_factory(1.0, (48, 32), 8)
    large = enlarge(small)
    assert large.frames.shape == (8, 256, 384, 3)
    assert large.fps == small.fps
    assert enlarge(large) is large
    means = large.frames.reshape(8, 32, 8, 48, 8, 3).mean((2, 4))
    assert np.abs(means - small.frames).mean() < 6  # smooth, yet the same picture


def test_too_short_a_clip_is_refused_with_the_number_of_frames(clip_factory):
    with pytest.raises(UnsupportedError, match=r"0\.50 s.*24 frames"):
        enlarge(clip_factory(0.5, fps=24))
    enlarge(Clip(np.zeros((30, 8, 8, 3), np.uint8), Fraction(30000, 1001)))
