"""Signals wait for a block, and come out behind it with their own handler."""

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from sorakit.hold import hold_signals
from sorakit.place import workplace


def test_ctrl_c_waits_for_the_block() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), hold_signals():
        signal.raise_signal(signal.SIGINT)
        done.append("the rest of the block")
    assert done == ["the rest of the block"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_in_the_block_does_not_swallow_ctrl_c() -> None:
    with pytest.raises(ZeroDivisionError), hold_signals():
        raise ZeroDivisionError
    with pytest.raises(KeyboardInterrupt) as caught, hold_signals():
        signal.raise_signal(signal.SIGINT)
        raise ZeroDivisionError
    assert isinstance(caught.value.__context__, ZeroDivisionError)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with hold_signals():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_it_does_nothing() -> None:
    seen: list[object] = []

    def work() -> None:
        with hold_signals():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_an_interrupt_while_the_hidden_folder_goes_away_leaves_none_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = shutil.rmtree

    def interrupted(folder: Path, **options: object) -> None:
        signal.raise_signal(signal.SIGINT)
        remove(folder, **options)

    monkeypatch.setattr("shutil.rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt), workplace(tmp_path / "a.mp4") as folder:
        (folder / "half").write_bytes(b"x")
    assert not list(tmp_path.iterdir())


def test_a_hidden_folder_at_work_for_days_stays(tmp_path: Path) -> None:
    days_ago = time.time() - 2 * 24 * 3600
    with workplace(tmp_path / "long.mp4") as folder:
        os.utime(folder, (days_ago, days_ago))
        with workplace(tmp_path / "short.mp4"):
            pass
        assert folder.is_dir()
    left = tmp_path / ".sorakit-left"
    left.mkdir()
    os.utime(left, (days_ago, days_ago))
    with workplace(tmp_path / "next.mp4"):
        assert not left.exists()
