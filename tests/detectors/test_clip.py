"""The canonical clip is the same whatever the file, and shuts out what is no property of the picture."""

import numpy as np
import pytest

from detectors.clip import FRAMES, SIDE, WIDE, Squares, canonical, degrade, pack, read_squares, unpack
from detectors.variants import make_variant
from sorakit.errors import NotAVideoError, UsageError
from sorakit.video.convert import resize
from sorakit.video.roundtrip import compress, planes_of, recompress, rgb_of


def test_the_window_has_thirteen_frames_near_eight_a_second(video):
    for fps, stride in ((6, 1), (8, 1), (16, 2), (24, 3), (30, 4)):
        found = read_squares(video(1, fps=fps, frames=60))
        assert len(found.frames) == FRAMES
        assert found.stride == stride
        assert found.end - found.start == pytest.approx(FRAMES * stride / fps, abs=0.02)


def test_a_canonical_clip_is_256_px_and_the_same_every_time(video):
    squares = read_squares(video(2))
    data = pack(squares.frames)
    assert pack(squares.frames) == data
    clip = unpack(data)
    assert clip.luma.shape == (FRAMES, SIDE, SIDE)
    assert clip.chroma.shape == (FRAMES, 2, SIDE // 2, SIDE // 2)
    again = canonical(squares)
    assert np.array_equal(again.luma, clip.luma)
    assert np.array_equal(again.chroma, clip.chroma)


def test_large_frames_are_shrunk_in_one_step(tmp_path, moving_frames):
    path = tmp_path / "large.mp4"
    large = [resize(f, 800, 600) for f in moving_frames(3, 4, 400)]
    path.write_bytes(compress(large, crf=10))
    small, wide, whole = (read_squares(path, side=side).frames for side in (SIDE, WIDE, 1000))
    assert [frames[0].shape for frames in (small, wide, whole)] == [(s, s, 3) for s in (SIDE, WIDE, 600)]
    for one, same in zip(small, whole, strict=True):
        assert np.abs(one.astype(int) - resize(same, SIDE, SIDE)).mean() < 2


def test_only_the_pictures_count(video):
    frames = read_squares(video(3)).frames
    slow, fast = (canonical(Squares(frames, 0.0, end, end, stride)) for end, stride in ((13.0, 1), (1.6, 4)))
    assert np.array_equal(slow.luma, fast.luma)


def test_a_later_window_is_found(video):
    path = video(4, fps=8, frames=60)
    late = read_squares(path, at=5.0)
    assert late.start == pytest.approx(5.0, abs=0.13)
    assert len(late.frames) == FRAMES


def test_degrading_is_seeded_and_keeps_even_squares(moving_frames):
    frames = tuple(moving_frames(5, 4))
    one, two, other = (degrade(frames, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(np.stack(one), np.stack(two))
    assert one[0].shape[0] == one[0].shape[1]
    assert one[0].shape[0] % 2 == 0
    assert one[0].shape != other[0].shape or not np.array_equal(np.stack(one), np.stack(other))


@pytest.mark.parametrize("variant", ["plain", "later", "social", "mixed1", "mixed3"])
def test_variants_are_reproducible(video, variant):
    path = video(6, fps=16, frames=40)
    data = make_variant(path, "ab" * 32, variant)
    assert make_variant(path, "ab" * 32, variant) == data
    assert unpack(data).luma.shape[1:] == (SIDE, SIDE)


def test_an_unknown_variant_is_named(video):
    with pytest.raises(UsageError, match="mixed9"):
        make_variant(video(6), "ab" * 32, "mixed9")


def test_stills_and_rubbish_are_refused(tmp_path):
    still = tmp_path / "a.mp4"
    still.write_bytes(b"\0" * 100)
    with pytest.raises(NotAVideoError):
        read_squares(still)


def test_round_trip_in_memory(moving_frames):
    frames = moving_frames(7, 5, 64)
    data = compress(frames, crf=18)
    luma, chroma = planes_of(data)
    assert luma.shape == (5, 64, 64)
    assert chroma.shape == (5, 2, 32, 32)
    assert np.abs(rgb_of(data).astype(int) - frames).mean() < 6
    with pytest.raises(UsageError, match="even"):
        compress(np.zeros((1, 3, 4, 3), np.uint8), crf=20)
    with pytest.raises(UsageError, match="at least one"):
        compress([], crf=20)


def test_recompress_shrinks_and_keeps_the_rate(tmp_path, video):
    copy = tmp_path / "social.mp4"
    copy.write_bytes(recompress(video(8, fps=16, frames=40), long_side=96, crf=30, seconds=1.0))
    found = read_squares(copy)
    assert found.stride == 2
    assert found.frames[0].shape == (96, 96, 3)
    assert found.duration == pytest.approx(17 / 16, abs=0.05)
