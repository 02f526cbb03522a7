"""Features: named, finite on anything, in one order, and moved by what they are named after."""

import numpy as np
import pytest

from detectors.backbone import run_backbone, session
from detectors.clip import SIDE, Canonical, canonical, read_squares
from detectors.describe import BLOCKS, describe, names, reencoded
from detectors.features import FAMILIES, HAND, WORDS, family_of, hand_features
from detectors.features.shared import counts, moments, pictures, variance
from detectors.features.trajectory import path
from detectors.shipped import judge_of
from sorakit.errors import ModelError
from sorakit.video.convert import resize
from sorakit.video.roundtrip import compress, planes_of


def clip_of(value: int, frames: int = 13) -> Canonical:
    luma = np.full((frames, SIDE, SIDE), value, np.uint8)
    return Canonical(luma, np.full((frames, 2, SIDE // 2, SIDE // 2), 128, np.uint8))


def noise_clip(frames: int = 13) -> Canonical:
    rng = np.random.default_rng(0)
    luma = rng.integers(0, 256, (frames, SIDE, SIDE)).astype(np.uint8)
    return Canonical(luma, rng.integers(0, 256, (frames, 2, SIDE // 2, SIDE // 2)).astype(np.uint8))


@pytest.mark.parametrize("clip", [clip_of(0), clip_of(255), clip_of(90, 8), noise_clip(), noise_clip(1)])
def test_every_number_is_finite_on_extremes(clip):
    values = list(hand_features(clip).values())
    assert np.isfinite(values).all()
    assert np.abs(values).max() < 1e6


def test_names_are_unique_and_in_known_families():
    known = names()
    assert len(set(known)) == len(known) == BLOCKS["late"][1]
    assert {family_of(n) for n in known} == set(FAMILIES)
    assert [family_of(n) == "network" for n in known] == [i >= BLOCKS["hand"][1] for i in range(len(known))]
    assert all(WORDS.values())


def test_each_family_gives_only_its_own_names(video):
    shared = pictures(canonical(read_squares(video(1))))
    for family in HAND:
        found = family(shared)
        assert len({family_of(n) for n in found}) == 1
        assert found == family(shared)


def test_noise_features_tell_renewed_noise_from_none(video):
    noisy, clean = (hand_features(canonical(read_squares(video(2, noise=n, crf=8)))) for n in (12.0, 0.0))
    assert noisy["noise_flat"] > clean["noise_flat"] + 0.3
    assert noisy["noise_renews"] > clean["noise_renews"]
    assert noisy["coherence_0_change"] > clean["coherence_0_change"]


def test_blur_shows_in_spectrum_and_neighbours(video):
    sharp, soft = (hand_features(canonical(read_squares(video(3, blur=b)))) for b in (0.0, 3.0))
    assert sharp["neighbours_size"] > soft["neighbours_size"]
    assert sharp["spectrum_ring12"] != soft["spectrum_ring12"]


def test_a_still_picture_has_no_flow(moving_frames):
    from detectors.clip import Squares  # noqa: PLC0415

    frame = moving_frames(4, 1)[0]
    still = hand_features(canonical(Squares((frame,) * 13, 0, 1.6, 1.6)))
    assert still["flow_still"] > 0.99
    assert still["flow_difference"] < -1.8


def test_moments_in_used_memory_are_those_of_numpy():
    x = np.random.default_rng(0).gamma(2.0, size=(5, 64, 64)).astype(np.float32)
    room = np.full_like(x, np.nan)
    second, fourth = moments(x, room)
    assert second == x.var() == variance(x, room)
    assert fourth == moments(x)[1] == pytest.approx(6.0, abs=0.3)  # of this distribution
    kept = x.copy()
    assert variance(kept, kept) == second


def test_values_are_counted_as_by_numpy():
    x = np.random.default_rng(0).integers(0, 25, (4, 30, 31)).astype(np.uint8)
    assert counts(x, 25).tolist() == np.bincount(x.ravel(), minlength=25).tolist()
    assert counts(x[:, ::2, ::3], 256).tolist() == np.bincount(x[:, ::2, ::3].ravel(), minlength=256).tolist()


def test_a_straight_path_has_no_turns():
    line = path(np.outer(np.arange(13.0), np.ones(5)) + 1, "x")
    assert line["path_x_turn"] == pytest.approx(0, abs=0.1)
    assert line["path_x_detour"] == pytest.approx(0, abs=0.05)
    wild = path(np.random.default_rng(0).normal(size=(13, 5)), "x")
    assert wild["path_x_turn"] > 60


def test_the_network_gives_maps_and_repeats_itself(video):
    clip = canonical(read_squares(video(5)))
    early, middle, late, top = run_backbone(clip, 224, 3)
    assert (early.shape[1], middle.shape[1]) == (24, 40)
    assert top.shape == (5, 1280, 7, 7)
    assert late.shape == (5, 112, 14, 14)
    for again, one in zip(run_backbone(clip, 224, 3, ("top", "late")), (top, late), strict=True):
        assert np.array_equal(again, one)


def test_a_description_is_the_same_every_time(video):
    clip = canonical(read_squares(video(6)))
    assert np.array_equal(describe(clip).values, describe(clip).values)


def test_a_copy_that_changes_nothing_is_described_alike(video):
    clip = canonical(read_squares(video(6)))
    before = describe(clip)
    again = reencoded(before, clip)
    assert np.allclose(again.values, before.values, rtol=0, atol=1e-5)
    assert again.top is before.top
    short = Canonical(clip.luma[:5], clip.chroma[:5])  # of which the network sees two frames
    assert np.allclose(reencoded(describe(short), short).values, describe(short).values, rtol=0, atol=1e-5)


def test_a_reencoded_copy_is_judged_about_as_by_all_numbers(video):
    judge, error, change = judge_of(), [], []
    for seed in (1, 3, 6):
        squares = read_squares(video(seed, noise=2.0))
        before = describe(canonical(squares))
        small = [resize(f, SIDE, SIDE) for f in squares.frames]
        copy = Canonical(*planes_of(compress(small, crf=28)))
        full, about = describe(copy), reencoded(before, copy)
        hand = slice(*BLOCKS["hand"])
        assert np.array_equal(about.values[hand], before.values[hand])
        error.append(judge.score(about) - judge.score(full))
        change.append(judge.score(full) - judge.score(before))
    assert np.abs(error).mean() < 0.5 * np.abs(change).mean()


def test_a_changed_network_file_is_refused(tmp_path, monkeypatch):
    from detectors import backbone  # noqa: PLC0415

    changed = tmp_path / "net.onnx"
    data = bytearray(backbone.FILE.read_bytes())
    data[1000] ^= 1
    changed.write_bytes(bytes(data))
    monkeypatch.setattr(backbone, "FILE", changed)
    session.cache_clear()
    with pytest.raises(ModelError, match="SHA-256"):
        session()
    session.cache_clear()
