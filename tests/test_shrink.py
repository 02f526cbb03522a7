from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sorakit.errors import InputError, NotAVideoError
from sorakit.shrink import fit, model_size, read_small
from sorakit.types import Clip
from sorakit.video.write import write_clip


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_sizes_suit_the_model(height: int, width: int) -> None:
    h, w = model_size(height, width, (32, 32))
    assert h % 8 == w % 8 == 0
    assert min(h, w) == 32
    assert max(h, w) <= 48
    assert (h <= w) == (height <= width) or h == w


@given(st.integers(1, 70), st.integers(1, 70))
def test_any_picture_fits(height: int, width: int) -> None:
    assert fit(np.zeros((height, width, 3), np.uint8), 16, 24).shape == (16, 24, 3)


def test_the_centre_is_kept() -> None:
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, 20:40] = 255
    assert (fit(picture, 10, 10) == 255).all()
    same = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    np.testing.assert_array_equal(fit(same, 8, 8), same)


def written(path: Path, frames: int, fps: int, height: int = 96, width: int = 160) -> Path:
    levels = np.linspace(40, 200, frames).astype(np.uint8)
    pixels = np.ascontiguousarray(np.broadcast_to(levels[:, None, None, None], (frames, height, width, 3)))
    write_clip(Clip(pixels, Fraction(fps)), path)
    return path


@pytest.mark.parametrize(("fps", "kept", "rate"), [(12, 24, 12), (8, 24, 8), (24, 12, 12), (30, 10, 12)])
def test_a_video_is_thinned_to_the_rate(tmp_path: Path, fps: int, kept: int, rate: int) -> None:
    small = read_small(written(tmp_path / "a.mp4", 24, fps), (32, 32))
    assert small.frames.shape == (kept, 32, 48, 3)
    assert small.fps == rate
    levels = small.frames.mean((1, 2, 3))
    assert np.all(np.diff(levels) > 0)
    assert levels[0] == pytest.approx(40, abs=2)


def test_a_picture_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 32, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    small = read_small(tmp_path / "a.png", (16, 16), exact=True)
    assert small.frames.shape == (1, 16, 16, 3)
    assert np.abs(small.frames[0].astype(int) - fit(pixels, 16, 16)).max() <= 2


def test_reading_stops_where_it_is_told(tmp_path: Path) -> None:
    assert len(read_small(written(tmp_path / "a.mp4", 24, 12), (32, 32), max_frames=5).frames) == 5


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_small(tmp_path / "none.mp4", (32, 32))
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(NotAVideoError):
        read_small(tmp_path / "text.mp4", (32, 32))
    whole = written(tmp_path / "b.mp4", 24, 12).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(InputError):
        read_small(tmp_path / "cut.mp4", (32, 32))
