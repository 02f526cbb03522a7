"""Each takes (request, progress), as a guarded function does."""

import ctypes
import os
import sys
import time
from pathlib import Path
from typing import Any

from sorakit.errors import NotAVideoError
from sorakit.types import Progress


def echo(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    progress("half", 0.5)
    print("noise on stdout")
    os.write(1, b'{"result": {"forged": true}}\n')
    print("noise on stderr", file=sys.stderr)
    return {"got": request, "cwd_on_path": "" in sys.path or str(Path.cwd()) in sys.path}


def typed(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    raise NotAVideoError("no picture; give another file")


def bug(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    raise KeyError("oops")


def crash(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    ctypes.string_at(0)
    return {}


def sleep(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    Path(request["pid_file"]).write_text(str(os.getpid()))
    time.sleep(60)
    return {}


def spin(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    while True:
        pass


def eat(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    return {"size": len(bytearray(request["bytes"]))}


def large(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    return {"data": "x" * request["bytes"], "echoed": len(request["blob"])}


def leave(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    os._exit(3)


def wrong(request: dict[str, Any], progress: Progress) -> Any:
    return [1]
