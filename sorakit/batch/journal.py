"""What was done, one JSON object a line, so that a run that was stopped goes on where it was.

In: entries, each on the disk before the next step begins. Out: for an entry's key (in a batch an input's
SHA-256, its output's name and the settings), what became of it. A line that a power cut tore is passed over.
No absolute path stands in it.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from sorakit.errors import OutputError

__all__ = ["JOURNAL", "Journal"]

JOURNAL = "sorakit-batch.jsonl"
_MAX_LINE = 1 << 20

Key = tuple[str, ...]
"""The values of the fields that make an entry replace an earlier one."""


class Journal:
    """The journal in a folder, open for adding; use it as a context manager. Made on the first entry.

    `name`: of the file. `fields`: what the key of an entry is made of.
    """

    def __init__(
        self,
        folder: Path,
        name: str = JOURNAL,
        fields: tuple[str, ...] = ("input_sha256", "output", "settings"),
    ) -> None:
        self._path, self._fields = folder / name, fields
        self._file: BinaryIO | None = None
        self._last: dict[Key, dict[str, Any]] = {}
        self._torn = False
        self._read()

    def _read(self) -> None:
        try:
            with self._path.open("rb") as f:
                for line in iter(lambda: f.readline(_MAX_LINE), b""):
                    self._torn = not line.endswith(b"\n")
                    with contextlib.suppress(ValueError, KeyError, TypeError):
                        entry = json.loads(line)
                        self._last[self._key(entry)] = entry
        except FileNotFoundError:
            return
        except OSError as e:
            raise OutputError(f"cannot read {self._path}: {e.strerror}; move it away to start anew") from e

    def __enter__(self) -> "Journal":
        """Nothing to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def last(self, key: Key) -> dict[str, Any] | None:
        """The newest entry with this key."""
        return self._last.get(key)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The newest entry of each key."""
        return iter(list(self._last.values()))

    def add(self, entry: dict[str, Any]) -> None:
        """Write one entry through to the disk. Raises `OutputError`."""
        try:
            if self._file is None:
                self._file = self._path.open("ab")
                if self._torn:
                    self._file.write(b"\n")
            self._file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as e:
            raise OutputError(f"cannot write {self._path}: {e.strerror}; check free space") from e
        self._last[self._key(entry)] = entry

    def _key(self, entry: dict[str, Any]) -> Key:
        return tuple(str(entry[field]) for field in self._fields)
