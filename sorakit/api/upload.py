"""Read an uploaded video: to a private temporary file, then in a guarded child, then gone.

In: a request whose body is a file. Out: its mark and fingerprint. This process never parses the bytes; what
goes wrong is told in fixed words, since an error's own words may name a path.
"""

import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import HTTPException

from sorakit.config import Limits
from sorakit.errors import InputError, LimitError
from sorakit.registry.fingerprint import Fingerprint
from sorakit.video.guard import prescan, run_guarded

__all__ = ["Seen", "look_at"]


@dataclass(frozen=True, slots=True)
class Seen:
    """`mark`: (algorithm, payload in hex) if one was found. `fingerprint`: None for a still picture."""

    mark: tuple[str, str] | None
    fingerprint: Fingerprint | None


async def look_at(body: AsyncIterator[bytes], limits: Limits, seconds: float) -> Seen:
    """What the file shows. `seconds`: wall time for reading it.

    Raises `HTTPException`: 415 for what is no video that can be read, 413 for what costs too much.
    """
    with tempfile.TemporaryDirectory(prefix="sorakit-upload-") as folder:
        path = Path(folder) / "upload"
        with path.open("xb") as file:
            async for chunk in body:
                file.write(chunk)
        try:
            return await anyio.to_thread.run_sync(_look, path, limits, seconds, abandon_on_cancel=False)
        except LimitError as e:
            raise HTTPException(413, "the file is too large, or takes too long or too much to read") from e
        except InputError as e:
            raise HTTPException(415, "the body is no video that can be read") from e


def _look(path: Path, limits: Limits, seconds: float) -> Seen:
    from sorakit.inspect_file import Findings  # noqa: PLC0415 - loads c2pa, for the first upload

    prescan(path, limits)
    request: dict[str, Any] = {
        "path": str(path),
        "trust": {},
        "max_pixels": limits.max_pixels,
        "max_duration": limits.max_duration,
        "fingerprint": True,
    }
    answer = run_guarded(
        "sorakit.inspect_file:inspect_file",
        request,
        timeout=min(seconds, limits.check_seconds),
        memory_bytes=limits.memory_bytes,
    )
    found = Findings.from_json(answer)
    mark = found.watermark
    named = mark.found and mark.algorithm is not None and mark.payload is not None
    return Seen((str(mark.algorithm), str(mark.payload)) if named else None, found.fingerprint)
