import io
import os
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorakit.config import Limits
from sorakit.errors import InputError, LimitError, NotAVideoError, SorakitError
from sorakit.video.boxes import walk_boxes
from sorakit.video.guard import prescan, sniff

LIMITS = Limits()


def box(kind: bytes, body: bytes = b"") -> bytes:
    return (8 + len(body)).to_bytes(4, "big") + kind + body


FTYP = box(b"ftyp", b"isom\0\0\2\0isomiso2")
FREE = box(b"free")
BOMBS = {
    "top": FTYP + FREE * 40_000 + box(b"moov"),
    "moov": FTYP + box(b"moov", FREE * 40_000),
    "udta": FTYP + box(b"moov", box(b"trak", box(b"udta", FREE * 40_000))),
    "uuid": FTYP + box(b"uuid") * 40_000 + box(b"moov"),
    "unknown": FTYP + box(b"\x01\x02\x03\x04") * 40_000 + box(b"moov"),
    "meta": FTYP + box(b"moov", box(b"meta", b"\0\0\0\0" + FREE * 40_000)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_box_bombs_stop_at_the_limit_quickly(tmp_path, bomb):
    path = tmp_path / "bomb.mp4"
    path.write_bytes(BOMBS[bomb])
    started = time.process_time()
    with pytest.raises(LimitError, match="more than 20000 boxes"):
        prescan(path, LIMITS)
    assert time.process_time() - started < 1.0


def test_deep_nesting_is_refused(tmp_path):
    body = b""
    for _ in range(40):
        body = box(b"udta", body)
    path = tmp_path / "deep.mp4"
    path.write_bytes(FTYP + box(b"moov", body))
    with pytest.raises(LimitError, match="nested"):
        prescan(path, LIMITS)


def test_a_real_file_passes_with_few_boxes(tmp_path, clip_factory, file_factory):
    path = file_factory(tmp_path / "ok.mp4", clip_factory(1.0))
    found = prescan(path, LIMITS)
    assert (found.format, found.kind) == ("mov", "video")
    assert 20 < found.boxes < 100


def test_bytes_behind_the_last_box_are_tolerated(tmp_path, clip_factory, file_factory):
    path = file_factory(tmp_path / "ok.mp4", clip_factory(1.0))
    path.write_bytes(path.read_bytes() + b"\xff\xfe trailing junk \xff")
    assert prescan(path, LIMITS).kind == "video"


@pytest.mark.parametrize("flags", ["", "+faststart"])
def test_a_cut_off_file_says_so(tmp_path, clip_factory, file_factory, flags):
    options = {"movflags": flags} if flags else {}
    path = file_factory(tmp_path / "ok.mp4", clip_factory(1.0), options=options)
    whole = path.read_bytes()
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match=r"cut off.*again") as caught:
            prescan(path, LIMITS)
        assert "\n" not in str(caught.value)


def test_a_file_without_its_index_says_so(tmp_path):
    path = tmp_path / "half.mp4"
    path.write_bytes(FTYP + box(b"mdat", b"\0" * 100))
    with pytest.raises(InputError, match=r"index \(moov\) is missing"):
        prescan(path, LIMITS)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"hello, this is text\n" * 50, "a text file"),
        (b"#EXTM3U\nhttp://example.com/x.ts\n", "a text file"),
        (b"\0" * 4096, "zero bytes"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"PK\x03\x04rest", "a ZIP"),
        (b"ID3\x04" + b"\0" * 64, "sound"),
        (b"RIFF\0\0\0\0WAVEfmt ", "sound"),
        (bytes(range(128, 228)), "unknown kind"),
    ],
)
def test_what_is_not_a_video_is_named(tmp_path, content, says):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(NotAVideoError, match=says) as caught:
        prescan(path, LIMITS)
    assert "\n" not in str(caught.value)


def test_missing_folder_and_pipe(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        prescan(tmp_path / "none.mp4", LIMITS)
    with pytest.raises(InputError, match="is a folder"):
        prescan(tmp_path, LIMITS)
    with pytest.raises(InputError, match="cannot look at"):
        prescan(tmp_path / ("x" * 4000), LIMITS)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InputError, match="pipe"):
            prescan(tmp_path / "pipe", LIMITS)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_no_permission(tmp_path):
    path = tmp_path / "secret.mp4"
    path.write_bytes(FTYP)
    path.chmod(0)
    with pytest.raises(InputError, match="permission"):
        prescan(path, LIMITS)


def test_too_large(tmp_path):
    path = tmp_path / "big.mp4"
    path.write_bytes(FTYP + box(b"moov"))
    with pytest.raises(LimitError, match="the limit is 16"):
        prescan(path, Limits(max_bytes=16))


def test_samples_of_other_kinds(shared_data):
    kinds = {
        p.name: prescan(p, LIMITS)
        for p in (shared_data / "c2pa").iterdir()
        if p.suffix in (".jpg", ".mov", ".avi")
    }
    assert kinds["C.jpg"].kind == "image"
    assert kinds["c.mov"].format == "mov"
    assert kinds["test.avi"].format == "avi"


@given(st.binary(max_size=400))
def test_no_bytes_make_the_walk_fail_otherwise(data):
    sniff(data)
    try:
        census = walk_boxes(io.BytesIO(data), len(data), max_boxes=50)
    except SorakitError:
        return
    assert census.count <= 50


@given(
    st.lists(
        st.sampled_from([FREE, box(b"moov", FREE), box(b"mdat", b"123"), box(b"meta", b"\0\0\0\0" + FREE)])
    )
)
def test_every_box_is_counted(parts):
    data = b"".join(parts)
    expected = sum(2 if part[4:8] in (b"moov", b"meta") else 1 for part in parts)
    assert walk_boxes(io.BytesIO(data), len(data), max_boxes=10_000).count == expected


def test_64_bit_sizes_are_followed():
    data = b"\0\0\0\1mdat" + (24).to_bytes(8, "big") + b"x" * 8 + FREE
    assert walk_boxes(io.BytesIO(data), len(data), max_boxes=10).count == 2


def test_importing_the_guard_is_light():
    """Bad input is answered quickly only if the guard imports no codec, OpenCV or pydantic."""
    code = "import sys, sorakit.video.guard; print({'av', 'cv2', 'pydantic', 'torch'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"
