"""Small private files (keys, salts): only this user may read them, and they appear whole or not at all.

In: a path and bytes. Out: the same bytes again, or an `IdentityError` when the file may not be used.
"""

import os
import secrets
import stat
from pathlib import Path

from sorakit.errors import IdentityError

__all__ = ["private_dir", "read_private", "write_private"]

MAX_BYTES = 1 << 20


def private_dir(path: Path) -> Path:
    """Create `path` with mode 0700 if it is missing; refuse one that others may enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise IdentityError(
            f"the key folder must be closed to others (mode 0700), got {mode:04o} on {path}; "
            f"run: chmod 700 {path}"
        )
    return path


def read_private(path: Path, *, follow: bool = False) -> bytes:
    """The bytes of a file with no access for group and others; links are followed only with `follow`."""
    try:
        handle = os.open(path, os.O_RDONLY | (0 if follow else getattr(os, "O_NOFOLLOW", 0)))
    except OSError as e:
        advice = "" if follow else "; create it with: sorakit keys dev"
        raise IdentityError(f"cannot open {path}: {e.strerror}{advice}") from e
    with os.fdopen(handle, "rb") as f:
        state = os.fstat(f.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise IdentityError(f"{path} must be a regular file")
        if stat.S_IMODE(state.st_mode) & 0o077:
            raise IdentityError(
                f"{path} holds a secret and must be closed to others (mode 0600), "
                f"got {stat.S_IMODE(state.st_mode):04o}; run: chmod 600 {path}"
            )
        if state.st_size > MAX_BYTES:
            raise IdentityError(f"{path} must be under {MAX_BYTES} bytes, got {state.st_size}")
        return f.read(MAX_BYTES)


def write_private(path: Path, data: bytes, *, force: bool = False) -> None:
    """Write `data` with mode 0600 so that a reader sees all of it or nothing, even after a power cut.

    Without `force` an existing file stays as it is and `FileExistsError` is raised, also when two processes
    write at once (the hard link, unlike a rename, fails on an existing name).
    """
    private_dir(path.parent)
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        if force:
            part.replace(path)
        else:
            path.hardlink_to(part)
        _sync_dir(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync_dir(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
