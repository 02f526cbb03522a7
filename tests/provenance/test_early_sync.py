import errno
import io
import os
import threading

import pytest

from sorakit.provenance import early_sync
from sorakit.provenance.early_sync import EarlySync


@pytest.fixture
def disk(monkeypatch):
    """What was in the file when the disk was told to write, and a switch that holds the disk up."""
    seen, go = [], threading.Event()
    go.set()

    def fsync(handle):
        seen.append(os.fstat(handle).st_size)
        assert go.wait(10)

    monkeypatch.setattr(early_sync.os, "fsync", fsync)
    return seen, go


@pytest.fixture
def handle(tmp_path):
    return os.open(tmp_path / "a", os.O_RDWR | os.O_CREAT | os.O_EXCL)


def test_the_disk_writes_while_the_file_is_read(handle, disk):
    seen, go = disk
    go.clear()
    with EarlySync(handle) as file:
        file.write(b"abc")
        file.flush()
        file.flush()  # nothing new
        file.seek(0)
        assert file.read() == b"abc"
        go.set()
        file.sync()
        assert seen == [3]


def test_what_came_after_the_last_flush_is_on_the_disk_too(handle, disk):
    seen, go = disk
    go.clear()
    with EarlySync(handle) as file:
        file.write(b"abc")
        file.flush()
        file.write(b"de")
        file.flush()  # the disk is at work: no second request yet
        file.write(b"f")
        go.set()
        file.sync()
        assert seen[-1] == 6
        file.sync()
        assert len(seen) == 2


def test_a_disk_that_fails_is_heard(tmp_path, handle, monkeypatch):
    def fsync(_handle):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(early_sync.os, "fsync", fsync)
    with EarlySync(handle) as file:
        file.write(b"abc")
        file.flush()
        with pytest.raises(OSError, match="Input/output"):
            file.sync()
    assert (tmp_path / "a").read_bytes() == b"abc"


def test_closing_waits_for_the_disk(handle, disk):
    _, go = disk
    go.clear()
    file = EarlySync(handle)
    file.write(b"abc")
    file.flush()
    closing = threading.Thread(target=file.close)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    assert os.fstat(handle).st_size == 3  # not closed under the disk's hands
    go.set()
    closing.join(10)
    assert file.closed
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.write(b"x")


def test_it_is_a_file_like_any_other(tmp_path, handle):
    with EarlySync(handle) as file:
        file.write(b"0123456789")
        file.seek(4)
        file.write(b"xy")
        file.seek(-3, io.SEEK_END)
        assert file.read() == b"789"
        file.sync()
    assert (tmp_path / "a").read_bytes() == b"0123xy6789"
