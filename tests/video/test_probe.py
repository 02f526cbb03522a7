import io
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from sorakit.errors import InputError, LimitError, NotAVideoError, UnsupportedError
from sorakit.video.guard import run_guarded
from sorakit.video.probe import probe


def test_plain_file(tmp_path, clip_factory, file_factory):
    path = file_factory(tmp_path / "a.mp4", clip_factory(2.0, (320, 256), 24), sound=True)
    info = probe(path)
    assert (info.kind, info.codec, info.pix_fmt, info.container) == ("video", "h264", "yuv420p", "mov")
    assert info.geometry.display_size == (320, 256)
    assert (info.fps, info.frame_count, info.audio) == (Fraction(24), 48, ("aac",))
    assert info.duration == pytest.approx(2.0, abs=0.01)
    assert (info.primaries, info.range, info.hdr, info.interlaced) == (
        "unspecified",
        "unspecified",
        None,
        False,
    )


@pytest.mark.parametrize(
    ("turn", "size"), [(0, (320, 256)), (90, (256, 320)), (180, (320, 256)), (270, (256, 320))]
)
def test_turned_by_the_display_matrix(tmp_path, clip_factory, file_factory, turn, size):
    info = probe(file_factory(tmp_path / "a.mp4", clip_factory(0.5), rotation=turn))
    assert info.geometry.rotation == turn
    assert (info.geometry.width, info.geometry.height) == (320, 256)
    assert info.geometry.display_size == size


def test_sample_aspect_ratio_colours_and_tags(tmp_path, clip_factory, file_factory):
    tags = {"AIGC": '{"Label":"1"}', "title": "a title"}
    path = file_factory(
        tmp_path / "a.mp4", clip_factory(0.5), sar=Fraction(4, 3), colours=(5, 6, 5, 2), metadata=tags
    )
    info = probe(path)
    assert info.geometry.sar == Fraction(4, 3)
    assert info.geometry.display_size == (427, 256)
    assert (info.primaries, info.transfer, info.matrix, info.range) == (
        "bt470bg",
        "smpte170m",
        "bt470bg",
        "full",
    )
    assert info.geometry.full_range
    assert tags.items() <= info.metadata.items()


@pytest.mark.parametrize(
    ("colours", "name"),
    [
        ((9, 16, 9, 1), "HDR10 (PQ)"),
        ((9, 18, 9, 1), "HLG"),
        ((9, 14, 9, 1), "BT.2020"),
        ((9, 1, 9, 1), "BT.2020"),
    ],
)
def test_hdr_is_named(tmp_path, clip_factory, file_factory, colours, name):
    path = file_factory(tmp_path / "a.mp4", clip_factory(0.5), pix_fmt="yuv420p10le", colours=colours)
    info = probe(path)
    assert info.hdr == name
    assert info.geometry.bit_depth == 10


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".avi", ".ts", ".gif"])
def test_other_containers(tmp_path, clip_factory, file_factory, suffix):
    codec, pix_fmt = {
        ".webm": ("libvpx", "yuv420p"),
        ".avi": ("mpeg4", "yuv420p"),
        ".gif": ("gif", "rgb8"),
    }.get(suffix, ("libx264", "yuv420p"))
    options = {"deadline": "realtime", "cpu-used": "8"} if suffix == ".webm" else {}
    path = tmp_path / f"a{suffix}"
    info = probe(file_factory(path, clip_factory(1.0, fps=20), codec=codec, pix_fmt=pix_fmt, options=options))
    assert info.kind == "video"
    assert info.duration == pytest.approx(1.0, abs=0.06)
    assert round(info.fps) == 20


@pytest.mark.parametrize("late", [0, 5])
def test_a_stream_that_names_no_length_is_counted(tmp_path, late):
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    pipe = Pipe()
    with av.open(pipe, "w", format="matroska", options={"live": "1"}) as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(20):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = 10 * late + i, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    path = tmp_path / "live.mkv"
    path.write_bytes(pipe.getvalue())
    with av.open(str(path)) as container:
        assert not container.duration
    info = probe(path)
    assert info.frame_count == 20
    assert info.duration == pytest.approx(2, abs=0.01)


def test_images(tmp_path, clip_factory):
    frame = clip_factory(0.1, (200, 100)).frames[0]
    for name in ("a.png", "a.jpg", "a.webp"):
        assert cv2.imwrite(str(tmp_path / name), frame)
        info = probe(tmp_path / name)
        assert (info.kind, info.duration, info.frame_count) == ("image", 0.0, 1)
        assert info.geometry.display_size == (200, 100)


def test_an_animated_webp_is_refused_in_words(tmp_path, clip_factory, file_factory):
    path = file_factory(tmp_path / "a.webp", clip_factory(0.3), codec="libwebp_anim")
    with pytest.raises(UnsupportedError, match=r"animated WebP.*MP4"):
        probe(path)


def test_sound_only(tmp_path, clip_factory, file_factory):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 44100
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    with pytest.raises(NotAVideoError, match="sound but no pictures"):
        probe(path)


def test_no_frames(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=24)
        video.width, video.height, video.pix_fmt = 320, 256, "yuv420p"
        container.start_encoding()
    with pytest.raises(NotAVideoError):
        probe(path)


def test_limits(tmp_path, clip_factory, file_factory):
    path = file_factory(tmp_path / "a.mp4", clip_factory(1.0))
    with pytest.raises(LimitError, match="pixels"):
        probe(path, max_pixels=1000)
    with pytest.raises(LimitError, match="lasts 1 s"):
        probe(path, max_duration=0.5)


def test_playlists_and_scripts_open_nothing(tmp_path, clip_factory, file_factory):
    file_factory(tmp_path / "real.mp4", clip_factory(0.5))
    for text in ("ffconcat version 1.0\nfile real.mp4\n", "#EXTM3U\n#EXTINF:1,\nreal.mp4\n#EXT-X-ENDLIST\n"):
        (tmp_path / "x.mp4").write_text(text)
        with pytest.raises(NotAVideoError):
            probe(tmp_path / "x.mp4")
    with pytest.raises(InputError):
        probe(f"concat:{tmp_path / 'real.mp4'}")


def test_probe_in_a_child_gives_the_same(tmp_path, clip_factory, file_factory):
    path = file_factory(tmp_path / "a.mp4", clip_factory(0.5), rotation=90)
    request = {"path": str(path)}
    answer = run_guarded("sorakit.video.probe:probe_task", request, timeout=30, memory_bytes=1 << 30)
    assert answer == probe(path).to_json()
    assert answer["geometry"]["rotation"] == 90


def test_random_damage_never_escapes_the_error_tree(tmp_path, clip_factory, file_factory):
    whole = file_factory(tmp_path / "a.mp4", clip_factory(1.0)).read_bytes()
    rng = np.random.default_rng(5)
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), rng.integers(1, 40)):
            data[place] = rng.integers(0, 256)
        (tmp_path / "b.mp4").write_bytes(data)
        try:
            probe(tmp_path / "b.mp4")
        except InputError as error:
            assert "\n" not in str(error)
