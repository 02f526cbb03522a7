"""The worker's side of a crew: orders as JSON lines on stdin, answers on what was stdout.

In, first line: the hello; then an order a line. Out: any number of `{"progress": […]}`, then `{"done": {…}}`
or `{"failed": …}` for each order. SIGTERM ends it as Ctrl-C would, so that a half-made file goes away; so
does the end of stdin, between two files.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, NoReturn

from sorakit.errors import SorakitError

__all__ = ["STOPPED", "Answer", "Send", "serve"]

STOPPED = 130

Send = Callable[[dict[str, Any]], None]
Answer = Callable[[dict[str, Any], Send], dict[str, Any]]
"""Does one order; may send progress; returns what `done` holds, or raises one of the kit's errors."""


def serve(begin: Callable[[dict[str, Any]], AbstractContextManager[Answer]]) -> int:
    """Serve orders until stdin ends; `begin` takes the hello. Returns the process's exit code."""
    signal.signal(signal.SIGTERM, _stop)
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # prints of native libraries cannot break the protocol

    def send(line: dict[str, Any]) -> None:
        channel.write(json.dumps(line).encode() + b"\n")
        channel.flush()

    try:
        with begin(json.loads(sys.stdin.buffer.readline())) as answer:
            for line in sys.stdin.buffer:
                try:
                    send({"done": answer(json.loads(line), send)})
                except SorakitError as e:
                    send({"failed": str(e), "error": type(e).__name__})
    except (KeyboardInterrupt, BrokenPipeError):
        return STOPPED
    return 0


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
