"""Bound what a C2PA manifest store may ask of its readers: its size, its boxes, how deep it is nested.

In: the bytes of a JUMBF store, found by `boxes` or `chunks`. Out: a count, or a `LimitError`. Standards:
ISO/IEC 19566-5 (JUMBF), RFC 8949 (CBOR). What is merely broken passes: the C2PA reader names it.
"""

import struct
from pathlib import Path

from sorakit.errors import LimitError

__all__ = ["MAX_STORE", "check_store", "places_beside"]

MAX_STORE = 64 << 20
"""Bytes of one manifest store. Stores with thumbnails of many ingredients stay under 20 MiB."""

MAX_DEPTH = 12
"""Superboxes in superboxes; C2PA needs five, and one more a level of an assertion's own boxes."""

MAX_CBOR_DEPTH = 64
MAX_CBOR_ITEMS = 50_000
"""Items in all CBOR boxes of a store; a film of 960 hashed fragments has 2,000."""


def places_beside(path: Path) -> list[Path]:
    """Where the store of a file that cannot hold one may stand, the first choice first; never `path` itself.

    >>> [p.name for p in places_beside(Path("clip.webm"))]
    ['clip.webm.c2pa', 'clip.c2pa']
    """
    return [p for p in (path.with_name(path.name + ".c2pa"), path.with_suffix(".c2pa")) if p != path]


def check_store(data: bytes | bytearray, *, max_boxes: int, max_bytes: int) -> int:
    r"""The number of boxes in a store. Raises `LimitError` for a bomb.

    `max_bytes`: what a box may say of its own size where 64 bits are given for it.

    >>> check_store(b"\0\0\0\x08free", max_boxes=10, max_bytes=100)
    1
    """
    if len(data) > MAX_STORE:
        raise LimitError(f"the credential has {len(data)} bytes, the limit is {MAX_STORE}")
    count, items = 0, 0
    pending = [(0, len(data), 0)]
    while pending:
        at, end, depth = pending.pop()
        while at + 8 <= end:
            size, kind = struct.unpack_from(">I4s", data, at)
            body = at + 8
            if size == 1 and at + 16 <= end:
                size, body = struct.unpack_from(">Q", data, at + 8)[0], at + 16
                if size > max_bytes:
                    raise LimitError(f"a box of the credential claims {size} bytes, the limit is {max_bytes}")
            elif size == 0:
                size = end - at
            stop = at + size
            count += 1
            if count > max_boxes:
                raise LimitError(f"the credential has more than {max_boxes} boxes, as no honest one has")
            if stop < body or stop > end:
                break
            if kind == b"jumb":
                if depth >= MAX_DEPTH:
                    raise LimitError(f"the credential is nested more than {MAX_DEPTH} boxes deep")
                pending.append((body, stop, depth + 1))
            elif kind == b"cbor":
                items = _count_cbor(data, body, stop, items)
            at = stop
    return count


def _count_cbor(data: bytes | bytearray, at: int, end: int, items: int) -> int:
    """`items` plus the number of CBOR items in data[at:end]; ends where they are broken."""
    left = [1]  # items still to come at each level; -1: until a break
    while left and at < end:
        if left[-1] == 0:
            left.pop()
            continue
        head = data[at]
        major, low = head >> 5, head & 31
        at += 1
        if head == 0xFF:  # a break
            left.pop()
            continue
        items += 1
        if items > MAX_CBOR_ITEMS:
            raise LimitError(f"the credential has more than {MAX_CBOR_ITEMS} values, as no honest one has")
        if left[-1] > 0:
            left[-1] -= 1
        value = low
        if 24 <= low < 28:
            width = 1 << (low - 24)
            value = int.from_bytes(data[at : at + width], "big")
            at += width
        elif low > 27:
            if low != 31 or major not in (2, 3, 4, 5):
                break
            value = -1
        if major in (2, 3) and value >= 0:
            at += value
        elif major in (4, 5, 6) or value < 0:
            left.append(value if value < 0 or major == 4 else 1 if major == 6 else 2 * value)
            if len(left) > MAX_CBOR_DEPTH:
                raise LimitError(f"the credential's values are nested more than {MAX_CBOR_DEPTH} deep")
    return items
