"""Walk the pieces of JPEG, PNG, RIFF (AVI, WebP), GIF and Matroska files without decoding them.

In: an open binary file and bounds. Out: how many pieces there are, and the C2PA store if it lies in them.
Standards: ITU-T T.81 annex B, W3C PNG 3 section 5, RIFF, GIF89a, RFC 8794 (EBML), C2PA 2.4 annex A.

A piece that claims to be longer than any file may be, and a file of nothing but tiny pieces, are refused
before a parser that takes them seriously sees them. What is merely broken or cut off passes.
"""

import io
import struct
from collections.abc import Callable
from typing import BinaryIO

from sorakit.errors import LimitError
from sorakit.video.stores import MAX_STORE

__all__ = ["WALKERS", "Pieces"]

MAX_SCANS = 1000
"""Scans of one JPEG: each makes a decoder go over the whole picture again. Progressive ones have ten."""

MAX_LISTS = 12
MAX_GIF_BLOCKS = 20_000
MAX_EBML_DEPTH = 8
_SCAN_WINDOW = 16 << 20
_GIF_TAIL = 4 << 20


class Pieces:
    """A count with its bound, and the manifest store as it is put together."""

    def __init__(self, size: int, max_pieces: int, max_bytes: int) -> None:
        self.size, self.max_pieces, self.max_bytes = size, max_pieces, max_bytes
        self.count = 0
        self.store = bytearray()

    def one(self) -> None:
        """Count a piece; raises `LimitError` when there are too many."""
        self.count += 1
        if self.count > self.max_pieces:
            raise LimitError(
                f"file has more than {self.max_pieces} pieces, as no ordinary one has; "
                "save it anew, or raise SORAKIT_LIMITS__MAX_BOXES if you trust it"
            )

    def claims(self, length: int) -> None:
        """Raises `LimitError` when a piece says it is longer than a file may be."""
        if length > self.max_bytes:
            raise LimitError(f"a part of the file claims {length} bytes, the limit is {self.max_bytes}")

    def take(self, file: BinaryIO, at: int, length: int) -> None:
        """Add a part of the manifest store."""
        length = min(length, max(0, self.size - at))
        if len(self.store) + length > MAX_STORE:
            raise LimitError(f"the credential has more than {MAX_STORE} bytes, as no honest one has")
        file.seek(at)
        self.store += file.read(length)


def _jpeg(file: BinaryIO, pieces: Pieces) -> None:
    at = 2
    while at + 4 <= pieces.size:
        file.seek(at)
        head = file.read(20)
        marker, length = head[1], int.from_bytes(head[2:4], "big")
        if head[0] != 0xFF or marker in (0xD9, 0xDA):
            break  # the picture begins
        if marker == 0xFF:  # a fill byte
            at += 1
            pieces.one()
            continue
        pieces.one()
        if marker == 0xEB and head[4:6] == b"JP":  # APP11: CI, instance, number, then the box's header again
            first = int.from_bytes(head[8:12], "big") <= 1
            skip = 12 if first else 20
            pieces.take(file, at + skip, max(0, length + 2 - skip))
        at += 2 + max(2, length)
    _count_scans(file, at, pieces)


def _count_scans(file: BinaryIO, at: int, pieces: Pieces) -> None:
    file.seek(at)
    scans = 0
    for _ in range(_SCAN_WINDOW >> 20):
        part = file.read(1 << 20)
        scans += part.count(b"\xff\xda")
        if scans > MAX_SCANS:
            raise LimitError(f"the picture has more than {MAX_SCANS} scans, as no ordinary one has")
        if len(part) < 1 << 20:
            return


def _png(file: BinaryIO, pieces: Pieces) -> None:
    at = 8
    while at + 12 <= pieces.size:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        pieces.one()
        if length > 1 << 31:  # PNG allows no more
            raise LimitError(f"a chunk of the picture claims {length} bytes, PNG allows {1 << 31}")
        if kind == b"caBX":
            pieces.take(file, at + 8, length)
        at += 12 + length


def _riff(file: BinaryIO, pieces: Pieces) -> None:
    pending = [(0, pieces.size, 0)]
    while pending:
        at, end, depth = pending.pop()
        while at + 8 <= end:
            file.seek(at)
            kind, length, inner = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
            pieces.one()
            if kind in (b"RIFF", b"LIST") and inner != b"movi":  # frames of a film may be many
                if depth >= MAX_LISTS:
                    raise LimitError(f"lists are nested more than {MAX_LISTS} deep, as in no ordinary video")
                pending.append((at + 12, min(end, at + 8 + length), depth + 1))
            elif kind == b"C2PA":
                pieces.take(file, at + 8, length)
            at += 8 + length + (length & 1)


def _gif(file: BinaryIO, pieces: Pieces) -> None:
    """Blocks until the first 20,000 sub-blocks: readers take them in a time that only grows with them."""
    file.seek(10)
    flags = file.read(1)
    at = 13 + (3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0)
    file.seek(0)
    data = file.read(_GIF_TAIL)
    blocks = 0
    while at + 2 < len(data) and blocks < MAX_GIF_BLOCKS:
        ours = False
        if data[at] == 0x21:
            ours = data[at + 1] == 0xFF and data[at + 3 : at + 11] == b"C2PA_GIF"
            at += 3 + data[at + 2] if data[at + 1] == 0xFF else 2
        elif data[at] == 0x2C:
            local = data[at + 9] if at + 9 < len(data) else 0
            at += 11 + (3 << ((local & 7) + 1) if local & 0x80 else 0)
        else:
            return
        pieces.one()
        while at < len(data) and data[at] and blocks < MAX_GIF_BLOCKS:
            blocks += 1
            if ours:
                pieces.take(io.BytesIO(data), at + 1, data[at])
            at += 1 + data[at]
        at += 1


_EBML_MASTERS = frozenset(
    {0x18538067, 0x1654AE6B, 0x1254C367, 0x1043A770, 0x1941A469, 0x114D9B74, 0x1C53BB6B}
)
_UNKNOWN_MAY = frozenset({0x18538067, 0x1F43B675})  # Segment and Cluster, of live streams


def _ebml(file: BinaryIO, pieces: Pieces) -> None:
    pending = [(0, pieces.size, 0)]
    while pending:
        at, end, depth = pending.pop()
        while at < end:
            file.seek(at)
            head = file.read(12)
            ident, used = _vint(head, keep=True)
            length, more = _vint(head[used:], keep=False) if used else (0, 0)
            if not used or not more:
                break
            pieces.one()
            body = at + used + more
            unknown = length == (1 << 7 * more) - 1
            if unknown and ident not in _UNKNOWN_MAY:
                raise LimitError(
                    "a part of the file does not say how long it is; only live streams' parts may"
                )
            if not unknown:
                pieces.claims(length)
            stop = end if unknown else body + length
            if ident in _EBML_MASTERS:
                if depth >= MAX_EBML_DEPTH:
                    raise LimitError(
                        f"parts are nested more than {MAX_EBML_DEPTH} deep, as in no ordinary video"
                    )
                pending.append((body, min(stop, end), depth + 1))
            at = stop


def _vint(data: bytes, *, keep: bool) -> tuple[int, int]:
    """(value, bytes used) of an EBML number, its marker bit kept or not; (0, 0) where there is none."""
    if not data or data[0] == 0:
        return 0, 0
    width = 9 - data[0].bit_length()
    if len(data) < width:
        return 0, 0
    value = int.from_bytes(data[:width], "big")
    return (value if keep else value & ((1 << 7 * width) - 1)), width


WALKERS: dict[str, Callable[[BinaryIO, Pieces], None]] = {
    "jpeg_pipe": _jpeg,
    "png_pipe": _png,
    "avi": _riff,
    "webp": _riff,
    "webp_pipe": _riff,
    "gif": _gif,
    "matroska": _ebml,
}
"""By FFmpeg's name of the container: counts its pieces. Raises `LimitError` for a bomb."""
