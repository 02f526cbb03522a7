"""Three stages on three threads: a source, a piece of work, a sink; bounded between them.

In: an iterable and two functions. Out: nothing; the sink has seen every item, in order. Codecs, OpenCV and
numpy release the interpreter's lock, so decoding, filtering and encoding do run at the same time.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Generator
from typing import Generic, TypeVar

__all__ = ["run_stages"]

A = TypeVar("A")
B = TypeVar("B")

_POLL = 0.1


class _End:
    """Marks the end of a queue."""


class _Halt(Exception):  # noqa: N818 — control flow, never seen outside
    """Another stage has failed or finished early."""


def run_stages(
    source: Generator[A, None, None], work: Callable[[A], B], sink: Callable[[B], None], *, depth: int = 6
) -> None:
    """Feed each item of `source` through `work` to `sink`; at most `depth` items wait between two stages.

    The source and the work get a thread each; the sink runs in the caller's, so its callbacks and Ctrl-C
    arrive there. The first error of any stage stops all, closes the source and is raised here.

    >>> seen = []
    >>> run_stages((i for i in range(3)), lambda i: i * i, seen.append)
    >>> seen
    [0, 1, 4]
    """
    stop, failures = threading.Event(), list[BaseException]()
    raw, done = _Pipe[A](depth, stop), _Pipe[B](depth, stop)

    def produce() -> None:
        with contextlib.closing(source):
            for item in source:
                raw.put(item)
        raw.put(_End)

    def transform() -> None:
        for item in raw:
            done.put(work(item))
        done.put(_End)

    threads = [
        threading.Thread(target=_guarded, args=(stage, stop, failures), daemon=True)
        for stage in (produce, transform)
    ]
    for thread in threads:
        thread.start()
    try:
        for item in done:
            sink(item)
    except _Halt:
        pass  # the failure that caused it is raised below
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


def _guarded(stage: Callable[[], None], stop: threading.Event, failures: list[BaseException]) -> None:
    try:
        stage()
    except _Halt:
        return
    except BaseException as error:  # handed to the caller's thread, which raises it
        failures.append(error)
        stop.set()


class _Pipe(Generic[A]):
    """A bounded queue that gives up, on both ends, once `stop` is set."""

    def __init__(self, depth: int, stop: threading.Event) -> None:
        self._queue: queue.Queue[A | type[_End]] = queue.Queue(depth)
        self._stop = stop

    def put(self, item: A | type[_End]) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=_POLL)
                return
        raise _Halt

    def __iter__(self) -> Generator[A, None, None]:
        while not self._stop.is_set():
            try:
                item = self._queue.get(timeout=_POLL)
            except queue.Empty:
                continue
            if item is _End:
                return
            yield item  # type: ignore[misc]
        raise _Halt
