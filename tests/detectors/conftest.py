"""Clips for the detector: moving pictures with detail at all scales, made here from a seed."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from sorakit.types import Rgb
from sorakit.video.roundtrip import compress


def moving(seed: int, frames: int = 16, side: int = 192, *, noise: float = 0.0, blur: float = 0.0) -> Rgb:
    """A 1/f picture under a moving camera; `noise` renews itself each frame, `blur` takes detail away."""
    rng = np.random.default_rng(seed)
    canvas = np.zeros((side + 64, side + 64, 3), np.float32)
    for octave in range(1, 7):
        cells = (side + 64) // 2**octave + 1
        layer = rng.normal(0, 2.0**octave, (cells, cells, 3)).astype(np.float32)
        canvas += cv2.resize(layer, (side + 64, side + 64), interpolation=cv2.INTER_CUBIC)
    canvas = 120 + 45 * (canvas - canvas.mean()) / canvas.std()
    if blur:
        canvas = cv2.GaussianBlur(canvas, (0, 0), blur)
    out = []
    for t in range(frames):
        y, x = round(20 + 18 * np.sin(t / 5 + seed)), round(20 + 18 * np.cos(t / 4))
        part = canvas[y : y + side, x : x + side] + rng.normal(0, noise, (side, side, 3))
        out.append(part.clip(0, 255).astype(np.uint8))
    return np.stack(out)


@pytest.fixture(scope="session")
def moving_frames() -> Callable[..., Rgb]:
    return moving


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`video(seed, fps=8, …)`: a file of such frames."""
    folder = tmp_path_factory.mktemp("clips")

    def make(seed: int, *, fps: int = 8, crf: int = 18, frames: int = 16, **look: float) -> Path:
        path = folder / f"{seed}-{fps}-{crf}-{frames}-{sorted(look.items())}.mp4"
        if not path.exists():
            path.write_bytes(compress(moving(seed, frames, **look), crf=crf, fps=fps))
        return path

    return make


@pytest.fixture(scope="session")
def two_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """real/ and ai/ with six sources each of one clip: noisy pictures, and blurred ones."""
    root = tmp_path_factory.mktemp("two")
    for i in range(6):
        for label, look in (("real", {"noise": 6.0}), ("ai", {"blur": 2.0})):
            folder = root / label / f"{label}{i}"
            folder.mkdir(parents=True)
            (folder / "a.mp4").write_bytes(compress(moving(10 * i + len(label), 14, 192, **look), crf=20))
    return root


def children() -> list[int]:
    """Process numbers of this process's guarded children."""
    out = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
                guarded = b"sorakit.video._child" in (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if guarded and int(parent) == os.getpid():
                out.append(int(entry.name))
    return out


@pytest.fixture
def hostile() -> Iterator[Callable[[Path, signal.Signals | None], Path]]:
    """`hostile(path, signal)`: a pipe in a clip's place. The child that has opened it gets the signal that a
    broken decoder would have got; without one it waits for bytes until the test is over."""
    over = threading.Event()

    def strike(path: Path, what: signal.Signals | None) -> None:
        with path.open("wb"):  # returns once the child has opened it
            for pid in children() if what is not None else ():
                os.kill(pid, what)
            if what is None:
                over.wait(60)

    def make(path: Path, what: signal.Signals | None) -> Path:
        os.mkfifo(path)
        threading.Thread(target=strike, args=(path, what), daemon=True).start()
        return path

    yield make
    over.set()
