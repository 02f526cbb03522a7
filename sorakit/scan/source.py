"""Where the files of a scan are: a folder here, or a place that fsspec reaches by its URL.

In: a path or a URL. Out: `Entry`s, and each as a file on this machine for as long as it is read. A file from
elsewhere is downloaded block by block under limits on size and time and gone afterwards. Nothing is asked
over the network unless the URL says so, and names from elsewhere never become paths here.
"""

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import url2pathname

from sorakit.batch.plan import walk, wanted
from sorakit.errors import InputError, LimitError, UsageError
from sorakit.video.stores import MAX_STORE, places_beside

__all__ = ["MAX_SECONDS", "Entry", "Folder", "Remote", "Source", "identity", "open_source", "printable"]

MAX_SECONDS = 900.0
"""Wall time of one download."""
_BLOCK = 1 << 20
_URL = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file.

    `name`: relative, with `/`; `version`: changes when the file does; `beside`: credentials of its own in
    other files, by full remote name.
    """

    name: str
    size: int
    version: str
    beside: tuple[str, ...] = ()


class Source(Protocol):
    """A place with files."""

    @property
    def title(self) -> str:
        """What reports call it: no absolute path and no password."""

    def entries(self) -> list[Entry]:
        """The files to scan, sorted by name. Raises `UsageError` or `InputError` where there is no place."""

    def fetched(self, entry: Entry, max_bytes: int, folder: Path | None) -> Any:
        """A context manager that gives the file's path here. Raises `InputError` and `LimitError`."""

    def link(self, name: str, out: Path) -> str | None:
        """An address for a page in `out`, or None."""


def open_source(text: str, out: Path | None = None, pattern: str | None = None) -> Source:
    """The folder or URL that `text` names; `out` inside a folder is passed over.

    Raises `UsageError`: no such folder, a chained URL, fsspec or the URL's own package missing.

    >>> open_source("file:///tmp").title
    'tmp'
    """
    if text.lower().startswith("file:"):
        text = url2pathname(urlsplit(text).path)
    elif _URL.match(text) and "://" in text:
        return Remote(text, pattern)
    path = Path(text)
    if not path.exists():
        raise UsageError(f"`scan` takes a folder, a file or a URL, got {text}; there is no such folder")
    return Folder(path, out, pattern)


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder here, or a single file."""

    path: Path
    out: Path | None = None
    pattern: str | None = None

    @property
    def title(self) -> str:
        """The folder's own name."""
        return printable(self.path.absolute().name or "/")

    def entries(self) -> list[Entry]:
        """Hidden files, links and the scan's own output are passed over."""
        if self.path.is_file():
            return [Entry(self.path.name, self.path.stat().st_size, _version(self.path))]
        names = sorted(n for n in walk(self.path, self.out or self.path / "..") if wanted(n, self.pattern))
        found = []
        for name in names:
            path = self.path / name
            try:
                found.append(Entry(name, path.stat().st_size, _version(path)))
            except OSError:  # it went away meanwhile
                continue
        return found

    @contextmanager
    def fetched(self, entry: Entry, max_bytes: int, folder: Path | None) -> Iterator[Path]:
        """The file itself, where it is."""
        path = self.path if self.path.is_file() else self.path / entry.name
        _must_fit(entry.size, max_bytes)
        yield path

    def link(self, name: str, out: Path) -> str | None:
        """A relative link; None where there is none (another drive)."""
        path = self.path if self.path.is_file() else self.path / name
        try:
            relative = os.path.relpath(path.absolute(), out.absolute())
        except ValueError:
            return None
        return quote(relative.replace(os.sep, "/"), errors="surrogateescape")


@dataclass(frozen=True, slots=True)
class Remote:
    """What fsspec reaches: `s3://bucket/day1`, `memory://clips`, …; the URL's package must be installed."""

    url: str
    pattern: str | None = None

    @property
    def title(self) -> str:
        """The URL without user, password and query."""
        parts = urlsplit(self.url)
        place = parts.netloc.rpartition("@")[2]
        return printable(urlunsplit((parts.scheme, place, parts.path, "", "")))

    def entries(self) -> list[Entry]:
        """One listing of everything below the URL."""
        fs, root = self._open()
        listing: dict[str, dict[str, Any]] = _asked(lambda: fs.find(root, detail=True), "list it")
        found = []
        for path, info in listing.items():
            name = path[len(root) :].strip("/") if path.startswith(root) else ""
            name = name or PurePosixPath(path).name  # the URL of a single file
            hidden = any(part.startswith(".") for part in name.split("/"))
            # Of a single file some backends say nothing.
            if hidden or info.get("type", "file") != "file" or not wanted(name, self.pattern):
                continue
            place = PurePosixPath(path)
            beside = [str(place.with_name(p.name)) for p in places_beside(Path(place.name))]
            own = tuple(b for b in beside if b in listing)
            facts = [str(sorted((k, str(v)) for k, v in listing[b].items())) for b in (path, *own)]
            version = hashlib.sha256("\n".join(facts).encode("utf-8", "replace")).hexdigest()[:32]
            found.append(Entry(name, int(info.get("size") or 0), version, own))
        return sorted(found, key=lambda e: e.name)

    @contextmanager
    def fetched(self, entry: Entry, max_bytes: int, folder: Path | None) -> Iterator[Path]:
        """A copy under a name of ours, gone with its folder when the block is left."""
        _must_fit(entry.size, max_bytes)
        fs, root = self._open()
        suffix = PurePosixPath(entry.name).suffix
        safe = suffix if _SUFFIX.fullmatch(suffix) else ""
        end = time.monotonic() + MAX_SECONDS
        with tempfile.TemporaryDirectory(prefix="sorakit-scan-", dir=folder) as here:
            path = Path(here) / f"clip{safe}"
            # Asked only where it may be one: over HTTP a listing, too, passes for a file.
            single = entry.name == PurePosixPath(root).name and _asked(lambda: fs.isfile(root), "open it")
            whole = root if single else f"{root.rstrip('/')}/{entry.name}"
            _asked(lambda: _download(fs, whole, path, max_bytes, end), "download it")
            for there in entry.beside:
                ending = ".c2pa" if not there.startswith(whole) else f"{safe}.c2pa"
                store = path.with_name(f"clip{ending}")
                _asked(partial(_download, fs, there, store, MAX_STORE, end), "download it")
            yield path

    def link(self, name: str, out: Path) -> str | None:
        """Only web addresses open from a page."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https"):
            return None
        place = parts.netloc.rpartition("@")[2]
        path = parts.path.rstrip("/")
        if PurePosixPath(path).name != name:  # else the URL is that of the file
            path += f"/{quote(name, safe='/%')}"  # names of web listings are quoted already
        return urlunsplit((parts.scheme, place, path, "", ""))

    def _open(self) -> tuple[Any, str]:
        try:
            urlsplit(self.url)
        except ValueError as e:
            raise UsageError(f"the URL cannot be read: {e}; check it") from e
        if "::" in self.url:
            raise UsageError(f"a chained URL is not scanned, got {self.title}; unpack the archive first")
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415 - an extra
        except ImportError as e:
            raise UsageError("URLs need fsspec: pip install 'sorakit[scan]'") from e
        try:
            fs, root = url_to_fs(self.url)
        except (ImportError, ValueError) as e:
            raise UsageError(f"{self.title} cannot be opened: {e}; install its package for fsspec") from e
        except Exception as e:  # some backends connect here, some want more than a URL
            text = " ".join(str(e).split())[:300]
            raise InputError(
                f"{self.title} cannot be opened ({type(e).__name__}: {text}); check the URL and permissions"
            ) from e
        return fs, str(root)


def identity(path: Path) -> tuple[str, str]:
    """`(key, sha256)` of a file: the key holds its SHA-256 and that of a credential in a file beside it."""
    with path.open("rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    parts = [digest]
    for place in places_beside(path):
        if place.is_file():
            with place.open("rb") as f:
                parts.append(hashlib.sha256(f.read(MAX_STORE + 1)).hexdigest())
    return "-".join(parts), digest


def printable(name: str) -> str:
    """A name fit for UTF-8: bytes that are none are written out, so that two names stay two.

    >>> printable("é.mp4")
    'é.mp4'
    """
    return name.encode("utf-8", "backslashreplace").decode()


def _version(path: Path) -> str:
    facts = []
    for place in (path, *places_beside(path)):
        if place.is_file():
            state = place.stat()
            facts.append(f"{state.st_size}-{state.st_mtime_ns}")
    return "+".join(facts)


def _must_fit(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise LimitError(
            f"it has {size} bytes, the limit is {max_bytes}; raise SORAKIT_LIMITS__MAX_BYTES to allow it"
        )


def _download(fs: Any, name: str, path: Path, max_bytes: int, end: float) -> None:
    done = 0
    with fs.open(name, "rb") as there, path.open("wb") as here:
        while block := there.read(_BLOCK):
            done += len(block)
            _must_fit(done, max_bytes)  # the listing may have said less
            if time.monotonic() > end:
                raise LimitError(f"downloading took longer than {MAX_SECONDS:g} s and was stopped")
            here.write(block)


def _asked(step: Callable[[], Any], what: str) -> Any:
    """Whatever a backend raises becomes one line: each has errors of its own, some of no common kind."""
    try:
        return step()
    except (LimitError, InputError):
        raise
    except Exception as e:
        text = " ".join(str(e).split())[:300]
        raise InputError(f"cannot {what} ({type(e).__name__}: {text}); check the URL and permissions") from e
