"""Publishing that is stopped half-way by Ctrl-C, a full disk or a broken registry leaves nothing."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sorakit.config import Settings
from sorakit.errors import RegistryError
from sorakit.publish import STEPS
from sorakit.types import Decision, Progress


def interrupt_at(step: str, share: float = 0.0) -> Progress:
    """A progress callback that does what Ctrl-C does, once, when `step` has come to `share`."""
    done: list[str] = []

    def report(name: str, now: float) -> None:
        if name == step and now >= share and not done:
            done.append(name)
            signal.raise_signal(signal.SIGINT)

    return report


@pytest.mark.parametrize(
    ("kind", "step", "share"),
    [
        *(("clip", step, 0.0) for step in STEPS[:-1]),
        ("clip", "encode", 0.3),
        ("file", "mark", 0.0),
        ("file", "mark", 0.3),
        ("file", "sign", 0.0),
    ],
)
def test_ctrl_c_leaves_nothing(kind: str, step: str, share: float, way: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        way.publish(way.source(kind), progress=interrupt_at(step, share))
    way.assert_nothing_left()


def test_ctrl_c_after_the_rename_keeps_file_and_row(way: Any) -> None:
    """Past the rename there is no way back: the file is whole and registered, and stays so."""
    with pytest.raises(KeyboardInterrupt):
        way.publish(way.clip(), progress=interrupt_at("confirm"))
    assert len(way.rows()) == 1
    verdict = way.check(way.out / "a.mp4")
    assert verdict.decision is Decision.AI_DECLARED
    assert verdict.evidence.in_registry


def test_failing_while_replacing_keeps_the_old_file(way: Any) -> None:
    (way.out / "a.mp4").write_bytes(b"old")
    for step in ("mark", "sign", "rename"):
        with pytest.raises(KeyboardInterrupt):
            way.publish(way.clip(), overwrite=True, progress=interrupt_at(step))
        assert (way.out / "a.mp4").read_bytes() == b"old"
    way.assert_nothing_left(but="a.mp4")


def test_a_registry_that_is_none(way: Any) -> None:
    (way.settings.home / "registry.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(RegistryError):
        way.publish(way.clip())
    assert list(way.out.iterdir()) == []


DISK_FULL = """
import resource, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from sorakit.errors import SorakitError
from sorakit.publish import publish
from sorakit.types import Clip
source, output, limit = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
clip = Clip(np.load(source), Fraction(24)) if source.suffix == ".npy" else source
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    publish(clip, output)
except SorakitError as e:
    print(type(e).__name__, e)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts on Linux limits on file sizes")
@pytest.mark.parametrize("kind", ["clip", pytest.param("file", marks=pytest.mark.slow)])
def test_a_full_disk_leaves_nothing(
    kind: str, way: Any, run_python: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """Tried with room for a little, more than half and most of what the file takes."""
    clip, video, frames = way.clip(), way.file(), way.tmp / "frames.npy"
    np.save(frames, clip.frames)
    size = way.publish(clip if kind == "clip" else video, "whole.mp4").path.stat().st_size
    home = Settings(home=way.tmp / "other")
    shutil.copytree(way.settings.keys_dir, home.keys_dir)
    folder = way.tmp / "full"
    folder.mkdir()
    for share in (0.05, 0.6, 0.9):
        source = frames if kind == "clip" else video
        done = run_python(DISK_FULL, source, folder / "a.mp4", int(share * size), home=home.home)
        assert done.stdout.startswith("OutputError cannot"), done.stdout + done.stderr
        assert os.listdir(folder) == []  # noqa: PTH208 - hidden files count too
        assert not Path(home.home / "registry.db").exists() or _count(home) == 0


def _count(settings: Settings) -> int:
    from sorakit.registry.repo import Registry  # noqa: PLC0415

    with Registry(settings.database_url) as registry:
        return registry.stats()["manifests"]
