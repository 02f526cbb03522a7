"""Every n-th frame is the same, to the last bit, as when all frames are decoded."""

from itertools import islice

import av
import numpy as np
import pytest

from sorakit.video._every import _Window, decode_every
from sorakit.video._open import decode, open_video

LAYERED = {"preset": "medium", "x264-params": "bframes=3:b-pyramid=normal:b-adapt=0:keyint=20"}


def planes(frames):
    return [(f.pts, f.to_ndarray(format="gray")) for f in frames]


def both(path, stride, count):
    """(time, luma) of the frames decoded alone, and of all frames with every n-th kept."""
    with open_video(path, threads=1) as (container, stream):
        found = planes(decode_every(container, stream, stride, count))
    with open_video(path, threads=1) as (container, stream):
        expected = planes(islice(decode(container, stream), 0, (count - 1) * stride + 1, stride))
    return found, expected


def assert_same(path, stride, count, n):
    found, expected = both(path, stride, count)
    assert len(found) == len(expected) == n
    assert [t for t, _ in found] == [t for t, _ in expected]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(found, expected, strict=True))


@pytest.fixture(scope="module")
def layered(tmp_path_factory, clip_factory, file_factory):
    """A file of 48 frames with pictures that others refer to, and pictures that none does."""
    return file_factory(tmp_path_factory.mktemp("every") / "a.mp4", clip_factory(2.0), options=LAYERED)


def copied(layered, path, change=lambda packets: packets):
    """The file's packets in another container, or changed."""
    with av.open(str(layered)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in change([p for p in source.demux(video=0) if p.dts is not None]):
            packet.stream = stream
            out.mux(packet)
    return path


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 7])
def test_every_nth_frame_is_the_same(layered, stride):
    assert_same(layered, stride, 6, 6)


def test_a_short_file_gives_what_it_has(layered):
    assert_same(layered, 5, 13, 10)
    assert_same(layered, 1, 100, 48)


def test_h265(tmp_path, clip_factory, file_factory):
    options = {"preset": "ultrafast", "x265-params": "bframes=3:b-adapt=0:log-level=none"}
    path = file_factory(tmp_path / "a.mp4", clip_factory(1.0), codec="libx265", options=options)
    assert_same(path, 3, 6, 6)


def test_matroska_and_transport_streams(layered, tmp_path):
    assert_same(copied(layered, tmp_path / "a.mkv"), 3, 13, 13)
    assert_same(copied(layered, tmp_path / "a.ts"), 3, 13, 13)


def test_pictures_that_none_refers_to_are_not_decoded(layered, monkeypatch):
    decoded, wanted = [], _Window.wanted
    monkeypatch.setattr(_Window, "wanted", lambda w, frames: wanted(w, decoded.extend(frames) or frames))
    found, _ = both(layered, 4, 6)
    assert len(found) == 6
    assert 6 <= len(decoded) <= 12  # of the 21 up to the last wanted one, a quarter between is referred to


def in_stored_order(packets):
    for packet in packets:
        packet.pts = packet.dts
    return packets


def test_times_that_do_not_tell_the_order_of_display_are_not_believed(layered, tmp_path):
    assert_same(copied(layered, tmp_path / "a.mp4", in_stored_order), 3, 10, 10)


def test_a_lost_picture_is_left_out(layered, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(layered.read_bytes())
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.dts is not None]
        order = sorted(p.pts for p in packets)
        hurt = next(p for p in packets if p.pts == order[6])
        start, size = hurt.pos, hurt.size
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(size))
    with open_video(path, threads=1) as (container, stream):
        found = [f.pts for f in decode_every(container, stream, 3, 13)]
    assert found == [t for i, t in enumerate(order[:37:3]) if i != 2]


def test_rubbish_has_no_frames(layered, tmp_path):
    path = tmp_path / "a.mp4"
    data = bytearray(layered.read_bytes())
    start = data.index(b"mdat") + 4
    with av.open(str(layered)) as container:
        size = sum(p.size for p in container.demux(video=0))
    data[start : start + size] = bytes(size)
    path.write_bytes(data)
    with open_video(path, threads=1) as (container, stream):
        assert list(decode_every(container, stream, 3, 13)) == []
