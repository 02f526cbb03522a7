import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sorakit.watermark.gate import MAX_LOG10_P, log10_bound, log10_chernoff, within_reach
from sorakit.watermark.payload import ID_BITS, VERSION

KNOWN = VERSION << ID_BITS
FIRST = {"rank": 1, "payload": KNOWN}
UNION = (61 * math.log(2) + math.log(2)) / math.log(10)


@given(arrays(np.float64, 404, elements=st.floats(-5, 5)))
def test_it_is_a_probability_and_no_looser_than_hoeffding(agreement: np.ndarray) -> None:
    bound = log10_bound(agreement, **FIRST)
    total, energy = agreement.sum(), (agreement**2).sum()
    assert bound <= 0
    if total > 0 and energy > 1e-6:
        hoeffding = -(total**2) / (2 * energy) / math.log(10) + UNION
        assert bound <= max(-0.0, hoeffding) + 0.02 * abs(hoeffding) + 1e-6


def test_near_exact_where_it_can_be_counted() -> None:
    """All 404 equal weights agree: one sign pattern in 2^404."""
    assert math.isclose(log10_chernoff(np.ones(404)), -404 * math.log10(2), rel_tol=1e-3)
    assert math.isclose(log10_bound(np.ones(404), **FIRST), UNION - 404 * math.log10(2), rel_tol=1e-3)


def test_it_bounds_what_coins_do() -> None:
    rng = np.random.default_rng(0)
    weights = rng.exponential(size=100)
    logs = [log10_chernoff(weights * rng.choice([-1.0, 1.0], 100)) for _ in range(4000)]
    for level in (-0.5, -1, -1.5, -2):
        assert np.mean(np.array(logs) <= level) <= 10**level


def test_nothing_and_nonsense_are_no_evidence() -> None:
    assert log10_bound(np.zeros(404), **FIRST) == 0
    assert log10_bound(np.full(404, np.nan), **FIRST) == 0
    assert log10_bound(-np.ones(404), **FIRST) == 0


def test_the_budget_of_all_code_words_and_ranks_is_one() -> None:
    """Each word at each rank takes 10^(chernoff - bound) of the budget; together that is at most 1."""
    ones = np.ones(404)

    def taken(rank: int, payload: int) -> float:
        return 10 ** (log10_chernoff(ones) - log10_bound(ones, rank=rank, payload=payload))

    words = 2.0**60 * taken(1, KNOWN) + 15 * 2.0**60 * taken(1, 0)
    assert words <= 0.5  # rank 1 has half of everything
    assert sum(taken(i, 0) for i in range(1, 2000)) <= 2 * taken(1, 0)


@given(arrays(np.float64, 404, elements=st.floats(-5, 5)), st.integers(1, 40), st.floats(0, 500))
def test_what_passes_the_gate_was_within_reach_of_the_best_fit(
    agreement: np.ndarray, rank: int, better: float
) -> None:
    """Giving up a decode early must never cost one that would have passed."""
    agreement = np.abs(agreement) * np.where(np.arange(404) % 8, 1, -1)
    if log10_bound(agreement, rank=rank, payload=KNOWN) <= MAX_LOG10_P:
        assert within_reach(agreement, float(agreement.sum()) + better, rank=rank)


def test_noise_is_out_of_reach() -> None:
    rng = np.random.default_rng(0)
    weights = rng.exponential(size=404)
    assert not within_reach(weights, 6 * float(np.sqrt(np.sum(weights**2))), rank=1)
    assert within_reach(weights, 14 * float(np.sqrt(np.sum(weights**2))), rank=1)
