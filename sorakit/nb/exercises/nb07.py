"""Exercises of notebook 07: a power law with its interval, the operations of a step, a size held back."""

import json
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from sorakit.model.dit import forward_flops
from sorakit.model.family import on_meta
from sorakit.nb.exercise import Exercise, call, near, numbers
from sorakit.train.scaling import fit_power_law

__all__ = ["EXERCISES"]

Floats = npt.NDArray[np.float64]

_DRAWS, _LEAST = 24, 16  # intervals, and how many of them must hold the truth: fewer is bad luck of 1 in 1000
_FROM = 400  # steps
_ROOM = 1.5
"""How much further off than the sizes held back in turn the largest may be: it lies outside of them all."""


def _line(x: Floats, y: Floats) -> Floats:
    """Slope and height in logarithms."""
    return np.polyfit(np.log(x), np.log(y), 1)


def _power_law(answer: Any) -> str | None:
    rng = np.random.default_rng()
    hits, widths = 0, []
    for _ in range(_DRAWS):
        count, truth, noise = int(rng.integers(8, 15)), rng.uniform(-1.2, 1.5), rng.uniform(0.03, 0.15)
        x = np.geomspace(rng.uniform(1, 5), rng.uniform(50, 1000), count)
        y = rng.uniform(0.1, 10) * x**truth * np.exp(noise * rng.normal(size=count))
        got = numbers(call(answer, x.copy(), y.copy()))
        if got.shape != (3,):
            return f"return three numbers: exponent, low, high; yours has the shape {got.shape}"
        exponent, low, high = got
        if hint := near(exponent, _line(x, y)[0], _slope(exponent, x, y), 1e-3):
            return hint
        if not low < exponent < high:
            return "the interval is low first, then high, and the exponent lies between them"
        hits += int(low <= truth <= high)
        rest = np.log(y) - np.polyval(_line(x, y), np.log(x))
        error = np.sqrt((rest**2).sum() / (count - 2) / (np.log(x).var() * count))
        widths.append((high - low) / (4 * error))
    if np.median(widths) > 2 or hits < _LEAST or np.median(widths) < 0.4:
        return (
            f"your intervals held the truth {hits} times of {_DRAWS} and are {np.median(widths):.1f} times "
            "as wide as theory has it; draw the points themselves, x with y, and take 2.5 % and 97.5 %"
        )
    return None


def _slope(got: float, x: Floats, y: Floats) -> str:
    """What is wrong with this exponent."""
    if near(got, 1 / _line(x, y)[0], "no", 0.05) is None or near(got, _line(y, x)[0], "no") is None:
        return "x and y are exchanged: the exponent is how y falls when x grows"
    if near(got, np.polyfit(x, y, 1)[0], "no") is None:
        return "this is the slope of y against x; take logarithms of both"
    if near(got, np.polyfit(np.log(x), y, 1)[0], "no") is None:
        return "y needs its logarithm too"
    return "the exponent is the least-squares slope of log y against log x, over all the points"


def _flops(answer: Any) -> str | None:
    rng = np.random.default_rng()
    for _ in range(5):
        heads, depth, words = (int(rng.integers(*ends)) for ends in ((1, 5), (1, 7), (0, 12)))
        patch, grid = (2, int(rng.choice([4, 8])), 4), rng.integers(1, 5, 3)
        width = 16 * heads
        model = on_meta(
            {
                "patch": patch,
                "width": width,
                "depth": depth,
                "heads": heads,
                "text_width": 32,
                "joint_text": True,
            }
        )
        n, size = int(grid.prod()), int(np.prod(patch)) * 3
        frames, height, across = (int(g * p) for g, p in zip(grid, patch, strict=True))
        wanted = 3 * forward_flops(model, frames, height, across, words)
        got = numbers(call(answer, n, words, width, depth, size))
        if hint := near(got / wanted, 1.0, _missing(got / wanted) if got.ndim == 0 else "", 1e-6):
            return hint
    return None


def _missing(share: Floats) -> str:
    for factor, says in (
        (1 / 3, "that is the forward pass; training costs three times as much"),
        (1 / 2, "a multiply-add is two operations"),
        (1 / 6, "a multiply-add is two operations, and training costs three forward passes"),
    ):
        if abs(share - factor) < 1e-6:
            return says
    return (
        f"yours is {share:.3f} of the count; words go through the blocks as patches do but not through the "
        "first and last layer, the modulation is once a clip, and attention grows with m²"
    )


def _predict(answer: Any) -> str | None:
    rng = np.random.default_rng()
    x = np.geomspace(1e4, 1e6, 7)
    exponent = float(rng.uniform(-0.5, -0.1))
    got, wanted = numbers(call(answer, x.copy(), 40 * x**exponent, 3e6)), 40 * 3e6**exponent
    if got.shape:
        return f"one number was expected, got an array of shape {got.shape}"
    if abs(got / wanted - 1) > 0.03:
        return f"on a pure power law you say {got:.3f} where {wanted:.3f} follows; fit in logarithms of both"
    for step, sizes, losses in _stored():
        room = _ROOM * _held_back(sizes[:-1], losses[:-1])
        got = numbers(call(answer, sizes[:-1].copy(), losses[:-1].copy(), float(sizes[-1])))
        off = got / losses[-1] - 1
        if not abs(off) <= room:
            way = "low: does the loss go on falling along a straight line?" if off < 0 else "high"
            return (
                f"after {step} steps you say {got:.3f}, the run came to {losses[-1]:.3f}, {100 * off:+.1f} % "
                f"off; half as much again as the sizes held back in turn is {100 * room:.1f} %. Too {way}"
            )
    return None


def _stored() -> list[tuple[int, Floats, Floats]]:
    """Of the stored runs, from some hundred steps on: (step, sizes, losses)."""
    text = (files("sorakit.nb") / "data" / "scaling.json").read_text()
    points = [p for p in json.loads(text)["points"] if p["seed"] == 0 and p["step"] >= _FROM]
    out = []
    for step in sorted({p["step"] for p in points}):
        there = sorted((p["parameters"], p["loss"]) for p in points if p["step"] == step)
        sizes, losses = np.array(there, float).T
        out.append((step, sizes, losses))
    return out


def _held_back(x: Floats, y: Floats) -> float:
    """The largest error of a fit with a floor where each point is held back in turn, as a share."""
    errors = []
    for i in range(len(x)):
        law = fit_power_law(np.delete(x, i), np.delete(y, i))
        errors.append(abs(law.at(x[i]) / y[i] - 1))
    return float(max(errors))


EXERCISES = (
    Exercise("07.1", "The exponent of a power law with its bootstrap interval", _power_law),
    Exercise("07.2", "The operations of a DiT's training step", _flops),
    Exercise("07.3", "The loss of a size that was held back", _predict),
)
