"""Take one manifest out of a manifest store.

In: a store's bytes and a manifest's label. Out: a store that holds this manifest alone, its bytes unchanged.
JUMBF, ISO/IEC 19566-5: a superbox is a description box (`jumd`) and the boxes it describes.
"""

import struct
from collections.abc import Iterator

__all__ = ["single_manifest"]

_LABELLED = 2
"""The bit of a description's flags that says a label follows; flags come after a 16-byte type."""


def single_manifest(store: bytes, manifest_id: str) -> bytes | None:
    """The store with manifest `manifest_id` alone; None when it is not in there, or the store is no JUMBF.

    Ingredients' manifests are left out with the others: who needs to validate them asks for the whole store.
    """
    try:
        kind, head, whole = next(_boxes(store))
        inner = list(_boxes(whole[head:]))
        if kind != b"jumb" or inner[0][0] != b"jumd":
            return None
        for kind, head, box in inner[1:]:
            if kind == b"jumb" and _label(box[head:]) == manifest_id:
                body = inner[0][2] + box
                return struct.pack(">I4s", 8 + len(body), b"jumb") + body
    except (StopIteration, IndexError, struct.error, UnicodeDecodeError):
        return None
    return None


def _label(superbox: bytes) -> str | None:
    kind, head, box = next(_boxes(superbox))
    flags_at = head + 16
    if kind != b"jumd" or not box[flags_at] & _LABELLED:
        return None
    return box[flags_at + 1 :].split(b"\0", 1)[0].decode()


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """(type, bytes of its header, the box with its header) of each box in `data`."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        if size == 0:
            size = len(data) - at
        if size < head or at + size > len(data):
            return
        yield kind, head, data[at : at + size]
        at += size
