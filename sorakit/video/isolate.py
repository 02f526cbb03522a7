"""Run one function in a child process that cannot take the parent down with it.

In: `module:function` of this package and a JSON object. Out: the JSON object it returned, or the kit's error
that it raised. The child gets bounds on memory and CPU time, no terminal, no core file, and dies with the
parent. Only JSON crosses, both ways; pass bytes as base64 or hex.
"""

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import sorakit
from sorakit import errors
from sorakit.errors import InputError, LimitError, SorakitError, UsageError
from sorakit.types import Progress

__all__ = ["run_guarded"]

_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+:[A-Za-z_]\w*")
_MAX_REPLY = 64 << 20
_STDERR_TAIL = 4096


def run_guarded(
    target: str,
    request: dict[str, Any],
    *,
    timeout: float,
    memory_bytes: int,
    on_progress: Progress | None = None,
    package: str = "sorakit",
    stall: float | None = None,
) -> dict[str, Any]:
    """Call `target(request, progress)` in a child process and return the dict that it returns.

    `target` is `"module:function"` inside `package`; the function takes the request and a
    `sorakit.types.Progress`, and returns what JSON can hold. `timeout`: wall seconds, start-up included;
    `stall`: of them at most so many without a progress call. `memory_bytes`: address space beyond what the
    child needs to start (Linux). The child's progress calls reach `on_progress` in this thread.

    Raises the kit's error that the function raised; `LimitError` past the time or memory; `InputError` if the
    child crashed or broke. Ctrl-C here ends the child.

    >>> run_guarded("sorakit.video.probe:probe_task", {"path": "clip.mp4"},
    ...             timeout=10, memory_bytes=1 << 30)  # doctest: +SKIP
    """
    if not _TARGET.fullmatch(target) or not target.startswith(package + "."):
        raise UsageError(f"`target` must be a `module:function` inside `{package}`, got {target!r}")
    setup = {"target": target, "memory_bytes": memory_bytes, "cpu_seconds": _cpu_seconds(timeout)}
    payload = json.dumps({"setup": setup, "request": request}).encode() + b"\n"
    with _child() as process:
        return _Conversation(process, timeout, stall, memory_bytes).run(payload, on_progress)


def _cpu_seconds(timeout: float) -> int:
    """A bound that only a runaway reaches: every core busy for the whole time."""
    return int(timeout * (os.cpu_count() or 1)) + 5


@contextlib.contextmanager
def _child() -> Iterator[subprocess.Popen[bytes]]:
    # -P keeps the current folder, which may be full of foreign files, off the child's module path.
    command = [sys.executable, "-P", "-m", "sorakit.video._child", str(os.getpid())]
    home = str(Path(sorakit.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(  # noqa: S603 — fixed arguments, no shell
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
        # Its own session: Ctrl-C in the terminal reaches this process alone, which then ends the child.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        if hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


class _Conversation:
    """One request and its answer; two threads pump the child's pipes so that neither side can block."""

    def __init__(
        self, process: subprocess.Popen[bytes], timeout: float, stall: float | None, memory: int
    ) -> None:
        self._process = process
        self._deadline = time.monotonic() + timeout
        self._step = timeout if stall is None else min(stall, timeout)
        self._memory = memory
        self._lines: queue.Queue[bytes] = queue.Queue(maxsize=4)
        self._noise = b""

    def run(self, payload: bytes, on_progress: Progress | None) -> dict[str, Any]:
        pumps = [
            threading.Thread(target=self._send, args=(payload,), daemon=True),
            threading.Thread(target=self._receive, daemon=True),
            threading.Thread(target=self._drain, daemon=True),
        ]
        for pump in pumps:
            pump.start()
        try:
            return self._read_answer(on_progress)
        finally:
            _end(self._process)
            while any(pump.is_alive() for pump in pumps):
                with contextlib.suppress(queue.Empty):  # a pump may wait for room in the queue
                    self._lines.get(timeout=0.01)

    def _read_answer(self, on_progress: Progress | None) -> dict[str, Any]:
        while True:
            left = min(self._step, self._deadline - time.monotonic())
            try:
                line = self._lines.get(timeout=max(0.0, left))
            except queue.Empty:
                raise LimitError(
                    f"processing took longer than {self._step:g} s and was stopped; "
                    "the file may be built to stall readers, or raise the time limit"
                ) from None
            if not line:
                raise self._crash()
            message = _parse(line)
            if "progress" in message:
                if on_progress is not None:
                    name, share = message["progress"]
                    on_progress(str(name), min(1.0, max(0.0, float(share))))
            elif "error" in message:
                raise self._error(message)
            elif isinstance(message.get("result"), dict):
                return dict(message["result"])

    def _send(self, payload: bytes) -> None:
        pipe = self._process.stdin
        if pipe is not None:
            with contextlib.suppress(OSError, ValueError):  # the child died: its exit code tells
                pipe.write(payload)
                pipe.flush()  # and stays open: its end tells the child that we are gone

    def _receive(self) -> None:
        pipe: IO[bytes] | None = self._process.stdout
        line = b""
        with contextlib.suppress(OSError, ValueError):
            while pipe is not None and (line := pipe.readline(_MAX_REPLY)):
                self._lines.put(line)
        self._lines.put(b"")

    def _drain(self) -> None:
        pipe = self._process.stderr
        with contextlib.suppress(OSError, ValueError):
            while pipe is not None and (chunk := os.read(pipe.fileno(), 65536)):
                self._noise = (self._noise + chunk)[-_STDERR_TAIL:]

    def _crash(self) -> SorakitError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1)
        code = self._process.poll() or 0
        cause = f"exit code {code}"
        if code < 0:
            cause = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        if cause in ("SIGXCPU", "SIGKILL"):
            return LimitError(f"processing used too much time or memory and was ended ({cause})")
        error = InputError(f"the file made its reader crash ({cause}); it is damaged or hostile")
        if self._noise:
            error.add_note(self._noise.decode("utf-8", "replace"))
        return error

    def _error(self, message: dict[str, Any]) -> SorakitError:
        name, text = str(message["error"]), str(message.get("message", ""))
        if name == "MemoryError":
            return LimitError(
                f"processing needs more than {self._memory >> 20} MB of memory; "
                "raise SORAKIT_LIMITS__MEMORY_BYTES if you trust the file"
            )
        kind = getattr(errors, name, None) if name in errors.__all__ else None
        error = (
            kind(text)
            if kind is not None
            else InputError(f"the file could not be processed ({name}: {text})")
        )
        if message.get("trace"):
            error.add_note(str(message["trace"]))
        return error


def _parse(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError("the file's reader gave an answer that is not JSON, or one over 64 MB") from error
    return message if isinstance(message, dict) else {}
