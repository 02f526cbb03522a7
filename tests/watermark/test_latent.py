"""The coding of the initial noise: lossless, keyed, with a bound that holds."""

import numpy as np
import pytest
from scipy import stats

from sorakit.errors import UsageError
from sorakit.watermark.gate import MAX_LOG10_P
from sorakit.watermark.latent import LEAVES, SCHEME, read_noise, sign_noise

KEY, OTHER = b"k" * 32, b"o" * 32
SHAPE = (4, 4, 4, 96)
PAYLOAD = 0x1234567890ABCDEF


def noise(seed: int, payload: int = PAYLOAD, key: bytes = KEY) -> np.ndarray:
    return sign_noise(SHAPE, payload, key, np.random.default_rng(seed))


def blurred(clean: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    found = clean + np.random.default_rng(seed).normal(0, sigma, clean.shape)
    return found.astype(np.float32)


def test_the_noise_stays_normal() -> None:
    values = np.stack([noise(seed, int(p)) for seed, p in enumerate(np.random.default_rng(5).integers(
        0, 1 << 62, 200))])  # fmt: skip
    assert stats.kstest(values.ravel(), "norm").pvalue > 1e-3
    each = [stats.kstest(v.ravel(), "norm").pvalue for v in values]
    assert stats.kstest(each, "uniform").pvalue > 1e-3, "and so does the noise of each clip"
    assert abs(np.corrcoef(values[:, 0, 0, 0, :8].T) - np.eye(8)).max() < 0.35


def test_signs_are_uniform_to_who_has_no_key() -> None:
    """One payload, many keys: each cell's sign is fair, and so is whether two cells agree."""
    signs = np.stack([
        np.sign(sign_noise((1, 1, 1, 512), PAYLOAD, k.to_bytes(32, "big"), np.random.default_rng(k)))
        for k in range(600)
    ]).reshape(600, -1)  # fmt: skip
    for sample in (signs, signs[:, :-1] * signs[:, 1:], signs[:, :256] * signs[:, 256:]):
        z = sample.sum(0) / np.sqrt(len(sample))
        assert stats.kstest(z, "norm").pvalue > 1e-4
    ones = int((signs > 0).sum())
    assert stats.binomtest(ones, signs.size).pvalue > 1e-3


def test_equal_arguments_give_equal_noise_and_others_do_not() -> None:
    assert np.array_equal(noise(1), noise(1))
    for other in (noise(2), noise(1, PAYLOAD ^ 1), noise(1, key=OTHER)):
        assert not np.array_equal(np.sign(noise(1)), np.sign(other))


@pytest.mark.parametrize("seed", range(3))
def test_a_payload_is_read_through_much_noise(seed: int) -> None:
    found = read_noise(blurred(noise(seed), 2.0), KEY)
    assert (found.found, found.payload) == (True, f"{PAYLOAD:016x}")
    assert found.log10_p <= MAX_LOG10_P
    assert 0.55 < found.accuracy < 0.75


def test_a_known_payload_needs_less() -> None:
    weak = blurred(noise(1), 5.0)
    assert not read_noise(weak, KEY).found
    known = read_noise(weak, KEY, expected=PAYLOAD)
    assert known.found
    assert not read_noise(weak, KEY, expected=PAYLOAD ^ 1 << 30).found
    many = read_noise(weak, KEY, expected=PAYLOAD, tried=10)
    assert many.log10_p == pytest.approx(known.log10_p + 1, abs=0.02)


def test_wrong_keys_and_unmarked_noise_read_nothing() -> None:
    marked, plain = noise(1), np.random.default_rng(3).standard_normal(SHAPE, dtype=np.float32)
    keys = [bytes([k]) * 32 for k in range(130, 160)]
    bounds = [read_noise(marked, k).log10_p for k in keys] + [read_noise(plain, k).log10_p for k in keys]
    assert min(bounds) > MAX_LOG10_P / 3
    known = [read_noise(marked, k, expected=PAYLOAD).log10_p for k in keys]
    assert min(known) > -3, "60 readings, each with at most that chance"


def test_a_replaced_frame_and_region_show() -> None:
    found = noise(1)
    fresh = np.random.default_rng(9).standard_normal(SHAPE, dtype=np.float32)
    found[2] = fresh[2]
    found[0, :2, :2] = fresh[0, :2, :2]
    mark = read_noise(blurred(found, 1.0), KEY)
    assert mark.found
    assert mark.frames[2] < 4 < mark.frames[[0, 1, 3]].min()
    assert abs(mark.places[0, :2, :2].mean()) < 1.5 < mark.places[0, 2:, 2:].mean()


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(UsageError, match="16 random bytes"):
        sign_noise(SHAPE, 1, b"short", np.random.default_rng(1))
    with pytest.raises(UsageError, match="shape"):
        sign_noise((1, 0, 1, 1), 1, KEY, np.random.default_rng(1))
    with pytest.raises(UsageError, match="finite"):
        read_noise(np.full(SHAPE, np.nan, np.float32), KEY)
    with pytest.raises(UsageError, match="weights"):
        read_noise(noise(1), KEY, weights=np.full(SHAPE[3], -1.0))
    with pytest.raises(UsageError, match="one clip"):
        read_noise(noise(1)[0], KEY)


def test_the_code_is_a_stable_format() -> None:
    """From key and payload alone, on any machine: a change here needs a new scheme name."""
    assert (LEAVES, SCHEME) == (64, "io.github.sorakit.latent.1")
    assert np.packbits(noise(1) > 0)[:6].tolist() == GOLDEN


GOLDEN = [251, 98, 88, 175, 228, 80]
