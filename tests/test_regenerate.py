"""Attacks with a model: both change the pictures, repeat by seed, and are known only once installed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sorakit.regenerate import install
from sorakit.video.read import read_luma
from sorakit.watermark.attacks import apply

pytest.importorskip("torch")


def luma(path: Path) -> np.ndarray:
    return np.stack([y.astype(float) for _, y in read_luma(path)])


@pytest.mark.parametrize("name", ["autoencoder", "regenerate"])
def test_pictures_stay_alike_and_repeat(
    name: str, tmp_path: Path, clip_factory: Callable, file_factory: Callable
) -> None:
    install()
    source = file_factory(tmp_path / "in.mp4", clip_factory(1.0, (140, 96), 18))
    for run in ("a.mp4", "b.mp4"):
        apply(name, source, tmp_path / run, seed=5)
    before, after = luma(source), luma(tmp_path / "a.mp4")
    assert before.shape == after.shape
    psnr = 10 * np.log10(255**2 / np.mean((before - after) ** 2))
    assert 18 < psnr < 45
    assert np.array_equal(after, luma(tmp_path / "b.mp4"))


def test_a_stronger_regeneration_changes_more(
    tmp_path: Path, clip_factory: Callable, file_factory: Callable
) -> None:
    install()
    source = file_factory(tmp_path / "in.mp4", clip_factory(0.9, (128, 64), 16))
    errors = []
    for sigma in (0.05, 0.5):
        apply("regenerate", source, tmp_path / "out.mp4", strength=sigma)
        errors.append(np.mean((luma(source) - luma(tmp_path / "out.mp4")) ** 2))
    assert errors[0] < errors[1]
