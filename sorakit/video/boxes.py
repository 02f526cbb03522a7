"""Walk the boxes of an ISO-BMFF file (MP4, MOV, M4V, HEIC) without reading their contents.

In: an open binary file and bounds. Out: what boxes there are, counted. Standard: ISO/IEC 14496-12, 4.2.
The walk exists because readers of C2PA manifests take time quadratic in the number of boxes: 40,000 empty
`free` boxes (320 kB) stop such a reader for 16 s, so they have to be counted before anyone parses them.
"""

from dataclasses import dataclass, field
from typing import BinaryIO

from sorakit.errors import InputError, LimitError

__all__ = ["C2PA_UUID", "BoxCensus", "walk_boxes"]

CONTAINERS = frozenset(
    b"moov trak mdia minf stbl edts dinf udta mvex moof traf mfra sinf schi gmhd iprp ipco tref strk strd "
    b"meco paen fiin rinf hnti hinf ilst jumb".split()
)
"""Boxes that hold nothing but boxes."""

FULL_CONTAINERS = {b"meta": 4, b"iref": 4}
"""Boxes that hold boxes after a few bytes of their own."""

TOP = frozenset(
    b"ftyp styp moov mdat free skip wide uuid meta moof mfra sidx ssix pdin udta prft emsg pnot jumb".split()
)
"""Boxes that stand at the top of a file."""

MAX_DEPTH = 16

C2PA_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""The extended type of C2PA's `uuid` boxes (C2PA 2.4, annex A.5)."""

C2PA_MANIFEST = C2PA_UUID + bytes(4) + b"manifest\0"
"""How a C2PA box with a manifest store begins. A file may have one; more are refused
later, so only a few are looked at here."""

MAX_STORES = 4


@dataclass(slots=True)
class BoxCensus:
    """What a walk saw: the number of boxes at all depths, the types at the top, where C2PA stores lie."""

    count: int = 0
    top: set[bytes] = field(default_factory=set)
    brand: bytes = b""
    stores: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int
    body: int
    end: int


def walk_boxes(file: BinaryIO, size: int, *, max_boxes: int) -> BoxCensus:
    r"""Count boxes at every depth and see that none reaches past its parent.

    `size` is the file's length, bytes. Reads 16 bytes a box. Raises `LimitError` above `max_boxes` boxes or
    16 levels, `InputError` where a top-level box says it is longer than the file (a cut-off download).

    >>> import io
    >>> walk_boxes(io.BytesIO(b"\0\0\0\x08free" * 3), 24, max_boxes=10).count
    3
    """
    census = BoxCensus()
    pending = [(0, size, 0)]
    while pending:
        position, end, depth = pending.pop()
        while position + 8 <= end:
            box = _read_header(file, position, end, depth)
            if box is None:
                break  # padding or foreign bytes: other readers stop here too
            census.count += 1
            if census.count > max_boxes:
                raise LimitError(
                    f"file has more than {max_boxes} boxes, as no ordinary video has; "
                    "re-mux it, or raise SORAKIT_LIMITS__MAX_BOXES if you trust it"
                )
            if depth == 0:
                _note_top(file, box, census)
            inside = _inside(file, box)
            if inside is not None:
                if depth >= MAX_DEPTH:
                    raise LimitError(f"boxes are nested more than {MAX_DEPTH} deep, as in no ordinary video")
                pending.append((inside, box.end, depth + 1))
            position = box.end
    return census


def _read_header(file: BinaryIO, position: int, end: int, depth: int) -> _Box | None:
    file.seek(position)
    head = file.read(16)
    length, kind, body = int.from_bytes(head[:4], "big"), head[4:8], position + 8
    if length == 1:
        if len(head) < 16:
            return None
        length, body = int.from_bytes(head[8:16], "big"), position + 16
    elif length == 0:
        length = end - position
    stop = position + length
    if stop < body:
        if depth == 0 and position == 0:
            raise InputError(f"the first box is broken (length {length}); the file is damaged")
        return None
    if stop > end:
        if depth == 0 and kind not in TOP:
            return None  # bytes appended to a whole file, which no reader minds
        if depth == 0:
            raise InputError(
                f"the file is cut off: box `{kind.decode('latin-1')}` should end at byte {stop}, "
                f"the file ends at {end}; copy or download it again"
            )
        stop = end
    return _Box(kind, position, body, stop)


def _inside(file: BinaryIO, box: _Box) -> int | None:
    """Where the children of a box begin, or None when it has none."""
    if box.kind in CONTAINERS:
        return box.body
    skip = FULL_CONTAINERS.get(box.kind)
    if skip is None:
        return None
    if box.kind == b"meta":
        # QuickTime's `meta` has no version field: its first child's type then stands where ISO's ends.
        file.seek(box.body)
        if file.read(8)[4:8] == b"hdlr":
            return box.body
    return box.body + skip


def _note_top(file: BinaryIO, box: _Box, census: BoxCensus) -> None:
    census.top.add(box.kind)
    if box.kind == b"ftyp" and not census.brand:
        file.seek(box.body)
        census.brand = file.read(4)
    if box.kind == b"uuid" and len(census.stores) < MAX_STORES:
        file.seek(box.body)
        if file.read(29) == C2PA_MANIFEST:
            census.stores.append((box.body + 37, box.end))  # behind the place of the first Merkle box
