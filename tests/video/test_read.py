import itertools
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from sorakit.errors import InputError, NotAVideoError, UsageError
from sorakit.video.read import read_clip, read_luma, read_rgb


def stored_planes(path):
    with av.open(str(path)) as container:
        return [
            frame.to_ndarray(format="gray" if False else None)[: frame.height]
            for frame in container.decode(video=0)
        ]


def test_luma_is_the_stored_plane_bit_for_bit(tmp_path, clip_factory, file_factory):
    path = file_factory(tmp_path / "a.mp4", clip_factory(1.0))
    want = stored_planes(path)
    got = list(read_luma(path))
    assert len(got) == len(want) == 24
    assert all(np.array_equal(luma, plane) for (_, luma), plane in zip(got, want, strict=True))
    assert [round(t * 24) for t, _ in got] == list(range(24))


@pytest.mark.parametrize("count", [1, 3, 7, 24, 100])
def test_sampling_is_even_and_never_more(tmp_path, clip_factory, file_factory, count):
    path = file_factory(tmp_path / "a.mp4", clip_factory(2.0))
    times = [t for t, _ in read_luma(path, max_frames=count)]
    assert len(times) == min(count, 48)
    middles = (np.arange(count) + 0.5) * 2 / count
    if count <= 24:
        assert np.abs(np.array(times) - middles).max() <= 1 / 24 + 1e-6
    assert times == sorted(set(times))


def test_a_pause_hides_no_frame_of_a_short_clip(tmp_path, clip_factory, file_factory):
    pts = [i if i < 12 else i + 1920 for i in range(24)]  # eighty seconds in which the picture stands
    path = file_factory(tmp_path / "a.mp4", clip_factory(1.0), pts=pts, time_base=Fraction(1, 24))
    assert [round(t * 24) for t, _ in read_luma(path, max_frames=30)] == pts


def test_turn_and_aspect_are_undone(tmp_path, clip_factory, file_factory):
    clip = clip_factory(0.5)
    plain = next(read_luma(file_factory(tmp_path / "a.mp4", clip)))[1]
    turned = next(read_luma(file_factory(tmp_path / "b.mp4", clip, rotation=90)))[1]
    assert np.array_equal(turned, np.rot90(plain, -1))
    wide = next(read_luma(file_factory(tmp_path / "c.mp4", clip, sar=Fraction(4, 3))))[1]
    assert wide.shape == (256, 427)
    both = next(read_rgb(file_factory(tmp_path / "d.mp4", clip, sar=Fraction(4, 3), rotation=270)))[1]
    assert both.shape == (427, 256, 3)


def test_rgb_is_what_went_in(tmp_path, clip_factory, file_factory):
    clip = clip_factory(0.5, kind="flat")
    path = file_factory(tmp_path / "a.mp4", clip, options={"crf": "1"})
    for (_, picture), want in zip(read_rgb(path), clip.frames, strict=True):
        assert np.abs(picture.astype(int) - want).mean() < 2
    small = [p for _, p in read_rgb(path, max_side=100, max_frames=2)]
    assert [p.shape for p in small] == [(80, 100, 3)] * 2


def test_clip(tmp_path, clip_factory, file_factory):
    path = file_factory(tmp_path / "a.mp4", clip_factory(2.0))
    assert read_clip(path).frames.shape == (48, 256, 320, 3)
    some = read_clip(path, max_frames=8, max_side=64)
    assert some.frames.shape == (8, 51, 64, 3)
    assert some.fps == 4


def test_ten_bits_and_gif_and_image(tmp_path, clip_factory, file_factory):
    clip = clip_factory(0.5)
    eight = np.mean([y.mean() for _, y in read_luma(file_factory(tmp_path / "a.mp4", clip))])
    ten = list(read_luma(file_factory(tmp_path / "b.mp4", clip, pix_fmt="yuv420p10le")))
    assert ten[0][1].dtype == np.uint8
    assert np.mean([y.mean() for _, y in ten]) == pytest.approx(eight, abs=1)
    gif = list(read_luma(file_factory(tmp_path / "c.gif", clip, codec="gif", pix_fmt="rgb8")))
    assert len(gif) == 12
    assert np.mean([y.mean() for _, y in gif]) == pytest.approx(eight, abs=4)
    av.VideoFrame.from_ndarray(clip.frames[0], format="rgb24").save(str(tmp_path / "d.png"))
    assert [t for t, _ in read_luma(tmp_path / "d.png", max_frames=5)] == [0.0]


def test_damaged_middle_is_passed_over(tmp_path, clip_factory, file_factory):
    path = file_factory(tmp_path / "a.mkv", clip_factory(3.0), options={"g": "12"})
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    path.write_bytes(data)
    assert 20 < len(list(read_luma(path))) <= 72


def test_cut_off_matroska_gives_what_is_there(tmp_path, clip_factory, file_factory):
    path = file_factory(tmp_path / "a.mkv", clip_factory(2.0), options={"g": "12"})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 5 < len(list(read_luma(path))) < 48


def test_errors(tmp_path, clip_factory, file_factory):
    with pytest.raises(InputError, match="cannot read"):
        next(read_luma(tmp_path / "none.mp4"))
    (tmp_path / "a.txt").write_text("words")
    with pytest.raises(NotAVideoError):
        next(read_rgb(tmp_path / "a.txt"))
    path = file_factory(tmp_path / "a.mp4", clip_factory(0.5))
    with pytest.raises(UsageError, match="max_frames"):
        next(read_luma(path, max_frames=0))
    with pytest.raises(UsageError, match="max_side"):
        next(read_rgb(path, max_side=0))


def test_broken_payload_behind_a_sound_header(tmp_path, clip_factory, file_factory):
    path = file_factory(tmp_path / "a.mp4", clip_factory(1.0))
    data = bytearray(path.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = np.random.default_rng(0).integers(0, 256, end - start, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    with pytest.raises(InputError):
        list(read_luma(path))


def test_a_real_clip(bikes):
    frames = list(read_luma(bikes, max_frames=5))
    assert [y.shape for _, y in frames] == [(272, 640)] * 5
    assert frames[-1][0] > 4 * frames[0][0]


def looped(path, pictures, count, options):
    """`count` frames at 25 a second, `pictures` `(T, H, W, 3)` over and over, by x264 with `options`."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options=options)
        video.height, video.width, video.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        frames = [av.VideoFrame.from_ndarray(f, format="rgb24").reformat(format="yuv420p") for f in pictures]
        for i in range(count):
            frame = frames[i % len(frames)]
            frame.pts = i
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


@pytest.fixture(scope="module")
def long_file(tmp_path_factory, clip_factory, file_factory):
    """60 s of 1280×720 with a key frame every 10 s, as x264 makes them."""
    clip = clip_factory(4.0, (1280, 720), 25)
    path = tmp_path_factory.mktemp("long") / "a.mp4"
    return looped(path, clip.frames, 60 * 25, {"preset": "ultrafast", "g": "250"})


@pytest.mark.slow
def test_few_frames_of_a_long_file_cost_little(long_file):
    started = time.process_time()
    all_frames = sum(1 for _ in read_luma(long_file))
    whole = time.process_time() - started
    started = time.process_time()
    times = [t for t, _ in read_luma(long_file, max_frames=10)]
    some = time.process_time() - started
    assert all_frames == 1500
    assert len(times) == 10
    assert max(times) > 45
    assert times == sorted(set(times))
    assert some < whole / 4


@pytest.mark.slow
def test_a_long_file_with_one_key_frame_is_followed_as_far_as_the_budget_goes(tmp_path, clip_factory):
    pictures = clip_factory(0.1, (1280, 720)).frames[:1]
    path = looped(tmp_path / "a.mp4", pictures, 1000, {"preset": "ultrafast", "g": "100000"})
    started = time.process_time()
    times = [t for t, _ in read_luma(path, max_frames=5)]
    assert len(times) == 5
    assert max(times) > 4
    assert time.process_time() - started < 5


@pytest.fixture(scope="module", params=["mp4", "mkv", "ts"])
def grouped(request, tmp_path_factory, clip_factory):
    """40 s of 640×360 with a key frame every 4 s and pictures that are shown later than decoded."""
    path = tmp_path_factory.mktemp("groups") / f"a.{request.param}"
    options = {"preset": "veryfast", "g": "100", "keyint_min": "100", "sc_threshold": "0", "bf": "3"}
    return looped(path, clip_factory(1.0, (640, 360), 25).frames, 40 * 25, options)


@pytest.mark.parametrize("count", [10, 64, 100])
def test_every_group_of_a_long_file_is_seen_from_its_key_frame_on(grouped, count):
    times = [t for t, _ in read_luma(grouped, max_frames=count)]
    assert times == sorted(set(times))
    if grouped.suffix == ".ts":  # seeking lands near, not at, what was asked for
        assert count * 0.85 <= len(times) <= count
        assert {int(t) // 4 for t in times} >= set(range(1, 10))
    else:
        assert len(times) == count
        assert set(range(0, 40, 4)) <= {round(t, 2) for t in times}


def test_whoever_has_seen_enough_gets_a_frame_now_and_then(grouped):
    times = []
    for t, _ in read_luma(grouped, max_frames=64, apart=lambda: 8.0 if len(times) >= 12 else 0.0):
        times.append(t)
    assert len(times) <= 18
    assert times[-1] > 30
    if grouped.suffix != ".ts":
        assert min(b - a for a, b in itertools.pairwise(times[-4:])) >= 7.9
