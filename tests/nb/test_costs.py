"""Thresholds by their cost: against a plain search, and by slider as by call."""

import sys
from typing import Any

import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.nb import ThresholdCost


@pytest.fixture
def drawn() -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    y = np.r_[np.ones(70, int), np.zeros(50, int)]
    return np.round(rng.normal(0, 1, 120) + 1.5 * y, 1), y


def plain(s: Any, y: Any, t: float, *, base: float, miss: float, alarm: float) -> float:
    flagged = s >= t
    return float(
        1000 * (base * (1 - flagged[y == 1].mean()) * miss + (1 - base) * flagged[y == 0].mean() * alarm)
    )


@pytest.mark.parametrize(
    ("base", "miss", "alarm"), [(0.3, 2, 1), (0.01, 30, 1), (0.001, 1, 5), (0.5, 1000, 0.1)]
)
def test_the_best_threshold_is_the_cheapest_of_all(
    drawn: tuple[Any, Any], base: float, miss: float, alarm: float
) -> None:
    s, y = drawn
    costs = ThresholdCost(s, y)
    best = costs.best(base=base, miss=miss, alarm=alarm)
    every = [plain(s, y, t, base=base, miss=miss, alarm=alarm) for t in [*s, np.inf]]
    assert best.cost == pytest.approx(min(every))
    assert plain(s, y, best.threshold, base=base, miss=miss, alarm=alarm) == pytest.approx(best.cost)
    assert best.low <= best.cost + 1e-9
    assert best.cost <= best.high + 1e-9


def test_any_threshold_can_be_asked(drawn: tuple[Any, Any]) -> None:
    s, y = drawn
    costs = ThresholdCost(s, y)
    for t in (-9.0, 0.05, 0.6, 1.0, 99.0):
        out = costs.at(t, base=0.1, miss=3, alarm=1)
        assert out.cost == pytest.approx(plain(s, y, t, base=0.1, miss=3, alarm=1))
        assert out.caught + out.missed == pytest.approx(100)
    assert costs.at(-9.0, base=0.1, miss=3, alarm=1).alarms == pytest.approx(900)
    assert "flags are right" in str(costs.at(0.6, base=0.1, miss=3, alarm=1))
    assert str(costs.at(np.inf, base=0.1, miss=3, alarm=1)).startswith("flag nothing costs 300")


def test_the_interval_covers_what_other_samples_give() -> None:
    rng = np.random.default_rng(0)
    y = np.r_[np.ones(80, int), np.zeros(80, int)]
    truth, inside = 1000 * (0.1 * 0.5 * 4 + 0.9 * 0.158655), 0  # N(1, 1) and N(0, 1) at 1
    for _ in range(60):
        out = ThresholdCost(rng.normal(0, 1, 160) + y, y).at(1.0, base=0.1, miss=4, alarm=1)
        inside += out.low <= truth <= out.high
    assert inside >= 52


def test_wrong_input_is_refused(drawn: tuple[Any, Any]) -> None:
    s, y = drawn
    for scores, labels in ((s[:5], y), (s, y * 0), (s, y + 1), (s * np.nan, y), (s[:, None], y)):
        with pytest.raises(UsageError, match="`labels`"):
            ThresholdCost(scores, labels)
    costs = ThresholdCost(s, y)
    for base in (0.0, 1.0, 5):
        with pytest.raises(UsageError, match="`base`"):
            costs.best(base=base, miss=1, alarm=1)
    with pytest.raises(UsageError, match="`miss`"):
        costs.best(base=0.1, miss=-1, alarm=1)


def test_the_sliders_move_curve_and_words(drawn: tuple[Any, Any]) -> None:
    pytest.importorskip("ipywidgets")
    pytest.importorskip("matplotlib")
    costs = ThresholdCost(*drawn)
    base, miss, alarm, own, picture, words = costs.widget().children
    before, said = bytes(picture.value), words.value
    assert before.startswith(b"\x89PNG")
    base.value = 0.2
    assert bytes(picture.value) != before
    assert words.value != said
    assert str(costs.best(base=0.2, miss=miss.value, alarm=alarm.value)) in words.value
    own.value = own.max
    assert f"Yours: threshold {own.max:.3f}" in words.value


def test_a_better_detector_dips_lower() -> None:
    y = np.r_[np.ones(200, int), np.zeros(200, int)]
    noise = np.random.default_rng(1).normal(0, 1, 400)
    weak, strong = (ThresholdCost(noise + gap * y, y) for gap in (0.5, 3.0))
    asked = {"base": 0.2, "miss": 5.0, "alarm": 1.0}
    assert strong.best(**asked).cost < weak.best(**asked).cost


def test_without_widgets_it_says_what_to_call(
    drawn: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[object] = []
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(display, "display", shown.append)
    ThresholdCost(*drawn)._ipython_display_()
    assert "tc.best(base=" in str(shown[0])
