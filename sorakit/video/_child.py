"""The child's side of `isolate.run_guarded`: bounds first, then one call, then one line of JSON.

Run as `python -P -m sorakit.video._child PARENT_PID`. The request comes as one line on stdin; progress, the
result or the error leave as JSON lines on what was stdout, which is then out of reach of stray prints.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from sorakit.errors import SorakitError

_PR_SET_PDEATHSIG = 1
_ORPHANED = 75


def main() -> int:
    """Serve one request; returns the exit code."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # prints of native libraries now go to stderr and cannot break the protocol
    _die_with_parent(int(sys.argv[1]))
    message = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_leave_when_closed, args=(sys.stdin.buffer,), daemon=True).start()
    lock = threading.Lock()

    def send(line: dict[str, Any]) -> None:
        with lock:
            channel.write(json.dumps(line).encode() + b"\n")
            channel.flush()

    try:
        send({"result": _call(message["setup"], message["request"], send)})
    except BaseException as error:  # whatever it is, the parent must hear of it
        send(_describe(error))
        return 1
    finally:
        with contextlib.suppress(OSError):
            channel.close()
    return 0


def _call(setup: dict[str, Any], request: dict[str, Any], send: Any) -> dict[str, Any]:
    module, _, name = str(setup["target"]).partition(":")
    function = getattr(importlib.import_module(module), name)
    _bound(int(setup["memory_bytes"]), int(setup["cpu_seconds"]))
    result = function(request, lambda step, share: send({"progress": [step, share]}))
    if not isinstance(result, dict):
        raise TypeError(f"`{setup['target']}` must return a dict, got {type(result).__name__}")
    return result


def _describe(error: BaseException) -> dict[str, Any]:
    line = {"error": type(error).__name__, "message": str(error)}
    if not isinstance(error, SorakitError | MemoryError):
        line["trace"] = "".join(traceback.format_exception(error))[-8000:]
    return line


def _die_with_parent(parent: int) -> None:
    """Ask Linux to end this process with its parent; elsewhere the closed pipe does, a little later."""
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 — costs start-up time where it is not needed

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the call
        os._exit(_ORPHANED)


def _leave_when_closed(pipe: BinaryIO) -> None:
    while pipe.read(65536):
        pass
    os._exit(_ORPHANED)


def _bound(memory_bytes: int, cpu_seconds: int) -> None:
    """Set limits counted from here, so that the size of the imported libraries does not matter."""
    try:
        import resource  # noqa: PLC0415 — POSIX only
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _lower(resource.RLIMIT_CPU, int(used) + cpu_seconds)
    statm = Path("/proc/self/statm")
    if statm.exists():
        pages = int(statm.read_text().split()[0])
        _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + memory_bytes)


def _lower(which: int, value: int) -> None:
    import resource  # noqa: PLC0415 — POSIX only

    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, hard))


if __name__ == "__main__":
    sys.exit(main())
