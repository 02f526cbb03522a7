from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.types import FrameGeometry
from sorakit.video.read import read_luma
from sorakit.watermark.attacks import ATTACKS, apply
from sorakit.watermark.video import FRAMES_WANTED, VideoWatermark

PAYLOAD = 0xFEDCBA9876543210
MARK = VideoWatermark()


@pytest.fixture
def video(textured: Callable, tmp_path: Path) -> Path:
    """1.5 s of marked 480 × 270 as H.264 CRF 18."""
    path, frames = tmp_path / "marked.mp4", textured(n=36)
    filt = MARK.embedder(FrameGeometry(480, 270), PAYLOAD, psnr=41)  # strong: the attacks are on test here
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "secret"
        stream = container.add_stream("libx264", rate=24, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 480, 270, "yuv420p"
        for index, plane in enumerate(frames):
            yuv = np.full((405, 480), 128, np.uint8)
            yuv[:270] = filt(plane)
            frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


SURVIVED = (
    "untouched", "remux", "h264_crf23", "h264_crf28", "half_size", "social_upload", "mirror", "crop_80",
    "rotate_5", "vertical_reframe", "trim_1s", "flip_byte", "brightness", "noise", "caption_bars",
    "frame_drop", "gif",
)  # fmt: skip


@pytest.mark.parametrize("name", SURVIVED)
def test_the_mark_survives_what_it_should(video: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out.mp4"
    before = video.read_bytes()
    apply(name, video, out)
    assert video.read_bytes() == before
    frames = list(read_luma(out, max_frames=FRAMES_WANTED))
    assert len(frames) >= 12
    assert MARK.detect(frames).payload == f"{PAYLOAD:016x}"


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("half_size", (240, 134)),
        ("crop_80", (384, 216)),
        ("vertical_reframe", (360, 640)),
        ("social_upload", (854, 480)),
    ],
)
def test_sizes(video: Path, tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    apply(name, video, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == size
        assert container.metadata["comment"].endswith(name)
        assert "title" not in container.metadata


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, clip_factory: Callable, file_factory: Callable) -> Path:
    """A second of 240 × 136 at 16 frames a second."""
    clip = clip_factory(seconds=1.0, size=(240, 136), fps=16)
    return file_factory(tmp_path_factory.mktemp("small") / "small.mp4", clip)


def pictures(path: Path) -> bytes:
    return b"".join(np.ascontiguousarray(luma).tobytes() for _, luma in read_luma(path))


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_repeats_to_the_pixel(small: Path, tmp_path: Path, name: str) -> None:
    attack, before = ATTACKS[name], small.read_bytes()
    if attack.family == "model":
        pytest.skip("has tests of its own")
    for run in ("a.mp4", "b.mp4"):
        apply(name, small, tmp_path / run, seed=3, others=[small] * attack.needs_others)
    assert small.read_bytes() == before
    first = pictures(tmp_path / "a.mp4")
    if name == "flip_byte":  # how a decoder conceals the damage is not the attack's doing
        assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    else:
        assert first == pictures(tmp_path / "b.mp4")
    assert (first == pictures(small)) == (name in ("untouched", "remux"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.metadata.get("comment", name).endswith(name)


def test_remux_keeps_packets_and_flip_changes_one_bit(video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    apply("remux", video, out)

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(p) for p in container.demux(video=0) if p.size]

    assert packets(out) == packets(video)
    apply("flip_byte", video, out)
    a, b = (np.frombuffer(p.read_bytes(), np.uint8) for p in (video, out))
    assert np.unpackbits(a ^ b).sum() == 1


def test_trim_is_a_second(video: Path, tmp_path: Path) -> None:
    apply("trim_1s", video, tmp_path / "out.mp4")
    assert len(list(read_luma(tmp_path / "out.mp4"))) == 24


def test_misuse_is_refused(video: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one of"):
        apply("nonsense", video, tmp_path / "out.mp4")
    with pytest.raises(UsageError, match="differ"):
        apply("mirror", video, video)


def test_no_input_is_overwritten(small: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(small.read_bytes())
    with pytest.raises(UsageError, match="must differ from all inputs"):
        apply("copy_mark", small, other, others=[other])
    assert other.read_bytes() == small.read_bytes()


def test_remux_keeps_the_first_packets_of_matroska(
    clip_factory: Callable, file_factory: Callable, tmp_path: Path
) -> None:
    source = file_factory(tmp_path / "a.mkv", clip_factory(1.0, fps=16), options={"bf": "3"})
    apply("remux", source, tmp_path / "out.mp4")
    assert pictures(tmp_path / "out.mp4") == pictures(source)


def test_mpeg4_takes_rates_that_its_clock_cannot_count(
    clip_factory: Callable, file_factory: Callable, tmp_path: Path
) -> None:
    source = file_factory(tmp_path / "a.mp4", clip_factory(0.1, fps=Fraction(120_000, 1001)))
    apply("mpeg4", source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(119.88, abs=0.01)
        assert len(list(container.decode(video=0))) == 12
