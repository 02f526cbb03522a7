from collections.abc import Callable
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
    filt = MARK.embedder(FrameGeometry(480, 270), PAYLOAD)
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


SURVIVED = [name for name in ATTACKS if name not in ("h264_crf40", "h264_crf33")]


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_writes_a_video_and_the_mark_survives_what_it_should(
    video: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out.mp4"
    before = video.read_bytes()
    apply(name, video, out)
    assert video.read_bytes() == before
    frames = list(read_luma(out, max_frames=FRAMES_WANTED))
    assert len(frames) >= 12
    if name in SURVIVED:
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


def test_attacks_repeat_up_to_the_encoder(video: Path, tmp_path: Path) -> None:
    planes = []
    for run in ("a.mp4", "b.mp4"):
        apply("rotate_5", video, tmp_path / run)
        planes.append(np.stack([luma.astype(float) for _, luma in read_luma(tmp_path / run, max_frames=4)]))
    assert np.sqrt(np.mean((planes[0] - planes[1]) ** 2)) < 1.5


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
