"""A file that is on its way to the disk while its maker still reads it back.

C2PA writes a signed file in one go, flushes it and then reads it again to check its hashes. The disk can work
meanwhile: only what it has not done by then is waited for.
"""

import io
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

__all__ = ["EarlySync"]


class EarlySync(io.BufferedRandom):
    """The open file `handle`, which is closed with it: each `flush` of something new begins an fsync.

    After `sync` everything written is on the disk. `OSError` of a write, or of the disk, comes out there at
    the latest.
    """

    def __init__(self, handle: int) -> None:
        super().__init__(io.FileIO(handle, "r+"))
        self._pool = ThreadPoolExecutor(1)
        self._begun: Future[None] | None = None
        self._new = False

    def write(self, data: Any, /) -> int:
        """As of any file."""
        self._new = True
        return super().write(data)

    def flush(self) -> None:
        """Hand what is buffered to the system, which begins to write it down unless it is at it."""
        super().flush()
        if self._new and (self._begun is None or self._begun.done()):
            self._begin()

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        super().flush()
        if self._begun is not None:
            self._begun.result()
        if self._new:
            self._begin().result()

    def close(self) -> None:
        """Close the file, once the disk has what it was given."""
        if self.closed:
            return
        self._new = False
        self._pool.shutdown()
        super().close()

    def _begin(self) -> Future[None]:
        self._new = False
        self._begun = self._pool.submit(os.fsync, self.fileno())
        return self._begun
