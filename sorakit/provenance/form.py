"""Hold a credential's container to the one form that the standard gives it.

In: the bytes of a manifest store, and a file. Out: None, or words for the first thing that is not as it must
be. A signature covers the claim and, through hashes, the assertions; it covers neither the boxes around
them, nor the unprotected part of the COSE message, nor the header of the C2PA box in the file. What stands
there is fixed (C2PA 2.4, sections 11.1, 13.2 and A.5), so anything else was put there by someone else.

A file's first box (`ftyp`) is not covered either: C2PA leaves it out of the hash. Files that this kit signs
carry its hash in an assertion of ours (`FILE_TYPE`).
"""

import hashlib
import io
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import cbor2

from sorakit.errors import LimitError
from sorakit.provenance.jumbf import boxes, description
from sorakit.video.boxes import C2PA_UUID
from sorakit.video.chunks import WALKERS, Pieces
from sorakit.video.guard import sniff

__all__ = ["FILE_TYPE", "container_fault", "file_type_assertion", "file_type_hash", "store_fault"]

FILE_TYPE = "io.github.sorakit.file-type"
"""Our assertion that covers what C2PA's content hash leaves out: {"alg": "sha256", "hash": hex}."""

_SUFFIX = bytes.fromhex("00110010800000aa00389b71")
_PLAIN = 3  # toggles: requestable, labelled
_PARTS = {
    b"c2as": "c2pa.assertions",
    b"c2cs": "c2pa.signature",
    b"c2vc": "c2pa.credentials",
    b"c2db": "c2pa.databoxes",
}
_CLAIMS = ("c2pa.claim", "c2pa.claim.v2")
_UNSIGNED = frozenset({"pad", "pad2", "sigTst", "sigTst2", "rVals", "x5chain", 33})
_LEFT_OUT = (b"ftyp", b"mfra")
_MAX_TOP = 20_000
_MAX_MANIFESTS = 1000
_MAX_STORE = 256 << 20


def store_fault(store: bytes) -> str | None:
    """What is not as it must be in the store's boxes and the signatures' unsigned parts, or None.

    >>> store_fault(b"junk")
    'its outer box is not a manifest store'
    """
    view = memoryview(store)
    tops = list(boxes(view))
    if len(tops) != 1 or len(store) != 8 + len(tops[0][1]):
        return "its outer box is not a manifest store"
    top = _described(*tops[0])
    if top is None or top[:3] != (b"c2pa", _PLAIN, "c2pa"):
        return "its outer box is not a manifest store"
    labels: set[str] = set()
    last = None
    for number, inner in enumerate(boxes(top[3])):
        last = _described(*inner)
        if last is None or number >= _MAX_MANIFESTS:
            return "a box in it is not a manifest"
        if last[0] not in (b"c2ma", b"c2um") or last[1] != _PLAIN or last[2] in labels:
            return "a manifest's box has an unknown type or a name that is there already"
        labels.add(last[2])
    try:
        # Those of ingredients are covered by the hashes in the ones that name them.
        return "it holds no manifest" if last is None else _manifest_fault(last[3])
    except (ValueError, TypeError, LookupError, RecursionError, struct.error, cbor2.CBORDecodeError):
        return "the signature in it is no COSE message"


def _manifest_fault(body: memoryview) -> str | None:
    seen: list[str] = []
    for kind, inner in boxes(body):
        part = _described(kind, inner)
        if part is None:
            return "a manifest holds a box without a description"
        code, toggles, label, rest = part
        fits = label in _CLAIMS if code == b"c2cl" else _PARTS.get(code) == label
        if not fits or toggles != _PLAIN or label in seen:
            return "a part of a manifest has an unknown type or a name that does not fit it"
        seen.append(label)
        if code in (b"c2cl", b"c2cs"):
            content = list(boxes(rest))
            if len(content) != 1 or content[0][0] != b"cbor" or len(rest) != 8 + len(content[0][1]):
                return "a claim or signature has more than one content box"
            if code == b"c2cs" and (fault := _cose_fault(bytes(content[0][1]))):
                return fault
    return None


def _cose_fault(data: bytes) -> str | None:
    """RFC 9052: [protected, unprotected, null, signature]; only the first is signed."""
    stream = io.BytesIO(data)
    message: Any = cbor2.load(stream)
    if stream.tell() != len(data):
        return "bytes follow a signature"
    if (
        data[:2] != b"\xd2\x84"
        or not isinstance(message, cbor2.CBORTag)
        or message.tag != 18
        or len(message.value) != 4
    ):
        return "a signature is no COSE message of one signer"
    _, unsigned, content, _ = message.value
    if content is not None or not isinstance(unsigned, Mapping) or not _UNSIGNED.issuperset(unsigned):
        return "a signature's unsigned part holds what does not belong there"
    for name in ("pad", "pad2"):
        if name in unsigned and (not isinstance(unsigned[name], bytes) or unsigned[name].strip(b"\0")):
            return "the room left beside a signature is not empty"
    return None


def _described(kind: bytes, body: memoryview) -> tuple[bytes, int, str, memoryview] | None:
    """(type code, toggles, label, inner boxes) of a superbox of C2PA's own types; nothing after its label."""
    found = description(body) if kind == b"jumb" else None
    if found is None or found[0][4:] != _SUFFIX or found[3] != 8 + 17 + len(found[2].encode()) + 1:
        return None
    return found[0][:4], found[1], found[2], body[found[3] :]


def container_fault(stream: BinaryIO, store: bytes) -> str | None:
    """What is not as it must be where a file holds its manifest store, or None.

    `store`: the manifest store as the reader gives it, which is its own way of writing what it read. The
    file must hold the same bytes, and nothing but zeros behind them.
    """
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    name = sniff(stream.read(4096))
    if name in WALKERS:
        return _pieces_fault(stream, store, name, size)
    for kind, _, body, end in _top_boxes(stream, size):
        if kind != b"uuid":
            continue
        stream.seek(body)
        head = stream.read(16 + 4 + 9 + 8)
        if head[:16] != C2PA_UUID or head[20:29] != b"manifest\0":
            continue
        merkle = int.from_bytes(head[29:37], "big")
        if head[16:20] != bytes(4) or not (merkle == 0 or _is_merkle(stream, merkle, size)):
            return "the header of the box that holds it is not as the standard has it"
        stream.seek(body + 37)
        held = stream.read(min(end - body - 37, _MAX_STORE))
        if not held.startswith(store) or held[len(store) :].strip(b"\0"):
            return "its boxes are not written as the standard has it"
        return None
    return "the box that holds it was not found"


def _pieces_fault(stream: BinaryIO, store: bytes, name: str, size: int) -> str | None:
    """JPEG, PNG, RIFF and GIF: the pieces that hold the store, and the length in RIFF's header."""
    pieces = Pieces(size, sys.maxsize, sys.maxsize)
    try:
        WALKERS[name](stream, pieces)
    except LimitError as e:
        return str(e)
    if bytes(pieces.store[: len(store)]) != store or pieces.store[len(store) :].strip(b"\0"):
        return "its boxes are not written as the standard has it"
    stream.seek(0)
    head = stream.read(8)
    if head[:4] == b"RIFF" and struct.unpack("<I", head[4:])[0] + 8 not in (size, size - 1, size + 1):
        return "the file's length is not what its header says"
    return None


def _is_merkle(stream: BinaryIO, at: int, size: int) -> bool:
    if at + 24 > size:
        return False
    stream.seek(at)
    head = stream.read(24)
    return head[4:8] == b"uuid" and head[8:24] == C2PA_UUID


def file_type_assertion(path: Path) -> dict[str, Any]:
    """Our assertion that covers the type of the MP4 or MOV at `path`, for the manifest it is signed with."""
    return {"label": FILE_TYPE, "data": {"alg": "sha256", "hash": file_type_hash(path)}, "created": True}


def file_type_hash(path: Path | BinaryIO) -> str:
    """SHA-256 (hex) over the boxes of an MP4 or MOV that C2PA's content hash leaves out, `ftyp` above all."""
    if isinstance(path, Path):
        with path.open("rb") as stream:
            return file_type_hash(stream)
    digest = hashlib.sha256()
    for kind, start, _, end in _top_boxes(path, path.seek(0, io.SEEK_END)):
        if kind in _LEFT_OUT:
            path.seek(start)
            digest.update(path.read(min(end - start, 1 << 20)))
    return digest.hexdigest()


def _top_boxes(stream: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int, int]]:
    """(type, start, start of the body, end) of the boxes at the top of a file; ISO/IEC 14496-12, 4.2."""
    at = 0
    for _ in range(_MAX_TOP):
        stream.seek(at)
        head = stream.read(16)
        if len(head) < 8:
            return
        length, body = int.from_bytes(head[:4], "big"), at + 8
        if length == 1 and len(head) == 16:
            length, body = int.from_bytes(head[8:16], "big"), at + 16
        end = at + length if length else size
        if end < body or end > size:
            return
        yield head[4:8], at, body, end
        at = end
