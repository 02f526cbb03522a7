"""Take one manifest out of a manifest store.

In: a store's bytes and a manifest's label. Out: a store that holds this manifest alone, its bytes unchanged.
JUMBF, ISO/IEC 19566-5: a superbox is a description box (`jumd`) and the boxes it describes.
"""

import struct

from sorakit.provenance.jumbf import LABELLED, description, whole_boxes

__all__ = ["single_manifest"]


def single_manifest(store: bytes, manifest_id: str) -> bytes | None:
    """The store with manifest `manifest_id` alone; None when it is not in there, or the store is no JUMBF.

    Ingredients' manifests are left out with the others: who needs to validate them asks for the whole store.
    """
    try:
        kind, head, whole = next(whole_boxes(memoryview(store)))
        inner = list(whole_boxes(whole[head:]))
        if kind != b"jumb" or inner[0][0] != b"jumd":
            return None
        for kind, head, box in inner[1:]:
            if kind != b"jumb":
                continue
            about = description(box[head:])
            if about is None or "\ufffd" in about[2]:  # no UTF-8
                return None
            if about[1] & LABELLED and about[2] == manifest_id:
                body = bytes(inner[0][2]) + bytes(box)
                return struct.pack(">I4s", 8 + len(body), b"jumb") + body
    except (StopIteration, IndexError, struct.error):
        return None
    return None
