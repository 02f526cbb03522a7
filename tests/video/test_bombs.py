"""Files built to stall their readers are refused before any parser sees them, and honest ones pass."""

import contextlib
import io
import struct
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sorakit.config import Limits
from sorakit.errors import LimitError
from sorakit.video.chunks import WALKERS, Pieces
from sorakit.video.guard import prescan
from sorakit.video.stores import check_store

LIMITS = Limits()
N = 40_000
UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481") + bytes(4) + b"manifest\0" + bytes(8)


def box(kind, body=b""):
    return struct.pack(">I4s", 8 + len(body), kind) + body


def jumb(label, *inner):
    about = box(b"jumd", b"c2ma" + bytes.fromhex("00110010800000aa00389b71") + b"\x03" + label + b"\0")
    return box(b"jumb", about + b"".join(inner))


def picture(kind):
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(out, kind)
    return out.getvalue()


JPEG, PNG, WEBP, GIF = (picture(k) for k in ("JPEG", "PNG", "WEBP", "GIF"))
MP4 = box(b"ftyp", b"isom\0\0\2\0isomiso2"), box(b"moov")


def in_mp4(store):
    return MP4[0] + box(b"uuid", UUID + store) + MP4[1]


def in_jpeg(store):
    parts, out = [store[i : i + 60_000] for i in range(0, len(store), 60_000)], JPEG[:2]
    for i, part in enumerate(parts, 1):
        body = b"JP" + struct.pack(">HI", 1, i) + (store[:8] if i > 1 else b"") + part
        out += b"\xff\xeb" + struct.pack(">H", 2 + len(body)) + body
    return out + JPEG[2:]


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def in_png(store):
    return PNG[:33] + chunk(b"caBX", store) + PNG[33:]


def riff(kind, body):
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + kind + body


def in_avi(store):
    return riff(b"AVI ", b"C2PA" + struct.pack("<I", len(store)) + store)


def in_webp(store):
    return riff(b"WEBP", WEBP[12:] + b"C2PA" + struct.pack("<I", len(store)) + store)


def in_gif(store):
    parts = b"".join(bytes([len(p)]) + p for p in (store[i : i + 255] for i in range(0, len(store), 255)))
    head = 13 + (3 << ((GIF[10] & 7) + 1) if GIF[10] & 0x80 else 0)
    return GIF[:head] + b"\x21\xff\x0bC2PA_GIF\1\0\0" + parts + b"\0" + GIF[head:]


def nest(times, make, inner=b""):
    for _ in range(times):
        inner = make(inner)
    return inner


def element(ident, body, length=None):
    size = len(body) if length is None else length
    return ident + struct.pack(">Q", size | 1 << 56) + body


EBML = b"\x1aE\xdf\xa3"
SEGMENT = bytes.fromhex("18538067")
STORES = {
    "deep": jumb(b"c2pa", nest(30, lambda d: jumb(b"a", d))),
    "many": jumb(b"c2pa", box(b"free") * N),
    "manifests": jumb(b"c2pa", *[jumb(b"a")] * N),
    "values": jumb(b"c2pa", box(b"cbor", b"\x9a\0\x4c\x4b\x40" + b"\0" * 5_000_000)),
    "deep cbor": jumb(b"c2pa", box(b"cbor", b"\x81" * 100_000 + b"\0")),
    "deep map": jumb(b"c2pa", box(b"cbor", b"\xa1\0" * 100_000)),
    "tags": jumb(b"c2pa", box(b"cbor", b"\xc1" * 100_000)),
    "open": jumb(b"c2pa", box(b"cbor", b"\x9f" * 100_000)),
    "giant": struct.pack(">I4sQ", 1, b"jumb", 1 << 62) + bytes(64),
}
HOLDERS = {"mp4": in_mp4, "jpg": in_jpeg, "png": in_png, "avi": in_avi, "webp": in_webp}
FILES = {
    "jpg app11": JPEG[:2] + (b"\xff\xeb" + struct.pack(">H", 2 + 16) + b"JP" + bytes(14)) * N + JPEG[2:],
    "jpg comments": JPEG[:2] + b"\xff\xfe\0\x02" * N + JPEG[2:],
    "jpg fill": JPEG[:2] + b"\xff" * N + JPEG[2:],
    "jpg scans": JPEG[:-2] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" * N + JPEG[-2:],
    "png text": PNG[:33] + chunk(b"tEXt", b"a\0b") * N + PNG[33:],
    "png stores": PNG[:33] + chunk(b"caBX") * N + PNG[33:],
    "png giant": PNG[:33] + b"\xff\xff\xff\xffcaBX" + PNG[33:],
    "webp junk": riff(b"WEBP", WEBP[12:] + b"JUNK\0\0\0\0" * N),
    "avi junk": riff(b"AVI ", b"JUNK\0\0\0\0" * N),
    "avi deep": riff(b"AVI ", nest(1000, lambda d: b"LIST" + struct.pack("<I", 4 + len(d)) + b"abcd" + d)),
    "gif blocks": GIF[:-1] + b"\x21\xfe\0" * N + GIF[-1:],
    "mkv flood": element(EBML, b"") + element(SEGMENT, b"\xec\x80" * N),
    "mkv giant": element(EBML, b"") + element(SEGMENT, element(b"\xec", b"", (1 << 56) - 2)),
    "mkv unknown": element(EBML, b"", (1 << 56) - 1) + bytes(100),
    "mkv deep": element(EBML, b"") + nest(100, lambda d: element(SEGMENT, d)),
    "mp4 deep": MP4[0] + box(b"moov", nest(40, lambda d: box(b"udta", d))),
}


def refused_within(path, seconds):
    started = time.process_time()
    with pytest.raises(LimitError):
        prescan(path, LIMITS)
    assert time.process_time() - started < seconds


@pytest.mark.parametrize("name", FILES)
def test_floods_nests_and_giants_are_refused_quickly(tmp_path, name):
    (tmp_path / "x").write_bytes(FILES[name])
    refused_within(tmp_path / "x", 0.5)  # the aim is 0.1 s; other work may slow the processor


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("holder", HOLDERS)
def test_bombs_in_credentials_are_refused_quickly(tmp_path, holder, store):
    (tmp_path / "x").write_bytes(HOLDERS[holder](STORES[store]))
    refused_within(tmp_path / "x", 0.5)


@pytest.mark.parametrize("store", ["deep", "deep cbor", "open", "giant"])
def test_bombs_in_a_gifs_credential(tmp_path, store):
    (tmp_path / "x").write_bytes(in_gif(STORES[store]))
    refused_within(tmp_path / "x", 0.5)


@pytest.mark.parametrize("name", ["x.c2pa", "x.webm.c2pa"])
@pytest.mark.parametrize("store", STORES)
def test_bombs_in_a_credential_beside_the_file(tmp_path, store, name):
    (tmp_path / "x.webm").write_bytes(element(EBML, b""))
    (tmp_path / name).write_bytes(STORES[store])
    refused_within(tmp_path / "x.webm", 0.5)


@pytest.mark.parametrize("content", [JPEG, PNG, WEBP, GIF, *(h(jumb(b"c2pa")) for h in HOLDERS.values())])
def test_ordinary_files_pass(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    assert prescan(tmp_path / "x", LIMITS).size == len(content)


@pytest.mark.parametrize("codec", ["libvpx-vp9", "ffv1"])
def test_an_ordinary_matroska_file_passes(tmp_path, clip_factory, file_factory, codec):
    path = tmp_path / ("a.webm" if codec == "libvpx-vp9" else "a.mkv")
    file_factory(path, clip_factory(0.5), codec=codec)
    assert prescan(path, LIMITS).format == "matroska"


def test_samples_with_credentials_pass(shared_data):
    for path in sorted((shared_data / "c2pa").iterdir()):
        if path.suffix in (".mp4", ".mov", ".jpg", ".avi"):
            prescan(path, LIMITS)


@given(st.binary(max_size=300), st.sampled_from(sorted(WALKERS)))
def test_no_bytes_make_a_walk_fail_otherwise(data, name):
    head = {"jpeg_pipe": b"\xff\xd8\xff", "png_pipe": PNG[:8], "gif": GIF[:13]}.get(name, b"")
    try:
        WALKERS[name](io.BytesIO(head + data), Pieces(len(head + data), 50, 1 << 30))
    except LimitError:
        return


@given(st.binary(max_size=300))
def test_no_bytes_make_the_look_into_a_store_fail_otherwise(data):
    for wrapped in (data, jumb(b"c2pa", box(b"cbor", data))):
        with contextlib.suppress(LimitError):
            check_store(wrapped, max_boxes=50, max_bytes=1 << 30)
