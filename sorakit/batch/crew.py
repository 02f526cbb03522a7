"""Several worker processes that work on files side by side, and what they report, in one place.

In: orders (plain JSON) and the module that the workers run. Out: an iterator of events `(number of the order,
message)`, in the caller's thread. A worker that dies fails its file and is replaced; leaving the block early
stops all as Ctrl-C would.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import sorakit

__all__ = ["Crew", "Prepare"]

_PATIENCE = 20.0
"""Seconds that a worker has to clean up after itself."""

Event = tuple[int, dict[str, Any]]

Prepare = Callable[[dict[str, Any]], AbstractContextManager[tuple[dict[str, Any] | None, dict[str, Any]]]]
"""Makes an order ready in the thread of the worker that takes it: `(order, {})`, or `(None, answer)` where no
worker is needed. The block is left when the order is answered. It must not raise."""


class Crew:
    """`jobs` workers; use as a context manager.

    `hello`: JSON, the first line that each worker reads. `worker`: its module (`sorakit.batch.serving`).
    """

    def __init__(
        self,
        jobs: int,
        hello: dict[str, Any],
        *,
        worker: str = "sorakit.batch.worker",
        prepare: Prepare | None = None,
    ) -> None:
        self._hello = json.dumps(hello).encode() + b"\n"
        self._worker, self._prepare = worker, prepare or _as_it_is
        self._orders: queue.Queue[tuple[int, dict[str, Any]] | None] = queue.Queue()
        self._events: queue.Queue[Event] = queue.Queue()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock, self._stopping = threading.Lock(), False
        self._open = 0
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(jobs)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> "Crew":
        """Nothing to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what still runs, and wait until it has cleaned up."""
        with self._lock:
            self._stopping = True
            running = list(self._running)
        for _thread in self._threads:
            self._orders.put(None)
        for process in running:
            with contextlib.suppress(OSError):
                process.terminate()
        for process in running:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        for thread in self._threads:
            thread.join(_PATIENCE)

    @property
    def busy(self) -> int:
        """Orders given and not answered."""
        return self._open

    def give(self, number: int, order: dict[str, Any]) -> None:
        """Hand an order to the next worker that is free."""
        self._open += 1
        self._orders.put((number, order))

    def events(self, *, until: int = 0) -> Iterator[Event]:
        """Progress and answers as they come, until at most `until` orders are open."""
        while self._open > until:
            number, message = self._events.get()
            if "progress" not in message:
                self._open -= 1
            yield number, message

    def _serve(self) -> None:
        """One thread, one worker process at a time."""
        process: subprocess.Popen[bytes] | None = None
        while (job := self._orders.get()) is not None and not self._stopping:
            number, order = job
            with self._prepare(order) as (ready, answer):
                if ready is None:
                    self._events.put((number, answer))
                    continue
                try:
                    process = self._alive(process)
                    self._ask(process, number, ready)
                except OSError as e:
                    self._events.put((number, {"failed": f"no worker process: {e}", "error": "OSError"}))
        if process is not None:
            _end(process)

    def _alive(self, process: "subprocess.Popen[bytes] | None") -> "subprocess.Popen[bytes]":
        if process is not None and process.poll() is None:
            return process
        if process is not None:
            _end(process)
        home = str(Path(sorakit.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
        with self._lock:
            if self._stopping:
                raise OSError("stopped")
            # Its own session: Ctrl-C in the terminal reaches this process alone, which then ends the workers.
            process = subprocess.Popen(  # noqa: S603 - our own module, no shell
                [sys.executable, "-P", "-m", self._worker],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": path},
                start_new_session=True,
            )
            self._running.add(process)
        _pipe(process.stdin).write(self._hello)
        return process

    def _ask(self, process: "subprocess.Popen[bytes]", number: int, order: dict[str, Any]) -> None:
        pipe = _pipe(process.stdin)
        pipe.write(json.dumps(order).encode() + b"\n")
        pipe.flush()
        for line in _pipe(process.stdout):
            message = json.loads(line)
            self._events.put((number, message))
            if "progress" not in message:
                return
        code = process.wait()
        self._events.put((number, {"failed": f"the worker process ended (code {code})", "error": "Crash"}))


@contextlib.contextmanager
def _as_it_is(order: dict[str, Any]) -> Iterator[tuple[dict[str, Any] | None, dict[str, Any]]]:
    yield order, {}


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Close both pipes and wait: at the end of its orders the worker leaves."""
    with contextlib.suppress(OSError), process:
        pass


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:  # never: both are asked for above
        raise OSError("the worker has no pipe")
    return pipe
