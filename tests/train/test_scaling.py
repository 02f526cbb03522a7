"""Points of the scaling law: what they count, that sizes share their clips, that the loss falls."""

import math

import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.model.dit import forward_flops
from sorakit.train.scaling import SIZES, HeldOut, fit_power_law, grow, recipe_of
from sorakit.train.trainer import Trainer


@pytest.fixture(scope="module")
def held_out() -> HeldOut:
    return HeldOut(8)


def test_a_point_counts_what_was_spent(held_out: HeldOut) -> None:
    said: list[int] = []
    points = list(grow([(8, 1), (16, 1)], [2, 1, 2], 3, batch=2, held_out=held_out, report=said.append))
    assert [(p.width, p.step, p.clips, p.seed) for p in points] == [
        (8, 1, 2, 3), (16, 1, 2, 3), (8, 2, 4, 3), (16, 2, 4, 3)
    ]  # fmt: skip
    assert said == [1, 2]
    trainer = Trainer(recipe_of(16, 1))
    one = 3 * forward_flops(trainer.pair.dit, 16, 32, 32, words=4)
    assert points[-1].tflop == pytest.approx(4 * one / 1e12)
    assert points[-1].parameters == sum(p.numel() for p in trainer.pair.dit.parameters())


def test_training_lowers_the_held_out_loss_and_repeats(held_out: HeldOut) -> None:
    first, last = grow([(16, 1)], [1, 40], batch=4, held_out=held_out)
    assert last.loss < 0.97 * first.loss
    alone = next(iter(grow([(16, 1)], [1], batch=4, held_out=held_out)))
    beside = list(grow([(8, 1), (16, 1)], [1], batch=4, held_out=held_out))[1]
    assert alone.loss == beside.loss == first.loss


def test_the_held_out_set_spreads_the_levels_and_stays(held_out: HeldOut) -> None:
    (part,) = held_out.parts
    levels = sorted(math.log(s / (1 - s)) for s in part.sigma.tolist())
    assert sum(levels) / 8 == pytest.approx(1.3, abs=1e-4)
    again = HeldOut(8).parts[0]
    assert (again.noisy == part.noisy).all()


def test_the_sizes_grow() -> None:
    counts = [sum(p.numel() for p in Trainer(recipe_of(*s)).pair.dit.parameters()) for s in SIZES]
    assert counts == sorted(counts)
    assert counts[-1] > 50 * counts[0]


def test_what_cannot_run_is_refused(held_out: HeldOut) -> None:
    for width, depth in ((4, 1), (12, 1), (16, 0)):
        with pytest.raises(UsageError, match="multiple of 8"):
            recipe_of(width, depth)
    for sizes, steps in (([], [1]), ([(8, 1)], []), ([(8, 1)], [0])):
        with pytest.raises(UsageError, match="must name some"):
            next(iter(grow(sizes, steps, held_out=held_out)))


@pytest.mark.parametrize("floor", [0.0, 0.5])
def test_a_power_law_is_found_again(floor: float) -> None:
    x = np.geomspace(1e4, 1e6, 8)
    law = fit_power_law(x, floor + 100 * x**-0.5)
    assert law.floor == pytest.approx(floor, abs=0.01)
    assert law.exponent == pytest.approx(-0.5, abs=0.01)
    assert law.at(1e7) == pytest.approx(floor + 100 * 1e7**-0.5, rel=0.02)
    plain = fit_power_law(x, 100 * x**-0.5, floor=False)
    assert (plain.floor, plain.exponent) == (0, pytest.approx(-0.5))


def test_no_law_without_enough_points() -> None:
    for x, y in (([1, 2], [1, 2]), ([1, 2, 3], [1, 2]), ([0, 1, 2], [1, 2, 3])):
        with pytest.raises(UsageError, match="3 pairs"):
            fit_power_law(x, y)
