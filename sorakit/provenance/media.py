"""Name a file's container from its first bytes, for the C2PA reader.

In: a path. Out: a MIME type, or None. Suffixes are not believed. ISO/IEC 14496-12 (ftyp), RIFF, EBML.
"""

from pathlib import Path

__all__ = ["CARRIES_C2PA", "sniff"]

CARRIES_C2PA = frozenset(
    {"video/mp4", "video/quicktime", "video/avi", "image/jpeg", "image/png", "image/webp", "image/gif"}
)
"""Containers in which the reader looks for an embedded manifest store."""

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"\x1aE\xdf\xa3", "video/x-matroska"),
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"OggS", "video/ogg"),
    (0, b"\x00\x00\x01\xba", "video/mpeg"),
    (0, b"\x00\x00\x01\xb3", "video/mpeg"),
)
_MOV_BOXES = (b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")


def sniff(path: Path) -> str | None:
    """The MIME type, or None when the first bytes are of no container that the kit knows.

    Raises `OSError` when the file cannot be read.
    """
    with path.open("rb") as f:
        head = f.read(4096)
    for offset, magic, mime in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return mime
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"WEBP"):
        return "video/avi" if head[8:12] == b"AVI " else "image/webp"
    if head[4:8] in (b"ftyp", b"styp", b"moof", b"sidx"):
        return "video/quicktime" if head[8:12] == b"qt  " else "video/mp4"
    if head[4:8] in _MOV_BOXES:
        return "video/quicktime"  # QuickTime files older than ftyp
    if head[:1] == b"\x47" and head[188:189] == b"\x47" and head[376:377] == b"\x47":
        return "video/mp2t"
    return None
