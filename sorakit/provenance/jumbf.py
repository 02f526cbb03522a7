"""Walk the boxes of a C2PA manifest store, and put another manifest of it to the front.

In: the bytes of a JUMBF manifest store. Out: its boxes. ISO/IEC 19566-5 (JUMBF), C2PA 2.4, section 11.1. Only
headers are read here; c2pa-python checks hashes and signatures.
"""

import struct
from collections.abc import Iterator
from itertools import islice

__all__ = ["LABELLED", "MAX_BOXES", "boxes", "description", "make_active", "superboxes", "whole_boxes"]

MAX_BOXES = 10_000
LABELLED = 2
"""The bit of a description's toggles that says a label follows."""


def boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    r"""(type, body) of each box in `data`, at most 10,000; ends at the first that does not fit.

    >>> [(k, bytes(b)) for k, b in boxes(memoryview(b"\0\0\0\x0acbor\x01\x02"))]
    [(b'cbor', b'\x01\x02')]
    """
    for kind, head, whole in islice(whole_boxes(data), MAX_BOXES):
        yield kind, whole[head:]


def whole_boxes(data: memoryview) -> Iterator[tuple[bytes, int, memoryview]]:
    """(type, bytes of its header, the box with it) of each box; ends at the first that does not fit."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        elif size == 0:
            size = len(data) - at
        if size < head or at + size > len(data):
            return
        yield kind, head, data[at : at + size]
        at += size


def superboxes(data: memoryview) -> Iterator[tuple[str, memoryview]]:
    """(label, inner boxes without the description) of each JUMBF superbox in `data`."""
    for kind, body in boxes(data):
        found = description(body) if kind == b"jumb" else None
        if found is not None and found[1] & LABELLED:
            yield found[2], body[found[3] :]


def description(body: memoryview) -> tuple[bytes, int, str, int] | None:
    """(type, toggles, label, where the inner boxes begin) of a superbox's body, or None if it is broken."""
    size = struct.unpack_from(">I", body)[0] if len(body) >= 8 else 0
    if bytes(body[4:8]) != b"jumd" or not 25 <= size <= len(body):
        return None
    inside = bytes(body[8:size])
    # a 16-byte type, a byte of flags, the label up to its zero byte
    return inside[:16], inside[16], inside[17:].split(b"\0", 1)[0].decode("utf-8", "replace"), size


def make_active(store: bytes, manifest_id: str) -> bytes | None:
    """The same store with manifest `manifest_id` last, so that readers take it for the active one.

    None when the store has no such manifest, or more than one.
    """
    view = memoryview(store)
    for kind, top in boxes(view):
        found = description(top) if kind == b"jumb" else None
        if found is None:
            return None
        head = bytes(top[: found[3]])
        rest: list[bytes] = []
        wanted: list[bytes] = []
        for inner, body in boxes(top[found[3] :]):
            about = description(body) if inner == b"jumb" else None
            whole = struct.pack(">I4s", 8 + len(body), inner) + bytes(body)
            (wanted if about is not None and about[2] == manifest_id else rest).append(whole)
        if len(wanted) != 1:
            return None
        body_ = b"".join([head, *rest, *wanted])
        return struct.pack(">I4s", 8 + len(body_), b"jumb") + body_
    return None
