"""Each exercise takes a right answer and turns down at least two typical wrong ones, each with a hint."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.nb import check
from sorakit.nb.exercise import call, exercises, near, same

CASES = Path(__file__).parent / "cases"


@pytest.fixture
def cases(book: Any) -> dict[str, Any]:
    """`RIGHT` and `WRONG` of a notebook: by exercise, what is given to `check` after the key."""
    return runpy.run_path(str(CASES / f"nb{book.number}.py"))


def test_right_answers_pass(book: Any, cases: dict[str, Any]) -> None:
    assert [e.key for e in exercises(book.number)] == list(cases["RIGHT"]) == list(cases["WRONG"])
    for key, given in cases["RIGHT"].items():
        assert repr(check(key, *given)) == f"{key}: right"


def test_wrong_answers_get_a_hint_each(book: Any, cases: dict[str, Any]) -> None:
    for key, many in cases["WRONG"].items():
        assert len(many) >= 2, key
        for given in many:
            assert repr(check(key, *given)).startswith(f"{key}: not quite; "), (key, given)


def test_no_answer_is_not_done_yet(book: Any, cases: dict[str, Any]) -> None:
    for key, (_, *given) in cases["RIGHT"].items():
        for nothing in (None, ...):
            assert repr(check(key, nothing, *given)) == f"{key}: not done yet"


def test_answers_of_another_kind_get_a_hint_too(book: Any, cases: dict[str, Any]) -> None:
    kinds = ("text", {"a": 1}, (0.5, (0.1, 0.9)), np.zeros(2), np.zeros((2, 3)), [np.zeros(2)])
    for key, (right, *given) in cases["RIGHT"].items():
        for kind in kinds:
            answer = (lambda *_args, kind=kind: kind) if callable(right) else kind
            assert repr(check(key, answer, *given)).startswith(f"{key}: not quite; "), (key, kind)


def test_a_right_mean_by_level_is_right_whatever_is_drawn() -> None:
    (by_level,) = runpy.run_path(str(CASES / "nb05.py"))["RIGHT"]["05.1"]
    assert {repr(check("05.1", by_level)) for _ in range(300)} == {"05.1: right"}


def test_unknown_exercises_are_refused() -> None:
    with pytest.raises(UsageError, match="must look like"):
        check("4.2", 1)
    with pytest.raises(UsageError, match=r"no exercise 00\.9"):
        check("00.9", 1)
    with pytest.raises(UsageError, match="notebook '77'"):
        check("77.1", 1)


def test_answers_are_compared_kindly() -> None:
    assert same(" Blue", "blue", "h") is None
    assert same(1, True, "h") == "h"
    assert near([1, 2.00001], [1, 2], "h") is None
    assert near("red", 1.0, "h") == "numbers were expected, got str"
    assert near([[1.0]], [1.0], "h") == "its shape is (1, 1), expected (1,)"
    assert (
        "<b>" not in check("00.1", "<b>no", *runpy.run_path(str(CASES / "nb00.py"))["RIGHT"]["00.1"][1:]).html
    )


def test_a_readers_fault_becomes_a_hint() -> None:
    from sorakit.nb import exercise  # noqa: PLC0415

    with pytest.raises(exercise.NotDoneError):
        call(lambda x: ..., 1)
    with pytest.raises(Exception, match="raised ZeroDivisionError"):
        call(lambda x: x / 0, 1)
    with pytest.raises(Exception, match="a function was expected, got int"):
        call(3)
