"""Codecs and containers: what goes into what, and that each one plays back."""

from pathlib import Path

import av
import pytest

from sorakit.errors import UnsupportedError, UsageError
from sorakit.video.codecs import PRESETS, EncodeSettings, container_of, encoder_of
from sorakit.video.transcode import transcode
from sorakit.video.write import write_clip

HELD = [
    ("a.mp4", "hevc"), ("a.mp4", "av1"), ("a.mov", "hevc"), ("a.mkv", "h264"), ("a.mkv", "hevc"),
    ("a.mkv", "av1"), ("a.mkv", "vp9"), ("a.webm", "vp9"), ("a.webm", "av1"),
]  # fmt: skip
NAMES = {"av1": ("av1", "libdav1d", "libaom-av1")}


@pytest.mark.parametrize(("name", "codec"), HELD)
def test_each_codec_plays_back_from_each_file(tmp_path, clip_factory, name, codec):
    clip = clip_factory(seconds=1, fps=12)
    write_clip(clip, tmp_path / name, settings=EncodeSettings(preset="ultrafast", codec=codec))
    with av.open(str(tmp_path / name)) as box:
        stream = box.streams.video[0]
        assert stream.codec_context.name in NAMES.get(codec, (codec,))
        times = [float(f.time) for f in box.decode(video=0)]
    assert times == pytest.approx([i / 12 for i in range(12)], abs=1e-3)
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "h264"), ("a.mov", "av1"), ("a.mp4", "vp9")])
def test_codecs_that_a_file_cannot_hold(name, codec):
    with pytest.raises(UsageError, match=f"got {codec}"):
        encoder_of(Path(name), EncodeSettings(codec=codec))


def test_unknown_codec_and_ending():
    with pytest.raises(UsageError, match="codec"):
        EncodeSettings(codec="mpeg2")
    with pytest.raises(UsageError, match="must end in"):
        container_of(Path("a.avi"))


@pytest.mark.parametrize("codec", ["av1", "vp9", "hevc"])
def test_every_preset_has_a_speed(codec):
    made = [encoder_of(Path("a.mkv"), EncodeSettings(preset=p, codec=codec))[1] for p in PRESETS]
    assert len({tuple(m.items()) for m in made}) == len(PRESETS)


@pytest.mark.parametrize("name", ["b.mkv", "b.webm"])
def test_turn_and_shape_survive_in_matroska(tmp_path, clip_factory, file_factory, name):
    from sorakit.video.probe import probe  # noqa: PLC0415

    source = file_factory(tmp_path / "a.mp4", clip_factory(seconds=1, fps=12), rotation=90)
    transcode(source, tmp_path / name, settings=EncodeSettings(preset="ultrafast"))
    assert probe(tmp_path / name).geometry.display_size == probe(source).geometry.display_size


@pytest.mark.parametrize(("name", "codec"), [("b.webm", "auto"), ("b.mkv", "av1")])
def test_full_range_stays_so_where_the_encoder_knows_no_yuvj(
    tmp_path, clip_factory, file_factory, name, codec
):
    from sorakit.video.probe import probe  # noqa: PLC0415
    from sorakit.video.read import read_rgb  # noqa: PLC0415

    clip = clip_factory(seconds=1, fps=12, kind="flat")
    source = file_factory(tmp_path / "a.avi", clip, codec="mjpeg", pix_fmt="yuvj422p", options={"q": "2"})
    transcode(source, tmp_path / name, settings=EncodeSettings(8, "ultrafast", codec=codec))
    assert probe(tmp_path / name).range == probe(source).range == "full"
    for (_, old), (_, new) in zip(read_rgb(source), read_rgb(tmp_path / name), strict=True):
        assert abs(old.mean((0, 1)) - new.mean((0, 1))).max() < 1.5


def test_more_bits_than_the_encoder_takes_are_refused(tmp_path, clip_factory, file_factory):
    clip = clip_factory(seconds=1, fps=12)
    source = file_factory(tmp_path / "a.mp4", clip, pix_fmt="yuv420p10le")
    if "yuv420p10le" in {f.name for f in av.Codec("libvpx-vp9", "w").video_formats or ()}:
        pytest.skip("this FFmpeg's VP9 takes 10 bits")
    with pytest.raises(UnsupportedError, match=r"more than 8 bits, .* SORAKIT_CODEC=av1"):
        transcode(source, tmp_path / "b.webm", settings=EncodeSettings(preset="ultrafast"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
