"""Exercises that check themselves: an answer is judged and a hint given, never the solution.

In: the number of an exercise ("04.2") and what the reader made: a value or a function. Out: one line, as
HTML and as text. What is right lies in `sorakit.nb.exercises`, a module a notebook, loaded when asked.
"""

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import escape

from sorakit.errors import UsageError
from sorakit.nb.view import View

__all__ = ["Exercise", "NotDoneError", "call", "check", "exercises", "near", "numbers", "same"]

_KEY = re.compile(r"(\d\d)\.(\d)")


class NotDoneError(Exception):
    """The reader has not answered yet."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise: `judge(answer, *given)` is None when the answer is right, else a hint for this mistake.

    `asks`: what is asked, in a line, for the instructor's list. A judge calls the reader's functions
    through `call` only; what else it raises counts as its own fault.
    """

    key: str
    asks: str
    judge: Callable[..., str | None]


def check(key: str, answer: Any, *given: Any) -> View:
    """Judge the answer to exercise `key`; `given`: what the answer depends on, as the notebook passes it.

    An answer that is still None or `...`, or a function that returns one of them, is not done yet, so that a
    notebook also runs unsolved. Raises `UsageError` for an exercise that does not exist.

    >>> check("00.2", None)
    00.2: not done yet
    """
    exercise = _find(key)
    try:
        _require(answer)
        hint = exercise.judge(answer, *given)
    except NotDoneError:
        return View(f'<p role="status">{key}: not done yet</p>', f"{key}: not done yet")
    if hint is None:
        return View(f'<p role="status"><strong>✓ {key}: right</strong></p>', f"{key}: right")
    text = f"{key}: not quite; {hint}"
    return View(f'<p role="status">{escape(text)}</p>', text)


def exercises(notebook: str) -> tuple[Exercise, ...]:
    """The exercises of a notebook ("04"). Raises `UsageError` for a notebook without any."""
    name = f"sorakit.nb.exercises.nb{notebook}"
    try:
        found: tuple[Exercise, ...] = importlib.import_module(name).EXERCISES
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UsageError(f"no exercises belong to notebook {notebook!r}; its number has two digits") from None
    return found


def call(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """What the reader's function returns; where it is still empty or fails, `check` says so in its place."""
    if not callable(function):
        raise _FailedError(f"a function was expected, got {type(function).__name__}")
    try:
        result = function(*args, **options)
    except NotImplementedError:
        raise NotDoneError from None
    except Exception as error:
        raise _FailedError(f"your function raised {type(error).__name__}: {error}") from error
    _require(result)
    return result


def near(got: Any, wanted: Any, hint: str, tolerance: float = 1e-4) -> str | None:
    """None where numbers, arrays or tensors agree in shape and within `tolerance`, absolute and relative.

    >>> near([1.0, 2.0], [1.0, 2.5], "look at the second one")
    'look at the second one'
    >>> near([1.0], [1.0, 2.0], "look again")
    'its shape is (1,), expected (2,)'
    """
    try:
        a, b = (np.asarray(_plain(x), dtype=float) for x in (got, wanted))
    except (TypeError, ValueError):
        return f"numbers were expected, got {type(got).__name__}"
    if a.shape != b.shape:
        return f"its shape is {a.shape}, expected {b.shape}"
    return None if np.allclose(a, b, rtol=tolerance, atol=tolerance) else hint


def numbers(got: Any) -> npt.NDArray[np.float64]:
    """What the reader's function returned, as an array; where it is no such thing, `check` says so.

    >>> numbers([1, 2])
    array([1., 2.])
    """
    try:
        return np.asarray(_plain(got), dtype=float)
    except (TypeError, ValueError):
        raise _FailedError(f"numbers were expected, got {type(got).__name__} {got!r:.80}") from None


def same(got: Any, wanted: Any, hint: str) -> str | None:
    """None where both are equal; text without regard to case and outer spaces.

    >>> same(" Blue", "blue", "look at the card")
    """
    a, b = (x.strip().casefold() if isinstance(x, str) else x for x in (got, wanted))
    return None if type(a) is type(b) and a == b else hint


class _FailedError(Exception):
    """The reader's code failed; the message is the hint."""


def _find(key: str) -> Exercise:
    match = _KEY.fullmatch(key)
    if match is None:
        raise UsageError(f'`key` must look like "04.2", got {key!r}')
    for exercise in exercises(match[1]):
        if exercise.key == key:
            return _forgiving(exercise)
    raise UsageError(f"there is no exercise {key}")


def _forgiving(exercise: Exercise) -> Exercise:
    """The exercise with a judge that turns failures of the reader's code into hints."""

    def judge(answer: Any, *given: Any) -> str | None:
        try:
            return exercise.judge(answer, *given)
        except _FailedError as error:
            return str(error)

    return Exercise(exercise.key, exercise.asks, judge)


def _require(answer: Any) -> None:
    if answer is None or answer is ...:
        raise NotDoneError


def _plain(value: Any) -> Any:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value
