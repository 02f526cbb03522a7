"""Look at a foreign file before any parser does: whether it is there, a video's kind, and no bomb.

In: a path and `sorakit.config.Limits`. Out: the container's name, or one of the kit's errors, in well under
0.1 s. Also gives `run_guarded` its public name: parsing itself happens in a child process (`isolate`).
"""

import codecs
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from sorakit.errors import InputError, LimitError, NotAVideoError
from sorakit.video.boxes import walk_boxes
from sorakit.video.chunks import WALKERS, Pieces
from sorakit.video.isolate import run_guarded
from sorakit.video.stores import MAX_STORE, check_store, places_beside

if TYPE_CHECKING:  # pydantic takes 0.5 s to import, and bad input has to be answered quickly
    from sorakit.config import Limits

__all__ = ["Prescan", "prescan", "run_guarded", "sniff"]

Kind = Literal["video", "image"]

_IMAGE_BRANDS = frozenset(b"heic heix heim heis mif1 avif mif2 miaf MA1A MA1B".split())
_ISO_FIRST = frozenset(b"ftyp moov mdat free skip wide pnot moof styp sidx uuid prft emsg".split())

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (0, b"\x89PNG\r\n\x1a\n", "png_pipe"),
    (0, b"\xff\xd8\xff", "jpeg_pipe"),
    (0, b"II*\0", "tiff_pipe"),
    (0, b"MM\0*", "tiff_pipe"),
    (0, b"OggS", "ogg"),
    (0, b"FLV\x01", "flv"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"\x06\x0e\x2b\x34", "mxf"),
    (0, b"DKIF", "ivf"),
    (0, b"YUV4MPEG2 ", "yuv4mpegpipe"),
    (0, b"\0\0\x01\xba", "mpeg"),
    (0, b"\0\0\x01\xb3", "mpegvideo"),
    (4, b"jP  ", "j2k_pipe"),
    (4, b"JXL ", "jpegxl_pipe"),
)

_SOUND: tuple[tuple[int, bytes], ...] = (
    (0, b"ID3"),
    (0, b"fLaC"),
    (8, b"WAVE"),
    (0, b"\xff\xfb"),
    (0, b"\xff\xf3"),
    (0, b"\xff\xf1"),
    (0, b"\xff\xf9"),
)

_SIDECARS = frozenset({"matroska", "mpegts", "ogg", "flv", "mpeg"})
"""Containers without a place for a manifest store: theirs is a file beside them."""

_IMAGES = frozenset({"png_pipe", "jpeg_pipe", "tiff_pipe", "j2k_pipe", "jpegxl_pipe", "webp_pipe", "heif"})


@dataclass(frozen=True, slots=True)
class Prescan:
    """What a file claims to be. `format`: FFmpeg's name of the container; `boxes`: ISO-BMFF boxes, or 0."""

    format: str
    kind: Kind
    size: int
    boxes: int = 0


def prescan(path: str | Path, limits: "Limits") -> Prescan:
    """Check that a file is worth parsing; reads a few bytes of it and follows its box headers.

    Raises `InputError` (missing, unreadable, cut off), `NotAVideoError` (another kind of file) or
    `LimitError` (too large, too many boxes). Each message is one line and says what to do.
    """
    path = Path(path)
    size = _regular_size(path)
    if size == 0:
        raise NotAVideoError(f"{path.name} is empty (0 bytes); copy or download it again")
    if size > limits.max_bytes:
        raise LimitError(
            f"{path.name} has {size} bytes, the limit is {limits.max_bytes}; "
            "raise SORAKIT_LIMITS__MAX_BYTES to allow it"
        )
    with path.open("rb") as file:
        head = file.read(4096)
        name = sniff(head)
        if name is None:
            raise NotAVideoError(f"{path.name} is {_describe(head)}, not a video; give a video or image file")
        if name in _SIDECARS:
            _look_beside(path, limits)
        if name != "mov":
            return _prescan_pieces(path.name, name, file, size, limits)
        return _prescan_iso(path.name, file, size, limits)


def sniff(head: bytes) -> str | None:
    """FFmpeg's name of the container that a file's first bytes announce, or None if it is none we read.

    >>> sniff(b"GIF89a"), sniff(b"hello") is None
    ('gif', True)
    """
    if head[4:8] in _ISO_FIRST:
        return "mov"
    for offset, magic, name in _MAGIC:
        if head.startswith(magic, offset):
            return name
    if head[:4] == b"RIFF":
        webp = "webp" if b"ANIM" in head[12:64] else "webp_pipe"  # animated, still
        return {b"AVI ": "avi", b"WEBP": webp}.get(head[8:12])
    for at, step in ((0, 188), (4, 192)):  # M2TS has four bytes of time before each packet
        if head[at::step][:3] == b"GGG":
            return "mpegts"
    return _sniff_elementary(head)


def _sniff_elementary(head: bytes) -> str | None:
    """A bare H.264 or H.265 stream begins with a start code and a parameter set or delimiter."""
    code = 4 if head.startswith(b"\0\0\0\x01") else 3 if head.startswith(b"\0\0\x01") else 0
    if code == 0 or len(head) <= code:
        return None
    if head[code] & 0x80:
        return None
    if head[code] >> 1 & 0x3F in (32, 33, 34, 35) and head[code + 1 : code + 2] == b"\x01":
        return "hevc"
    return "h264" if head[code] & 0x1F in (7, 9) else None


def _regular_size(path: Path) -> int:
    try:
        facts = path.stat()
    except FileNotFoundError as error:
        raise InputError(f"no such file: {path}") from error
    except OSError as error:
        raise InputError(
            f"cannot look at {path}: {error.strerror}; check its path and permissions"
        ) from error
    except ValueError as error:  # a NUL character in the name
        raise InputError(f"no file can have the name {str(path)!r}; give another") from error
    if stat.S_ISDIR(facts.st_mode):
        raise InputError(f"{path} is a folder, not a file; name the files in it")
    if not stat.S_ISREG(facts.st_mode):
        raise InputError(f"{path} is a device, pipe or socket; save the video to a file first")
    if not os.access(path, os.R_OK):
        raise InputError(f"no permission to read {path}; change its mode or owner")
    return facts.st_size


def _look_beside(path: Path, limits: "Limits") -> None:
    """Bound the manifest store in a `.c2pa` file beside a container that cannot hold one."""
    for beside in places_beside(path):
        if beside.is_file() and os.access(beside, os.R_OK):
            with beside.open("rb") as file:
                store = file.read(MAX_STORE + 1)
            try:
                check_store(store, max_boxes=limits.max_boxes, max_bytes=limits.max_bytes)
            except InputError as error:
                raise type(error)(f"{beside.name}: {error}") from error


def _prescan_pieces(file_name: str, name: str, file: BinaryIO, size: int, limits: "Limits") -> Prescan:
    pieces = Pieces(size, limits.max_boxes, limits.max_bytes)
    try:
        if name in WALKERS:
            WALKERS[name](file, pieces)
        check_store(pieces.store, max_boxes=limits.max_boxes, max_bytes=limits.max_bytes)
    except InputError as error:
        raise type(error)(f"{file_name}: {error}") from error
    return Prescan(name, "image" if name in _IMAGES else "video", size)


def _prescan_iso(name: str, file: BinaryIO, size: int, limits: "Limits") -> Prescan:
    try:
        census = walk_boxes(file, size, max_boxes=limits.max_boxes)
        for start, end in census.stores:
            file.seek(start)
            store = file.read(min(end - start, MAX_STORE + 1))
            check_store(store, max_boxes=limits.max_boxes, max_bytes=limits.max_bytes)
    except InputError as error:
        raise type(error)(f"{name}: {error}") from error
    if b"moov" in census.top:
        return Prescan("mov", "video", size, census.count)
    if b"meta" in census.top and (census.brand in _IMAGE_BRANDS or b"mdat" in census.top):
        return Prescan("mov", "image", size, census.count)
    if b"moof" in census.top or b"sidx" in census.top:
        raise InputError(f"{name} is one fragment of a stream (no moov box); join it to its init file")
    raise InputError(f"{name} is cut off: its index (moov) is missing; copy or download it again")


def _describe(head: bytes) -> str:
    if any(head.startswith(magic, offset) for offset, magic in _SOUND):
        return "sound without pictures"
    if head[:5] == b"%PDF-":
        return "a PDF document"
    if head[:4] == b"PK\x03\x04":
        return "a ZIP archive"
    if not head.strip(b"\0"):
        return "nothing but zero bytes"
    return "a text file" if _is_text(head[:512]) else "of an unknown kind"


def _is_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(byte >= 0x20 or byte in b"\t\n\r\f\x1b" for byte in head)
