"""The reader's filters: edges leave little behind, and no band of the spectrum outvotes another."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from sorakit.types import FrameGeometry
from sorakit.watermark.detect import (
    DIHEDRAL,
    WORKING,
    Average,
    Place,
    _residual,
    _whiten,
    _working,
    agreement,
    near,
    read,
    sync,
)
from sorakit.watermark.fourier import Spectrum
from sorakit.watermark.gate import log10_bound
from sorakit.watermark.pattern import carriers, render, spectrum
from sorakit.watermark.payload import ID_BITS, VERSION

KEY, PAYLOAD = b"a key of the tests", 0x1234567890ABCDEF
WIDTH = 320

Floats = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def pattern() -> Floats:
    """Unit variance, at the working size."""
    return render(spectrum(KEY, PAYLOAD), FrameGeometry(WIDTH, WORKING))


def _noise(seed: int) -> Floats:
    return np.random.default_rng(seed).standard_normal((WORKING, WIDTH)).astype(np.float32)


def _blocks() -> Floats:
    """A picture of hard edges, 40 px apart, up to 160 levels high."""
    tiles = np.random.default_rng(1).integers(40, 200, (WORKING // 40, WIDTH // 40)).astype(np.float32)
    return np.kron(tiles, np.ones((40, 40), np.float32))


def whitened(picture: Floats) -> Floats:
    return _whiten(*_residual(picture))


def test_an_edge_leaves_little_in_the_residual() -> None:
    step = np.full((WORKING, WIDTH), 60, np.float32)
    step[:, WIDTH // 2 :] = 180
    assert np.abs(whitened(step)).max() < 0.05
    assert whitened(step + _noise(0)).std() > 0.15


def test_the_pattern_comes_through_a_picture_of_edges(pattern: Floats) -> None:
    white = whitened(_blocks() + pattern + _noise(2))
    assert np.corrcoef(white.ravel(), pattern.ravel())[0, 1] > 0.42  # 0.39 with a Gaussian high-pass


def test_flat_areas_with_a_louder_say_read_a_busy_picture_better(pattern: Floats) -> None:
    lattice, average = carriers(KEY), Average()
    ground = 20 * cv2.GaussianBlur(_noise(5), (0, 0), 1.5)
    ground[:, : WIDTH // 3] *= 0.02
    for t in range(3):
        picture = 120 + np.roll(ground, 2 * t, axis=0) + 0.55 * pattern
        average.add(t / 25, np.clip(np.rint(picture), 0, 255).astype(np.uint8))
    place = Place(DIHEDRAL[0], average.centre % 128, 0.0)
    usual, crisp = (
        read([(look, place)], lattice, rank=1, list_size=16) for look in (average.spectrum(), average.crisp())
    )
    assert usual is not None and crisp is not None and crisp.payload == PAYLOAD
    assert crisp.log10_p < 1.1 * usual.log10_p


def test_filtering_the_picture_moves_the_bound_little(pattern: Floats) -> None:
    """Codecs damp the fine waves and their noise alike: what counts is the one over the other."""
    picture = 0.12 * pattern + _noise(3)
    lattice = carriers(KEY)

    def bound(image: Floats) -> float:
        place = sync(Spectrum(image), lattice, np.eye(2)[None])[0]
        decode = read([(Spectrum(image), place)], lattice, rank=1, list_size=16)
        assert decode is not None and decode.payload == PAYLOAD
        return decode.log10_p

    plain, damped = bound(picture), bound(np.asarray(cv2.GaussianBlur(picture, (0, 0), 1.5), np.float32))
    assert plain < -9
    assert damped == pytest.approx(plain, rel=0.1)


def test_the_synchronisation_score_is_in_standard_deviations() -> None:
    lattice = carriers(KEY)
    scores = [sync(Spectrum(_noise(seed)), lattice, np.eye(2)[None])[0].score for seed in range(8)]
    assert 2.0 < float(np.mean(scores)) < 5.5  # the highest of some thousand shifts of pure noise
    assert isinstance(sync(Spectrum(_noise(9)), lattice, np.eye(2)[None])[0], Place)


def test_a_shift_that_is_nearly_known_leads_to_the_best_one(pattern: Floats) -> None:
    picture, lattice = Spectrum(pattern + _noise(4)), carriers(KEY)
    for best in sync(picture, lattice, DIHEDRAL[:1]):
        found = near(picture, lattice, DIHEDRAL[:1], best.shift + np.array([1.5, -1.5]))[0]
        np.testing.assert_allclose(found.shift, best.shift, atol=0.3)
        assert found.score == pytest.approx(best.score, rel=0.02)


@pytest.mark.parametrize("size", [(1080, 1920), (1440, 1080), (720, 1280), (2160, 3840), (241, 300)])
def test_frames_of_every_size_come_down_to_the_same_picture(size: tuple[int, int]) -> None:
    """Smooth waves: what stands in a frame does not depend on how it was made smaller."""
    h, w = size
    y, x = (np.arange(n, dtype=np.float32) + 0.5 for n in size)
    waves = np.sin(2 * np.pi * 9 * y[:, None] / h) * np.cos(2 * np.pi * 7 * x / w)
    small = _working(np.asarray(np.rint(128 + 90 * waves), np.uint8), None)
    assert min(small.shape) == WORKING
    y, x = (np.arange(n, dtype=np.float32) + 0.5 for n in small.shape)
    rows, columns = small.shape
    want = 128 + 90 * np.sin(2 * np.pi * 9 * y[:, None] / rows) * np.cos(2 * np.pi * 7 * x / columns)
    assert np.abs(small - want).max() < 1.5


def _mean_mark(weights: list[float]) -> tuple[Floats, Floats]:
    """The mean of marks of one key, `weights` strong, with payloads of their own; and the first one alone."""
    ids = np.random.default_rng(0).integers(1 << ID_BITS, size=len(weights)).tolist()
    patterns = (spectrum(KEY, VERSION << ID_BITS | number) for number in ids)
    marks = [render(pattern, FrameGeometry(WIDTH, WORKING)) for pattern in patterns]
    total = sum(w * m for w, m in zip(weights, marks, strict=True)) / len(marks)
    return np.asarray(total, np.float32), marks[0]


def test_the_loudest_of_many_averaged_marks_is_not_taken_for_one_that_was_put_here() -> None:
    lattice = carriers(KEY)
    mean, loudest = _mean_mark([6.0] + [1.0] * 30)
    place = Place(DIHEDRAL[0], np.array([WIDTH, WORKING]) * (480 / WORKING / 2) % 128, 40.0)
    alone = read([(Spectrum(loudest + _noise(6)), place)], lattice, rank=1)
    assert alone is not None and alone.log10_p < -60
    both = np.asarray(0.2 * _noise(6) + mean, np.float32)
    fits = agreement(Spectrum(both), lattice, place, alone.payload)
    assert log10_bound(fits, rank=1, payload=alone.payload) < -12  # it could be read
    assert read([(Spectrum(both), place)], lattice, rank=1) is None


def test_two_marks_over_each_other_still_read() -> None:
    mean, first = _mean_mark([1.4, 1.0])
    place = Place(DIHEDRAL[0], np.array([WIDTH, WORKING]) * (480 / WORKING / 2) % 128, 40.0)
    found = read([(Spectrum(mean + 0.2 * _noise(7)), place)], carriers(KEY), rank=1)
    alone = read([(Spectrum(first + 0.2 * _noise(7)), place)], carriers(KEY), rank=1)
    assert found is not None and alone is not None and found.payload == alone.payload


def test_taking_off_what_all_marks_share_leaves_the_payload() -> None:
    """Version bits are common to all payloads: an average takes them off with the synchronisation."""
    mean, own = _mean_mark([1.0] * 31)
    picture = Spectrum(np.asarray(own + 0.5 * _noise(8) - 2.5 * mean / mean.std(), np.float32))
    centre = np.array([WIDTH, WORKING]) * (480 / WORKING / 2) % 128
    blind, sure = (Place(DIHEDRAL[0], centre, score) for score in (0.0, 40.0))
    alone = read([(Spectrum(own + _noise(8)), sure)], carriers(KEY), rank=1)
    assert near(picture, carriers(KEY), DIHEDRAL[:1], centre)[0].score < 0
    found = read([(picture, blind)], carriers(KEY), rank=1)
    assert found is not None and alone is not None and found.payload == alone.payload
    assert found.log10_p < -9
    assert read([(picture, sure)], carriers(KEY), rank=1) is None  # with the common bits it is lost
