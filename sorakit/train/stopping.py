"""Ends a run in good order: SIGTERM and Ctrl-C are noted, and the loop stops after its step."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["stoppable"]


@contextmanager
def stoppable() -> Iterator[list[int]]:
    """A list that SIGTERM or SIGINT makes non-empty; the old handlers come back at the end.

    A second Ctrl-C ends at once, without a checkpoint.

    >>> with stoppable() as stop:
    ...     stop
    []
    """
    caught: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and signal.SIGINT in caught:
            raise KeyboardInterrupt
        caught.append(number)

    names = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(s, note) for s in names]
    try:
        yield caught
    finally:
        for name, handler in zip(names, before, strict=True):
            signal.signal(name, handler)
