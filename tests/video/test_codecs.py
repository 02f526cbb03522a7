"""Codecs and containers: what goes into what, and that each one plays back."""

from pathlib import Path

import av
import pytest

from sorakit.errors import UsageError
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
