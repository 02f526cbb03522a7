"""Which key reads what, and which payload counts when they differ."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from sorakit.types import FrameGeometry, Luma
from sorakit.watermark.base import PUBLIC_KEY
from sorakit.watermark.gate import MAX_LOG10_P
from sorakit.watermark.reading import read_marks, reads_under
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
