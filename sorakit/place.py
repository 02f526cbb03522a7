"""Put a finished file in its place: checked before the work, made in a hidden folder, moved in one step.

In: the path that a published file shall have. Out: a folder to work in that is gone afterwards, and the
rename, which never replaces a file that nobody allowed to be replaced.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sorakit.errors import OutputError, UsageError
from sorakit.hold import hold_signals
from sorakit.provenance.session import SIGNABLE, from_signer
from sorakit.provenance.sidecar import SIDECAR_TYPES, find_sidecar, sidecar_of
from sorakit.types import Clip

__all__ = ["check_output", "in_place", "move", "workplace"]

_WORK = ".sorakit-"
_STALE_SECONDS = 24 * 3600


def check_output(
    output: Path, *, overwrite: bool, source: Clip | Path | None = None, others: Sequence[Path] = ()
) -> None:
    """Refuse an output that could not be written at the end, or is an input, before any work is done.

    `others`: further files that go into it.
    """
    if output.suffix.lower() not in SIGNABLE:
        raise UsageError(f"`output` must end in {', '.join(SIGNABLE)}, got {output.name}")
    try:
        output.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # told below
    except OSError as e:  # a name longer than the file system takes
        raise OutputError(f"cannot write {output}: {e.strerror}; choose another name") from e
    if not output.parent.is_dir():
        raise OutputError(f"the folder {output.parent} does not exist; make it first")
    if not os.access(output.parent, os.W_OK):
        raise OutputError(f"no permission to write into {output.parent}; choose another folder")
    if output.is_dir():
        raise OutputError(f"{output} is a folder; name a file in it")
    if output.suffix.lower() in SIDECAR_TYPES:
        _check_sidecar(sidecar_of(output), overwrite=overwrite, source=source)
    if not output.exists():
        return
    inputs = [*([source] if isinstance(source, Path) else []), *others]
    if any(path.exists() and output.samefile(path) for path in inputs):
        raise UsageError(f"`output` must be another file than the input, got {output} for both")
    if not overwrite:
        raise UsageError(f"{output} exists; choose another name, or allow replacing it with --force")


def _check_sidecar(sidecar: Path, *, overwrite: bool, source: Clip | Path | None) -> None:
    """The credential's own file may be replaced like the video, but never the source's."""
    if not sidecar.exists():
        return
    if isinstance(source, Path) and (own := find_sidecar(source)) and own.samefile(sidecar):
        raise UsageError(f"{sidecar} is the input's credential; choose another name for the output")
    if not overwrite:
        raise UsageError(f"{sidecar} exists; choose another name, or allow replacing it with --force")


@contextmanager
def workplace(output: Path) -> Iterator[Path]:
    """A hidden folder on the output's file system, removed whatever happens in it, or while it goes away."""
    for old in output.parent.glob(f"{_WORK}*"):  # what a killed process left behind
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > _STALE_SECONDS:
                with _in_use(old):
                    shutil.rmtree(old)
    folder: Path | None = None
    try:
        with hold_signals():
            folder = Path(tempfile.mkdtemp(prefix=_WORK, dir=output.parent))
        with _in_use(folder):
            yield folder
    except OSError as e:
        if from_signer(e):
            raise
        raise OutputError(
            f"cannot write {output}: {e.strerror or e}; check free space and permissions"
        ) from e
    finally:
        if folder is not None:
            with hold_signals():
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _in_use(folder: Path) -> Iterator[None]:
    """Alone with `folder`; raises `BlockingIOError` where somebody else is in such a block."""
    if sys.platform == "win32":
        yield
        return
    import fcntl  # noqa: PLC0415 - not on Windows

    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(handle)


def in_place(signed: Path, output: Path) -> bool:
    """Whether the rename had happened before it was interrupted: then the row has to stay."""
    return not signed.exists() or (output.exists() and output.samefile(signed))


def move(signed: Path, output: Path, *, overwrite: bool, sidecar: Path | None = None) -> None:
    """Move into place; without `overwrite` never over a file that appeared meanwhile.

    `sidecar`: the credential of `signed` in a file of its own. It goes first, so that the video never stands
    there without it, and goes away again (what it replaced comes back) when the video cannot follow.
    """
    if sidecar is None:
        _place(signed, output, overwrite=overwrite)
    else:
        beside = sidecar_of(output)
        kept = sidecar.with_name("replaced.c2pa")
        if overwrite and beside.exists():
            beside.replace(kept)
        try:
            _place(sidecar, beside, overwrite=overwrite)
            _place(signed, output, overwrite=overwrite)
        except BaseException:
            if not in_place(signed, output):
                _take_back(sidecar, beside, kept)
            raise
    with suppress(OSError):  # make the new name last through a power cut, where the system can
        folder = os.open(output.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _place(part: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        part.replace(target)
        return
    try:
        target.hardlink_to(part)
    except FileExistsError as e:
        raise UsageError(f"{target} appeared meanwhile; choose another name, or use --force") from e
    except OSError:  # a file system without hard links
        if target.exists():
            raise UsageError(f"{target} appeared meanwhile; choose another name, or use --force") from None
        part.replace(target)


def _take_back(part: Path, target: Path, kept: Path) -> None:
    """Undo the placing of a sidecar; one that somebody else put there stays."""
    if kept.exists():
        kept.replace(target)
    elif not part.exists() or (target.exists() and target.samefile(part)):
        target.unlink(missing_ok=True)
