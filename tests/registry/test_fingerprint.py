import base64
import tracemalloc

import cv2
import numpy as np
import pytest

from sorakit.errors import InputError, RegistryError
from sorakit.registry.fingerprint import MATCH_THRESHOLD, Fingerprint, fingerprint, similarity
from sorakit.video.read import read_luma


def luma_of(clip):
    return [(i / float(clip.fps), cv2.cvtColor(f, cv2.COLOR_RGB2GRAY)) for i, f in enumerate(clip.frames)]


def each(frames, change):
    return [(t, np.ascontiguousarray(change(y))) for t, y in frames]


def turned(y):
    h, w = y.shape
    return cv2.warpAffine(y, cv2.getRotationMatrix2D((w / 2, h / 2), 5, 1), (w, h))


def boxed(y):
    return cv2.copyMakeBorder(y, 60, 60, 0, 0, cv2.BORDER_CONSTANT, value=16)


def noisy(y):
    return np.clip(y + np.random.default_rng(1).normal(0, 8, y.shape), 0, 255).astype(np.uint8)


CHANGES = {
    "noise": noisy,
    "mirror": lambda y: y[:, ::-1],
    "crop": lambda y: y[20:-30, 40:-20],
    "half": lambda y: cv2.resize(y, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "letterbox": boxed,
    "rotate": turned,
    "reframe": lambda y: y[:, y.shape[1] // 3 : y.shape[1] // 3 + y.shape[0] * 9 // 16],
    "gamma": lambda y: (255 * (y / 255.0) ** 1.5).astype(np.uint8),
}


@pytest.fixture(scope="module")
def subjects(clip_factory, bikes):
    made = [luma_of(clip_factory(seconds=1.5, seed=s)) for s in (1, 2)]
    return [*made, list(read_luma(bikes, max_frames=48))]


@pytest.mark.parametrize("name", CHANGES)
def test_changed_copies_match_and_others_do_not(subjects, name):
    prints = [fingerprint(s) for s in subjects]
    copies = [fingerprint(each(s, CHANGES[name])) for s in subjects]
    table = np.array([[similarity(p, c) for c in copies] for p in prints])
    assert (np.diag(table) >= MATCH_THRESHOLD).all(), table
    assert (table[~np.eye(len(table), dtype=bool)] < MATCH_THRESHOLD).all(), table


def test_a_cut_out_second_matches(subjects):
    whole = subjects[2]
    part = [(t - whole[20][0], y) for t, y in whole if whole[20][0] <= t <= whole[20][0] + 1]
    assert similarity(fingerprint(whole), fingerprint(part)) >= MATCH_THRESHOLD


def test_the_same_scene_with_another_motion_is_another_video(clip_factory):
    frames = luma_of(clip_factory(seconds=1.5, kind="flat", size=(256, 256)))
    ground = frames[0][1] * 0 + 60
    yy, xx = np.mgrid[:256, :256]

    def disc(x, y):
        return np.where(np.hypot(xx - x, yy - y) < 50, 190, ground).astype(np.uint8)

    right = [(k / 12, disc(60 + 9 * k, 70)) for k in range(16)]
    down = [(k / 12, disc(190, 60 + 9 * k)) for k in range(16)]
    assert similarity(fingerprint(right), fingerprint(right)) >= MATCH_THRESHOLD
    assert similarity(fingerprint(right), fingerprint(down)) < MATCH_THRESHOLD


def test_bytes_and_json_round_trip(subjects):
    seen = fingerprint(subjects[0])
    assert len(seen.to_bytes()) < 4096
    assert Fingerprint.from_bytes(seen.version, seen.to_bytes()) == seen
    seconds, cells = seen.unpack()
    assert len(seconds) == len(cells) == 12
    assert (np.diff(seconds) > 0).all() and np.abs(cells).max() <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (3, 5), (2160, 64)])
def test_any_shape(shape):
    seen = fingerprint([(0.0, np.full(shape, 9, np.uint8))])
    assert similarity(seen, seen) < MATCH_THRESHOLD  # an empty picture is like nothing, itself included


def test_memory_stays_flat_and_times_may_be_nonsense():
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (90, 160), np.uint8)

    def endless(n):
        for k in range(n):
            yield (float("nan") if k % 7 == 0 else k / 25.0), np.roll(base, k, 1)

    fingerprint(endless(600))
    peaks = []
    for n in (1200, 4800):
        tracemalloc.start()
        fingerprint(endless(n))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_no_frames():
    with pytest.raises(InputError, match="at least one"):
        fingerprint([])


def test_malformed_fingerprints_are_refused(subjects):
    whole = fingerprint(subjects[0])
    blob = whole.to_bytes()
    bad = [
        b"",
        b"\x01",
        blob[:-1],
        blob + b"x",
        b"\x00" + blob[1:],
        b"\xff" + blob[1:],
        blob[:1] + b"\xff" + blob[2:],
    ]
    for data in bad:
        with pytest.raises(RegistryError):
            similarity(whole, Fingerprint.from_bytes(1, data))
    with pytest.raises(RegistryError, match="base64"):
        similarity(whole, Fingerprint("not base64!"))
    with pytest.raises(RegistryError, match="version"):
        similarity(whole, Fingerprint(base64.b64encode(blob).decode(), 99))


def test_hostile_content_only_gives_a_number(subjects):
    whole = fingerprint(subjects[0])
    blob = np.frombuffer(whole.to_bytes(), np.uint8)
    rng = np.random.default_rng(5)
    for _ in range(10):
        broken = blob.copy()
        broken[3:] = rng.integers(0, 256, len(blob) - 3)  # times in any order, cells at random
        assert 0 <= similarity(whole, Fingerprint.from_bytes(1, broken.tobytes())) < MATCH_THRESHOLD
