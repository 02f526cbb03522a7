"""Credentials that stand beside a file: WebM and Matroska have no place for a manifest store inside.

In: a video's path. Out: where its `.c2pa` file is, and its bytes. C2PA 2.4, section 11.4 (external
manifests): the file's name with `.c2pa` for its ending; `NAME.webm.c2pa` is read too.
"""

from pathlib import Path

from sorakit.errors import LimitError
from sorakit.video.stores import MAX_STORE, places_beside

__all__ = ["MAX_SIDECAR", "SIDECAR_TYPES", "find_sidecar", "read_sidecar", "sidecar_of"]

SIDECAR_TYPES = {".webm": "video/webm", ".mkv": "video/x-matroska"}
"""Endings of files whose manifest store stands beside them, and their MIME types."""

MAX_SIDECAR = MAX_STORE


def sidecar_of(path: Path) -> Path:
    """Where the manifest store of `path` is written.

    >>> sidecar_of(Path("clip.webm")).name
    'clip.c2pa'
    """
    return path.with_suffix(".c2pa")


def find_sidecar(path: Path) -> Path | None:
    """The `.c2pa` file that belongs to `path`, or None: `clip.webm.c2pa` before `clip.c2pa`."""
    return next((p for p in places_beside(path) if p.is_file()), None)


def read_sidecar(path: Path) -> bytes | None:
    """The manifest store beside `path`, or None where there is none.

    Raises `LimitError` for one over 64 MiB, `OSError` for one that cannot be read.
    """
    found = find_sidecar(path)
    if found is None:
        return None
    with found.open("rb") as f:
        data = f.read(MAX_SIDECAR + 1)
    if len(data) > MAX_SIDECAR:
        raise LimitError(f"{found.name} is over {MAX_SIDECAR >> 20} MiB, too large for a credential")
    return data
