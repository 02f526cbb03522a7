"""Steps that belong together: SIGINT and SIGTERM wait until they are done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["hold_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def hold_signals() -> Iterator[None]:
    """Within the block neither Ctrl-C nor SIGTERM interrupts; one that came is raised at its end.

    For blocks of milliseconds. Other threads are never interrupted by signals, so there it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {s: h for s in _SIGNALS if (h := signal.getsignal(s)) not in (None, signal.SIG_IGN)}
    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
