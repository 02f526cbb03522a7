import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorakit.errors import UsageError
from sorakit.intervals import Share, difference, effective_clips, share, wilson

Rows = npt.NDArray[np.float64]


def draw(rng: np.random.Generator, n: int, seeds: int, p: float, alike: float) -> Rows:
    """`n` prompts obeyed with share `p`; `alike` 0: seeds independent, 1: all of a prompt the same."""
    if alike == 0:
        q = np.full(n, p)
    elif alike == 1:
        q = (rng.random(n) < p).astype(float)
    else:
        a = (1 - alike) / alike
        q = rng.beta(p * a, (1 - p) * a, n)
    return (rng.random((n, seeds)) < q[:, None]).astype(float)


@pytest.mark.parametrize("alike", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("p", [0.5, 0.9, 0.97])
@pytest.mark.parametrize("n", [20, 100])
def test_intervals_hold_the_truth_however_alike_the_seeds_are(n: int, p: float, alike: float) -> None:
    rng = np.random.default_rng([n, int(100 * p), int(10 * alike)])
    found = [share(draw(rng, n, 3, p, alike)) for _ in range(800)]
    held = np.mean([s.low <= p <= s.high for s in found])
    assert held >= 0.92  # 800 draws; Wilson itself swings between .93 and .97 as n and p vary


def test_taking_clips_as_independent_would_not() -> None:
    rng = np.random.default_rng(1)
    rows = [draw(rng, 100, 3, 0.9, 0.7) for _ in range(500)]
    naive = [wilson(float(r.mean()), r.size) for r in rows]
    assert np.mean([low <= 0.9 <= high for low, high in naive]) < 0.88


def test_seeds_of_their_own_narrow_the_interval() -> None:
    rng = np.random.default_rng(2)
    one, three = (np.mean([s.high - s.low for s in (share(draw(rng, 100, k, 0.8, 0.1)) for _ in range(200))])
                  for k in (1, 3))  # fmt: skip
    assert three < 0.8 * one


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_one_seed_is_wilsons_interval(hits: list[bool]) -> None:
    rows = np.array(hits, float)[:, None]
    assert effective_clips(rows) == pytest.approx(len(hits))
    assert share(rows).ci == wilson(float(rows.mean()), len(hits))


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 2**32 - 1), st.booleans())
def test_effective_clips_lie_between_prompts_and_clips(n: int, seeds: int, seed: int, parts: bool) -> None:
    rows = np.random.default_rng(seed).random((n, seeds))
    rows = rows if parts else rows.round()
    assert n - 1e-9 <= effective_clips(rows) <= n * seeds + 1e-9
    found = share(rows)
    assert 0 <= found.low <= found.mean <= found.high <= 1


def test_no_failure_is_not_surer_than_it_can_be() -> None:
    perfect, one = np.ones((50, 3)), np.ones((50, 3))
    one[0, 0] = 0
    assert effective_clips(perfect) == pytest.approx(50)
    assert share(one).low < share(perfect).low


def test_wilson_as_tabled() -> None:
    assert wilson(0.0, 10) == [0.0, 0.2775]
    assert wilson(1.0, 10) == [0.7225, 1.0]


def test_differences_hold_the_truth() -> None:
    rng = np.random.default_rng(3)
    held = []
    for _ in range(800):
        gap = difference(share(draw(rng, 60, 3, 0.8, 0.5)), share(draw(rng, 60, 3, 0.95, 0.5)))
        held.append(gap.low <= -0.15 <= gap.high)
    assert np.mean(held) >= 0.93


def test_differences_are_newcombes() -> None:
    # table II of Newcombe 1998, cases (a) 56/70 − 48/80 and (c) 9/10 − 3/10, method 10
    def of(hits: int, n: int) -> Share:
        return share(np.array([1.0] * hits + [0.0] * (n - hits))[:, None])

    assert difference(of(56, 70), of(48, 80)).ci == pytest.approx([0.0524, 0.3339], abs=2e-4)
    assert difference(of(9, 10), of(3, 10)).ci == pytest.approx([0.1705, 0.8090], abs=2e-4)


@pytest.mark.parametrize("values", [[], [0.5], [[2.0]], [[-0.1]], np.empty((0, 3))], ids=str)
def test_what_is_no_table_of_shares_is_refused(values: npt.ArrayLike) -> None:
    with pytest.raises(UsageError, match="prompts, seeds"):
        share(values)
