"""Which key reads what, and which payload counts when they differ."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from sorakit.types import FrameGeometry, Luma
from sorakit.watermark.base import PUBLIC_KEY
from sorakit.watermark.gate import MAX_LOG10_P
from sorakit.watermark.reading import read_file, read_marks, reads_under
from sorakit.watermark.video import VideoWatermark

SECRET, OTHER = b"s" * 32, b"o" * 32
A, B = 0x1000000000000AAA, 0x1000000000000BBB


def asked(*keys: bytes) -> list[dict[str, str]]:
    return [{"id": f"{i:016x}", "key": key.hex()} for i, key in enumerate(keys)]


def scene(n: int = 12) -> list[Luma]:
    rng = np.random.default_rng(4)
    base = np.kron(rng.integers(60, 190, (12, 16)), np.ones((24, 24))).astype(np.uint8)
    return [np.clip(base + rng.normal(0, 2, base.shape), 0, 255).astype(np.uint8) for _ in range(n)]


def marked(planes: list[Luma], payload: int, keys: Sequence[bytes]) -> list[Luma]:
    geometry = FrameGeometry(planes[0].shape[1], planes[0].shape[0])
    mark = VideoWatermark().embedder(geometry, payload, keys=keys, psnr=43)
    return [mark(p) for p in planes]


def timed(planes: list[Luma]) -> Iterator[tuple[float, Luma]]:
    return ((i / 25, p) for i, p in enumerate(planes))


@pytest.fixture(scope="module")
def both() -> list[Luma]:
    return marked(scene(), A, (PUBLIC_KEY, SECRET))


def test_both_marks_of_one_clip_are_read(both: list[Luma]) -> None:
    found = read_marks(timed(both), asked(SECRET))
    assert (found.payload, found.keys, found.key_id) == (f"{A:016x}", ["public", "secret"], "0" * 16)
    assert found.log10_p <= MAX_LOG10_P
    assert reads_under((PUBLIC_KEY, SECRET), timed(both), f"{A:016x}")


def test_without_the_key_only_the_public_mark_is_read(both: list[Luma]) -> None:
    alone, wrong = read_marks(timed(both)), read_marks(timed(both), asked(OTHER))
    assert alone.keys == wrong.keys == ["public"]
    assert alone.payload == wrong.payload == f"{A:016x}"
    assert wrong.log10_p > alone.log10_p, "a key more is a chance more to be wrong"
    assert not reads_under((PUBLIC_KEY, OTHER), timed(both), f"{A:016x}")


def test_an_older_key_is_tried_after_the_newest(both: list[Luma]) -> None:
    found = read_marks(timed(both), asked(OTHER, SECRET))
    assert (found.keys, found.key_id) == (["public", "secret"], f"{1:016x}")


def test_an_overwritten_public_mark_does_not_count(both: list[Luma]) -> None:
    found = read_marks(timed(marked(marked(scene(), A, (SECRET,)), B, (PUBLIC_KEY,))), asked(SECRET))
    assert (found.payload, found.keys, found.public_payload) == (f"{A:016x}", ["secret"], f"{B:016x}")


def test_a_secret_mark_alone_is_nothing_to_the_public() -> None:
    hidden = marked(scene(), A, (SECRET,))
    assert not read_marks(timed(hidden)).found
    assert read_marks(timed(hidden), asked(SECRET)).keys == ["secret"]


def test_an_unmarked_video_reads_under_no_key() -> None:
    found = read_marks(timed(scene()), asked(SECRET, OTHER))
    assert not found.found
    assert (found.keys, found.payload, found.key_id) == ([], None, None)


def written(path: Path, planes: list[Luma], rate: int = 10) -> Path:
    """An H.264 file of gray pictures."""
    h, w = planes[0].shape
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = w, h, "gray"
        for index, plane in enumerate(planes):
            frame = av.VideoFrame.from_ndarray(plane, format="gray")
            frame.pts = index
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def test_a_long_file_is_read_in_one_pass_and_its_end_is_looked_at(textured: Callable, tmp_path: Path) -> None:
    plain = textured(n=120)
    whole = marked(plain, A, (PUBLIC_KEY,))
    found = read_file(written(tmp_path / "whole.mp4", whole), 12.0)
    assert (found.payload, found.keys) == (f"{A:016x}", ["public"])
    assert {s["state"] for s in found.segments} == {"marked"}
    spliced = read_file(written(tmp_path / "spliced.mp4", whole[:80] + textured(n=40, seed=5)), 12.0)
    assert spliced.payload == f"{A:016x}"
    assert spliced.segments[-1]["state"] == "unmarked"
    assert spliced.segments[-1]["start_ms"] == pytest.approx(8000, abs=1500)
    late = read_file(written(tmp_path / "late.mp4", textured(n=40, seed=5) + whole[:80]), 12.0)
    assert late.payload == f"{A:016x}"
    assert not read_file(written(tmp_path / "plain.mp4", plain), 12.0).found
