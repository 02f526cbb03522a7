import subprocess
import sys
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from sorakit.errors import (
    InputError,
    LimitError,
    NotAVideoError,
    OutputError,
    SorakitError,
    UnsupportedError,
    UsageError,
)
from sorakit.video.probe import probe
from sorakit.video.read import read_luma, read_rgb
from sorakit.video.transcode import transcode
from sorakit.video.write import EncodeSettings

QUICK = EncodeSettings(crf=12, preset="veryfast")
LOSSLESS = EncodeSettings(crf=0, preset="ultrafast")


def frame_times(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = [frame.pts * stream.time_base for frame in container.decode(stream)]
        return times, stream.duration * stream.time_base


def sound(path, index=0):
    with av.open(str(path)) as container:
        stream = container.streams.audio[index]
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.size]


def same(_info):
    return lambda luma: luma


VFR = np.cumsum([0, *([900, 900, 2700, 450] * 12)])[:48].tolist()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("preset", ["veryfast", "ultrafast"])
def test_variable_frame_times_and_length_are_kept(tmp_path, clip_factory, file_factory, suffix, preset):
    pts = [3 * t for t in VFR]
    src = file_factory(tmp_path / f"a{suffix}", clip_factory(2.0), pts=pts, time_base=Fraction(1, 90000))
    report = transcode(src, tmp_path / "b.mp4", make_luma=same, settings=EncodeSettings(20, preset))
    times, _ = frame_times(tmp_path / "b.mp4")
    with av.open(str(src)) as container:
        want = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert times == want
    assert report.frames == len(want) == 48
    assert report.retimed == 0
    assert probe(tmp_path / "b.mp4").duration == pytest.approx(report.duration, abs=1e-4)
    transcode(tmp_path / "b.mp4", tmp_path / "c.mp4", settings=EncodeSettings(20, "ultrafast"))
    assert frame_times(tmp_path / "c.mp4") == frame_times(tmp_path / "b.mp4")


@pytest.mark.parametrize(
    ("codec", "suffix"), [("aac", ".mp4"), ("libmp3lame", ".mp4"), ("pcm_s16le", ".mov")]
)
def test_sound_is_copied_byte_for_byte_with_its_delay(tmp_path, clip_factory, file_factory, codec, suffix):
    src = file_factory(
        tmp_path / f"a{suffix}", clip_factory(2.0), sound=True, sound_codec=codec, sound_delay=0.25
    )
    report = transcode(src, tmp_path / f"b{suffix}", make_luma=same, settings=QUICK)
    before, after = sound(src), sound(tmp_path / f"b{suffix}")
    assert len(before) > 5
    assert [data for _, data in after] == [data for _, data in before]
    assert [time for time, _ in after] == [time for time, _ in before]
    assert before[0][0] > 0.2
    assert len(report.audio) == 1
    assert report.dropped == ()


def test_video_that_starts_late_still_does(tmp_path, clip_factory, file_factory):
    pts = [i + 12 for i in range(48)]
    src = file_factory(tmp_path / "a.mp4", clip_factory(2.0), pts=pts, time_base=Fraction(1, 24), sound=True)
    transcode(src, tmp_path / "b.mp4", settings=QUICK)
    assert frame_times(tmp_path / "b.mp4")[0] == frame_times(src)[0]
    assert frame_times(src)[0][0] == Fraction(1, 2)
    assert sound(tmp_path / "b.mp4") == sound(src)


@pytest.mark.parametrize("name", ["b.mkv", "b.webm"])
def test_a_pause_does_not_lengthen_matroska(tmp_path, clip_factory, file_factory, name):
    pts = [i if i < 12 else i + 240 for i in range(24)]  # ten seconds in which the picture stands
    ways = {"pts": pts, "time_base": Fraction(1, 24), "options": {"bf": "3", "b_strategy": "0"}}
    src = file_factory(tmp_path / "a.mp4", clip_factory(1.0), **ways)
    transcode(src, tmp_path / name, settings=EncodeSettings(preset="ultrafast"))
    assert probe(tmp_path / name).duration == pytest.approx(11.0, abs=0.05)


def test_frames_that_avi_stores_out_of_order_keep_their_pace(tmp_path, clip_factory, file_factory):
    src = file_factory(tmp_path / "a.avi", clip_factory(2.0), options={"bf": "3"}, sound=True)
    report = transcode(src, tmp_path / "b.mp4", make_luma=same, settings=QUICK)
    times, length = frame_times(tmp_path / "b.mp4")
    assert report.retimed == 0
    assert np.diff([float(t) for t in times]) == pytest.approx([1 / 24] * 47, abs=1e-4)
    assert float(length) == pytest.approx(2.0, abs=0.05)
    seconds = [t for t, _ in read_luma(src)]
    assert seconds == sorted(seconds)


def test_a_transport_stream_starts_at_zero_with_its_offset_kept(tmp_path, clip_factory, file_factory):
    src = file_factory(tmp_path / "a.ts", clip_factory(2.0), sound=True, sound_delay=0.5)
    transcode(src, tmp_path / "b.mp4", settings=QUICK)
    with av.open(str(src)) as container:
        v, a = container.streams.video[0], container.streams.audio[0]
        gap = a.start_time * a.time_base - v.start_time * v.time_base
    times, _ = frame_times(tmp_path / "b.mp4")
    assert times[0] == 0
    assert float(sound(tmp_path / "b.mp4")[0][0]) == pytest.approx(float(gap), abs=1e-4)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_turn_and_aspect_survive(tmp_path, clip_factory, file_factory, turn):
    src = file_factory(tmp_path / "a.mp4", clip_factory(1.0), rotation=turn, sar=Fraction(16, 15))
    transcode(src, tmp_path / "b.mp4", make_luma=same, settings=QUICK)
    assert probe(tmp_path / "b.mp4").geometry == probe(src).geometry
    assert probe(src).geometry.rotation == turn


@pytest.mark.parametrize("colours", [(1, 1, 1, 1), (5, 6, 5, 1), (6, 6, 6, 1), (1, 13, 1, 2), (2, 2, 2, 0)])
def test_colour_tags_and_values_are_kept(tmp_path, clip_factory, file_factory, colours):
    src = file_factory(tmp_path / "a.mp4", clip_factory(1.0), colours=colours, options={"crf": "4"})
    transcode(src, tmp_path / "b.mp4", make_luma=same, settings=LOSSLESS)
    before, after = probe(src), probe(tmp_path / "b.mp4")
    for name in ("primaries", "transfer", "matrix", "range"):
        assert getattr(after, name) == getattr(before, name)
    assert after.geometry.full_range == before.geometry.full_range == (colours[3] == 2)
    for (_, old), (_, new) in zip(read_rgb(src), read_rgb(tmp_path / "b.mp4"), strict=True):
        assert np.array_equal(old, new)  # lossless, so any change is a shift of ours


def test_the_filter_gets_stored_planes_and_what_it_returns_is_encoded(tmp_path, clip_factory, file_factory):
    src = file_factory(tmp_path / "a.mp4", clip_factory(1.0), rotation=90)
    described, given = [], []

    def make(info):
        described.append(info)

        def mark(luma):
            given.append(luma.copy())
            return cv2.add(luma, 3)

        return mark

    report = transcode(src, tmp_path / "b.mp4", make_luma=make, settings=LOSSLESS)
    assert described[0].geometry == probe(src).geometry
    with av.open(str(tmp_path / "b.mp4")) as container:
        stored = [f.to_ndarray()[:256] for f in container.decode(video=0)]
    assert len(given) == len(stored) == 24
    assert all(np.array_equal(cv2.add(a, 3), b) for a, b in zip(given, stored, strict=True))
    assert report.luma_psnr == pytest.approx(20 * np.log10(255 / 3), abs=0.05)


def test_decoding_is_not_disturbed_by_marking_frames_it_predicts_from(tmp_path, clip_factory, file_factory):
    src = file_factory(tmp_path / "a.mp4", clip_factory(2.0), options={"bf": "3", "refs": "4"})
    plain = [luma for _, luma in read_luma(src)]
    seen = []

    def make(_info):
        def mark(luma):
            seen.append(luma.copy())
            return np.full_like(luma, 128)

        return mark

    transcode(src, tmp_path / "b.mp4", make_luma=make, settings=QUICK)
    assert all(np.array_equal(a, b) for a, b in zip(plain, seen, strict=True))


def test_ten_bits_stay_ten_bits(tmp_path, clip_factory, file_factory):
    src = file_factory(tmp_path / "a.mp4", clip_factory(1.0), pix_fmt="yuv420p10le", colours=(1, 1, 1, 1))
    kinds = []

    def make(info):
        assert info.geometry.bit_depth == 10

        def mark(luma):
            kinds.append((luma.dtype, int(luma.max())))
            return luma + np.uint16(4)

        return mark

    report = transcode(src, tmp_path / "b.mp4", make_luma=make, settings=QUICK)
    after = probe(tmp_path / "b.mp4")
    assert after.pix_fmt == "yuv420p10le"
    assert all(dtype == np.uint16 for dtype, _ in kinds)
    assert 255 < max(top for _, top in kinds) <= 1023
    assert report.luma_psnr == pytest.approx(20 * np.log10(1023 / 4), abs=0.01)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].profile == "High 10"


@pytest.mark.parametrize(
    "case",
    [
        ("libx264", "yuv444p", "yuv420p"),
        ("libx264", "yuv422p", "yuv420p"),
        ("libx264", "yuvj420p", "yuvj420p"),
        ("libx264", "yuvj444p", "yuvj420p"),
        ("libx264", "yuv422p10le", "yuv420p10le"),
        ("libx264", "gray", "yuv420p"),
        ("libx264rgb", "rgb24", "yuv420p"),
        ("prores_ks", "yuv422p10le", "yuv420p10le"),
    ],
)
def test_other_formats_keep_their_look(tmp_path, clip_factory, file_factory, case):
    codec, pix_fmt, becomes = case
    src = file_factory(tmp_path / "a.mov", clip_factory(1.0, kind="flat"), codec=codec, pix_fmt=pix_fmt)
    transcode(src, tmp_path / "b.mp4", make_luma=same, settings=EncodeSettings(2, "veryfast"))
    assert probe(tmp_path / "b.mp4").pix_fmt == becomes
    for (_, old), (_, new) in zip(read_rgb(src), read_rgb(tmp_path / "b.mp4"), strict=True):
        assert abs(old.mean((0, 1)) - new.mean((0, 1))).max() < 1.5


@pytest.mark.parametrize("size", [(321, 257), (320, 257), (321, 256)])
def test_odd_sides_are_padded_by_one(tmp_path, clip_factory, file_factory, size):
    src = file_factory(
        tmp_path / "a.webm", clip_factory(1.0, size), codec="libvpx-vp9", options={"cpu-used": "8"}
    )
    told = []
    transcode(src, tmp_path / "b.mp4", make_luma=lambda i: told.append(i.geometry) or same(i), settings=QUICK)
    even = tuple(n + n % 2 for n in size)
    assert probe(tmp_path / "b.mp4").geometry.display_size == even == (told[0].width, told[0].height)
    old, new = next(read_luma(src))[1], next(read_luma(tmp_path / "b.mp4"))[1]
    assert np.abs(new[: size[1], : size[0]].astype(int) - old).mean() < 2
    assert np.abs(new[-1].astype(int) - new[size[1] - 1]).mean() < 4


def test_a_gif_becomes_mp4(tmp_path, clip_factory, file_factory):
    src = file_factory(tmp_path / "a.gif", clip_factory(2.0, fps=10), codec="gif", pix_fmt="rgb8")
    transcode(src, tmp_path / "b.mp4", make_luma=same, settings=EncodeSettings(4, "veryfast"))
    info = probe(tmp_path / "b.mp4")
    assert (info.matrix, info.range, info.frame_count) == ("bt709", "limited", 20)
    assert info.duration == pytest.approx(probe(src).duration, abs=0.011)
    for (a, old), (b, new) in zip(read_rgb(src), read_rgb(tmp_path / "b.mp4"), strict=True):
        assert a == pytest.approx(b, abs=1e-6)
        coarse = [cv2.resize(p, (20, 16), interpolation=cv2.INTER_AREA).astype(int) for p in (old, new)]
        assert np.abs(coarse[0] - coarse[1]).mean() < 3  # a GIF is dithered; 4:2:0 blurs the dots


def test_alpha_is_laid_over_black(tmp_path):
    src = tmp_path / "a.mov"
    with av.open(str(src), "w") as container:
        video = container.add_stream("png", rate=24)
        video.width, video.height, video.pix_fmt = 320, 256, "rgba"
        picture = np.zeros((256, 320, 4), np.uint8)
        picture[..., 0] = 200
        picture[:, 160:, 3] = 255
        picture[:, :160, 3] = 64
        for i in range(24):
            frame = av.VideoFrame.from_ndarray(picture, format="rgba")
            frame.pts = i
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    transcode(src, tmp_path / "b.mp4", settings=EncodeSettings(4, "veryfast"))
    shown = next(read_rgb(tmp_path / "b.mp4"))[1]
    assert abs(int(shown[100, 60, 0]) - 200 * 64 // 255) <= 3
    assert abs(int(shown[100, 260, 0]) - 200) <= 3


@pytest.mark.parametrize("colours", [(9, 16, 9, 1), (9, 18, 9, 1)])
def test_hdr_is_refused_with_the_way_to_convert_it(tmp_path, clip_factory, file_factory, colours):
    src = file_factory(tmp_path / "a.mp4", clip_factory(1.0), pix_fmt="yuv420p10le", colours=colours)
    with pytest.raises(UnsupportedError, match=r"convert it to SDR.*ffmpeg"):
        transcode(src, tmp_path / "b.mp4", settings=QUICK)
    assert not (tmp_path / "b.mp4").exists()


def test_interlaced_is_refused(tmp_path, clip_factory, file_factory):
    src = file_factory(tmp_path / "a.mp4", clip_factory(1.0), options={"x264-params": "tff=1"})
    with pytest.raises(UnsupportedError, match="deinterlace"):
        transcode(src, tmp_path / "b.mp4", settings=QUICK)


@pytest.mark.parametrize("case", [((320, 240), 1.0, "256 px"), ((320, 256), 0.5, "too short")])
def test_no_room_for_a_mark(tmp_path, clip_factory, file_factory, case):
    size, seconds, says = case
    src = file_factory(tmp_path / "a.mp4", clip_factory(seconds, size))
    with pytest.raises(UnsupportedError, match=says):
        transcode(src, tmp_path / "b.mp4", settings=QUICK)


def test_tags_of_the_source_and_new_ones(tmp_path, clip_factory, file_factory):
    src = file_factory(
        tmp_path / "a.mp4", clip_factory(1.0), metadata={"title": "mine", "AIGC": '{"Label":"2"}'}
    )
    transcode(src, tmp_path / "b.mp4", settings=QUICK, metadata={"sorakit": "x"})
    tags = probe(tmp_path / "b.mp4").metadata
    assert (tags["title"], tags["AIGC"], tags["sorakit"]) == ("mine", '{"Label":"2"}', "x")


def test_dropped_streams_are_named_and_chapters_kept(tmp_path, clip_factory):
    src = tmp_path / "a.mkv"
    with av.open(str(src), "w") as container:
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 320, 256, "yuv420p"
        words = container.add_stream("ass")
        words.codec_context.subtitle_header = b"[Script Info]\nScriptType: v4.00+\n"
        container.set_chapters(
            [{"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}}]
        )
        for i, picture in enumerate(clip_factory(1.0).frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts = i
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    report = transcode(src, tmp_path / "b.mp4", settings=QUICK)
    assert len(report.dropped) == 1
    assert report.dropped[0].startswith("subtitle (")
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert [c["metadata"]["title"] for c in container.chapters()] == ["one"]


def test_usage_errors(tmp_path, clip_factory, file_factory):
    src = file_factory(tmp_path / "a.mp4", clip_factory(1.0))
    whole = src.read_bytes()
    with pytest.raises(UsageError, match=r"\.mp4, \.m4v, \.mov"):
        transcode(src, tmp_path / "b.ogv")
    with pytest.raises(UsageError, match="is the input"):
        transcode(src, src)
    assert src.read_bytes() == whole
    with pytest.raises(InputError):
        transcode(tmp_path / "none.mp4", tmp_path / "b.mp4")


@pytest.mark.parametrize("fail_at", [0, 20])
def test_an_error_in_the_filter_leaves_nothing(tmp_path, clip_factory, file_factory, fail_at):
    src = file_factory(tmp_path / "a.mp4", clip_factory(1.0), sound=True)

    def make(_info):
        count = iter(range(1000))

        def mark(luma):
            if next(count) == fail_at:
                raise ValueError("filter")
            return luma

        return mark

    with pytest.raises(ValueError, match="filter"):
        transcode(src, tmp_path / "b.mp4", make_luma=make, settings=QUICK)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_ctrl_c_leaves_nothing(tmp_path, clip_factory, file_factory):
    src = file_factory(tmp_path / "a.mp4", clip_factory(2.0))

    def interrupt(_name, share):
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transcode(src, tmp_path / "b.mp4", settings=EncodeSettings(20, "ultrafast"), progress=interrupt)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_full_disk_leaves_nothing(tmp_path, clip_factory, file_factory):
    src = file_factory(tmp_path / "a.mp4", clip_factory(2.0, kind="noise"))
    code = (
        "import resource, sys\n"
        "from sorakit.errors import OutputError\n"
        "from sorakit.video.transcode import transcode\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n    transcode(sys.argv[1], sys.argv[2])\n"
        "except OutputError as error:\n    print(error)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(src), str(tmp_path / "b.mp4")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot write" in out.stdout
    assert "check free space" in out.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_damaged_input_ends_in_the_kits_errors_or_a_whole_file(tmp_path, clip_factory, file_factory):
    whole = file_factory(tmp_path / "a.mp4", clip_factory(1.0), sound=True).read_bytes()
    rng = np.random.default_rng(9)
    for _ in range(12):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), rng.integers(1, 60)):
            data[place] = rng.integers(0, 256)
        (tmp_path / "c.mp4").write_bytes(data)
        try:
            transcode(tmp_path / "c.mp4", tmp_path / "d.mp4", settings=EncodeSettings(30, "ultrafast"))
        except SorakitError:
            assert not (tmp_path / "d.mp4").exists()
        else:
            assert probe(tmp_path / "d.mp4").kind == "video"
            (tmp_path / "d.mp4").unlink()


def test_a_table_longer_than_memory_is_over_a_limit(tmp_path, clip_factory, file_factory):
    path = file_factory(tmp_path / "a.mp4", clip_factory(0.3))
    data = bytearray(path.read_bytes())
    count = data.index(b"stts") + 8
    data[count : count + 4] = (0x3FFFFFF0).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(LimitError, match="more memory than there is"):
        transcode(path, tmp_path / "b.mp4", settings=QUICK)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_no_picture_decodes(tmp_path, clip_factory, file_factory):
    path = file_factory(tmp_path / "a.mp4", clip_factory(1.0))
    data = bytearray(path.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    path.write_bytes(data)
    with pytest.raises(NotAVideoError):
        transcode(path, tmp_path / "b.mp4", settings=QUICK)


def test_sound_that_the_container_cannot_hold(tmp_path, clip_factory, file_factory):
    src = file_factory(tmp_path / "a.mkv", clip_factory(1.0), sound=True, sound_codec="wavpack")
    with pytest.raises(UnsupportedError, match="sound"):
        transcode(src, tmp_path / "b.mp4", settings=QUICK)
    assert not (tmp_path / "b.mp4").exists()


def test_a_folder_that_does_not_exist(tmp_path, clip_factory, file_factory):
    src = file_factory(tmp_path / "a.mp4", clip_factory(1.0))
    with pytest.raises(OutputError, match="cannot write"):
        transcode(src, tmp_path / "none" / "b.mp4", settings=QUICK)


def test_a_real_clip(tmp_path, bikes):
    report = transcode(bikes, tmp_path / "b.mp4", make_luma=same, settings=EncodeSettings(23, "ultrafast"))
    assert report.luma_psnr == float("inf")
    times, length = frame_times(tmp_path / "b.mp4")
    assert (times, length) == frame_times(bikes)


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path, clip_factory, file_factory):
    clip = clip_factory(4.0, (1280, 720), 25)
    code = (
        "import resource, sys, cv2\n"
        "cv2.setNumThreads(1)\n"
        "from sorakit.video.transcode import transcode\n"
        "from sorakit.video.write import EncodeSettings\n"
        "transcode(sys.argv[1], sys.argv[2], make_luma=lambda info: lambda y: cv2.add(y, 1),"
        " settings=EncodeSettings(28, 'veryfast'))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    peaks = []
    for copies in (1, 4):
        src = tmp_path / f"{copies}.mp4"
        with av.open(str(src), "w") as container:
            video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            video.width, video.height, video.pix_fmt = 1280, 720, "yuv420p"
            for i in range(copies * len(clip.frames)):
                picture = clip.frames[i % len(clip.frames)]
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
                frame.pts = i
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        command = [sys.executable, "-c", code, str(src), str(tmp_path / "out.mp4")]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert peaks[1] < 1.1 * peaks[0]
