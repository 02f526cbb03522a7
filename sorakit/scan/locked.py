"""One scan at a time in an output folder: the system frees the lock however the process ends.

In: a folder. Out: a block that nobody else is in. Where the system has no `flock`, nothing is held.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sorakit.errors import OutputError, UsageError

__all__ = ["alone"]

_LOCK = ".sorakit-scan-lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Raises `UsageError` while another scan writes into `folder`, `OutputError` where nobody may."""
    if sys.platform == "win32":
        yield
        return
    import fcntl  # noqa: PLC0415 - not on Windows

    try:
        handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as e:
        raise OutputError(f"cannot write into {folder}: {e.strerror}; choose another -o") from e
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            raise UsageError(f"another scan writes into {folder}; wait for it or choose another -o") from e
        yield
    finally:
        os.close(handle)
