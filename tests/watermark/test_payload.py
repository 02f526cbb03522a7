import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorakit.errors import UsageError
from sorakit.watermark.payload import CODED_BITS, ID_BITS, VERSION, decode, encode, new_payload, split

payloads = st.integers(0, 2**64 - 1)


@given(payloads)
def test_what_is_encoded_decodes(payload: int) -> None:
    assert decode(encode(payload).astype(np.float32)) == payload


@given(payloads, payloads)
def test_code_words_lie_far_apart(a: int, b: int) -> None:
    distance = int(np.count_nonzero(encode(a) != encode(b)))
    assert distance == 0 if a == b else distance >= 24


def test_new_payloads_carry_the_version_and_differ() -> None:
    many = {new_payload() for _ in range(100)}
    assert len(many) == 100
    assert {split(p)[0] for p in many} == {VERSION}
    assert max(split(p)[1] for p in many).bit_length() > ID_BITS - 12


def _noisy(payload: int, energy: float, rng: np.random.Generator) -> np.ndarray:
    amplitude = np.sqrt(energy / CODED_BITS)
    return (amplitude * encode(payload) + rng.standard_normal(CODED_BITS)).astype(np.float32)


def test_soft_decoding_corrects_a_fifth_of_wrong_signs() -> None:
    rng = np.random.default_rng(0)
    right = 0
    for _ in range(20):
        payload = int(rng.integers(2**63))
        soft = _noisy(payload, 320, rng)
        assert np.mean(np.sign(soft) != encode(payload)) > 0.1
        right += decode(soft) == payload
    assert right >= 18


def test_a_list_decodes_what_the_best_path_misses() -> None:
    rng = np.random.default_rng(1)
    words = [(p := int(rng.integers(2**63)), _noisy(p, 180, rng)) for _ in range(30)]
    single = sum(decode(soft) == p for p, soft in words)
    listed = sum(decode(soft, list_size=256) == p for p, soft in words)
    assert listed >= single + 5
    assert listed >= 24


def test_noise_decodes_to_nothing() -> None:
    rng = np.random.default_rng(2)
    soft = rng.standard_normal((40, CODED_BITS)).astype(np.float32)
    assert all(decode(row, list_size=256) is None for row in soft)


def test_the_fit_that_is_asked_about_is_the_best_of_all_words() -> None:
    rng = np.random.default_rng(3)
    payload = int(rng.integers(2**63))
    soft = _noisy(payload, 320, rng)
    asked: list[float] = []

    def hopeful(fit: float) -> bool:
        asked.append(fit)
        return fit > 1e9

    assert decode(soft) == payload
    assert decode(soft, list_size=256, hopeful=hopeful) is None
    fits = [float(soft @ encode(int(p))) for p in (payload, *rng.integers(2**63, size=20))]
    assert asked == [pytest.approx(fits[0], rel=1e-4)]
    assert max(fits) == fits[0]


@pytest.mark.parametrize("payload", [-1, 2**64])
def test_a_payload_that_does_not_fit_is_refused(payload: int) -> None:
    with pytest.raises(UsageError, match="64 bits"):
        encode(payload)


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(UsageError, match="shape"):
        decode(np.zeros(383, np.float32))


def test_the_code_is_a_stable_format() -> None:
    """Marks in the world must stay readable: a change here needs a new algorithm name."""
    word = np.packbits(encode(0x1234567890ABCDEF) < 0).tobytes()
    assert word.hex() == GOLDEN


GOLDEN = "000fa594c1238fd285f2fba69f112bb6c8e5bc1d9d9345396cf766d718837c34c866d8b2bd79b1d70017c42a517a583f"
