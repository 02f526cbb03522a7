"""Put the init segment of a stream and its media segments together, so that there are pictures to look at.

In: paths of foreign files. Out: a temporary file for the time of a check. ISO/IEC 14496-12, 8.16 (segments).
"""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sorakit.errors import InputError, LimitError
from sorakit.video.boxes import walk_boxes

if TYPE_CHECKING:  # pydantic takes 0.5 s to import, and bad input has to be answered quickly
    from sorakit.config import Limits

__all__ = ["joined"]

MAX_FRAGMENTS = 10_000


@contextlib.contextmanager
def joined(init: Path, fragments: Sequence[Path], limits: "Limits") -> Iterator[str | None]:
    """A file of all parts in order, removed afterwards; None where there are no fragments.

    Raises `InputError` for a part that is not there or no media segment, `LimitError` when they are too many
    or too large.
    """
    if not fragments:
        yield None
        return
    if len(fragments) > MAX_FRAGMENTS:
        raise LimitError(f"`fragments` must be at most {MAX_FRAGMENTS} files, got {len(fragments)}")
    try:
        total = sum(p.stat().st_size for p in (init, *fragments))
        if total > limits.max_bytes:
            raise LimitError(f"the parts have {total} bytes, the limit is {limits.max_bytes}")
        for part in fragments:
            _look_at(part, limits)
        with tempfile.NamedTemporaryFile(suffix=".mp4") as whole:
            for part in (init, *fragments):
                with part.open("rb") as source:
                    shutil.copyfileobj(source, whole, 1 << 20)
            whole.flush()
            yield whole.name
    except OSError as error:
        raise InputError(f"cannot read a part of the stream: {error.strerror or error}") from error


def _look_at(part: Path, limits: "Limits") -> None:
    if not part.is_file():
        raise InputError(f"no such file: {part}")
    with part.open("rb") as file:
        census = walk_boxes(file, part.stat().st_size, max_boxes=limits.max_boxes)
    if b"moof" not in census.top:
        raise InputError(f"{part.name} is no media segment of a stream (no moof box); name the .m4s files")
