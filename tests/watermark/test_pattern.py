import hashlib
from fractions import Fraction

import cv2
import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.types import FrameGeometry
from sorakit.watermark.base import PUBLIC_KEY
from sorakit.watermark.pattern import K_MAX, TILE, carriers, render, shared_pattern, spectrum

PAYLOAD = 0x1234567890ABCDEF


def test_the_pattern_is_a_stable_format() -> None:
    """From key and payload alone, on any machine: a change here needs a new algorithm name."""
    signs = np.sign(np.round(spectrum(b"golden", PAYLOAD) * 1e6).view(np.float64)).astype(np.int8)
    assert hashlib.sha256(signs.tobytes()).hexdigest()[:16] == GOLDEN


GOLDEN = "44e4f100b43f24c8"


def test_the_pattern_has_unit_variance_and_repeats() -> None:
    pattern = render(spectrum(b"k", PAYLOAD), FrameGeometry(2 * TILE * 4, 480))
    assert pattern.std() == pytest.approx(1, abs=0.05)
    assert abs(pattern.mean()) < 0.02
    np.testing.assert_allclose(pattern[:, :TILE], pattern[:, TILE : 2 * TILE], atol=1e-4)


@pytest.mark.parametrize(("rotation", "turn"), [(90, 0), (180, 1), (270, 2)])
def test_turned_for_display_it_is_the_upright_pattern(rotation: int, turn: int) -> None:
    upright = render(spectrum(b"k", PAYLOAD), FrameGeometry(320, 192))
    w, h = (320, 192) if rotation == 180 else (192, 320)
    stored = render(spectrum(b"k", PAYLOAD), FrameGeometry(w, h, rotation=rotation))
    np.testing.assert_allclose(cv2.rotate(stored, turn), upright, atol=1e-4)


def test_oblong_pixels_are_allowed_for() -> None:
    upright = render(spectrum(b"k", PAYLOAD), FrameGeometry(1280, 720))
    stored = render(spectrum(b"k", PAYLOAD), FrameGeometry(960, 720, sar=Fraction(4, 3)))
    shown = cv2.resize(stored, (1280, 720), interpolation=cv2.INTER_CUBIC)
    assert np.corrcoef(shown.ravel(), upright.ravel())[0, 1] > 0.999


def test_keys_and_payloads_give_unrelated_patterns() -> None:
    g = FrameGeometry(512, 512)
    a = render(spectrum(b"one", PAYLOAD), g).ravel()
    assert abs(np.corrcoef(a, render(spectrum(b"two", PAYLOAD), g).ravel())[0, 1]) < 0.2
    assert np.corrcoef(a, render(spectrum(b"one", PAYLOAD ^ 1 << 40), g).ravel())[0, 1] < 0.95


def test_every_coded_bit_has_a_carrier() -> None:
    lattice = carriers(b"k")
    assert set(lattice.bit) == set(range(384))
    assert np.hypot(*lattice.data_k.T).max() <= K_MAX
    assert set(np.unique(lattice.sign)) == {-1.0, 1.0}
    every = np.concatenate([lattice.sync_k, lattice.data_k])
    assert len(np.unique(np.concatenate([every, -every]), axis=0)) == 2 * len(every)


def test_an_empty_key_and_an_odd_rotation_are_refused() -> None:
    with pytest.raises(UsageError, match="key"):
        carriers(b"")
    with pytest.raises(UsageError, match="rotation"):
        render(spectrum(b"k", 0), FrameGeometry(64, 64, rotation=45))


def test_a_secret_pattern_shares_no_carrier_with_the_public_one() -> None:
    g = FrameGeometry(960, 480)
    public, secret = (shared_pattern([key], PAYLOAD, g) for key in (PUBLIC_KEY, b"secret"))
    both = shared_pattern([PUBLIC_KEY, b"secret"], PAYLOAD, g)
    assert both.std() == pytest.approx(1, abs=0.05)
    assert np.allclose(both, (public + secret) / np.sqrt(2), atol=1e-4)
    lines = np.abs(np.fft.rfft2(public)) > 0.3 * np.abs(np.fft.rfft2(public)).max()
    power = np.abs(np.fft.rfft2(secret)) ** 2
    assert power[lines].sum() < 0.3 * power.sum(), "most of the secret's energy lies beside the public lines"


@pytest.mark.parametrize("keys", [[], [b"a", b"a"]])
def test_no_key_or_one_twice_is_refused(keys: list[bytes]) -> None:
    with pytest.raises(UsageError, match="different keys"):
        shared_pattern(keys, PAYLOAD, FrameGeometry(320, 256))
