"""Killed at any moment, publishing leaves no file that is not whole and registered, and can be done again.

One fresh interpreter forks a child for each moment; the child publishes and kills itself there with
SIGKILL, so that no clean-up of any kind runs.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sorakit.check import check
from sorakit.config import Settings
from sorakit.provenance.keys import create_dev_identity
from sorakit.publish import STEPS, publish
from sorakit.registry.repo import Registry
from sorakit.types import Clip, Decision

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")

MakeClip = Callable[..., Clip]

DIE = """
import json, os, signal, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from sorakit.config import Settings
from sorakit.publish import publish
from sorakit.types import Clip

def one(source, home, output, step, share):
    def report(name, now):
        if ("mark" if name == "encode" else name) == step and now >= share:
            os.kill(os.getpid(), signal.SIGKILL)
    source = Clip(np.load(source), Fraction(24)) if source.endswith(".npy") else Path(source)
    publish(source, Path(output), settings=Settings(home=Path(home), preset="ultrafast"), progress=report)

for case in json.load(sys.stdin):
    pid = os.fork()
    if pid == 0:
        try:
            one(**case)
        finally:
            os._exit(7)
    print(os.waitpid(pid, 0)[1], flush=True)
"""

MOMENTS = [*((s, 0.0) for s in STEPS), ("confirm", 1.0), ("mark", 0.3)]
"""(step, share): the start of each step, the very end, and the middle of the long one."""
BEFORE_RENAME = [m for m in MOMENTS if m[0] != "confirm"]


@dataclass(frozen=True)
class Dead:
    """What a killed process left: its output folder and its home."""

    output: Path
    settings: Settings

    def rows(self) -> list[tuple[str, str, str]]:
        """(manifest, file hash, state) of each registry row."""
        if not Registry.exists(self.settings.database_url):
            return []
        with Registry(self.settings.database_url) as registry:
            return [(r.manifest_id, r.file_sha256, r.state) for r in registry.list()]


Graves = dict[tuple[str, float], Dead]


@pytest.fixture(scope="module", params=["clip", pytest.param("file", marks=pytest.mark.slow)])
def dead(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    clip_factory: MakeClip,
    file_factory: Callable[..., Path],
) -> Graves:
    """What is left after each moment, for a clip and for a file."""
    base = tmp_path_factory.mktemp("crash")
    clip = clip_factory(seed=1)
    if request.param == "clip":
        source = base / "clip.npy"
        np.save(source, clip.frames)
    else:
        source = file_factory(base / "in.mp4", clip, sound=True)
    cases, found = [], {}
    for i, (step, share) in enumerate(MOMENTS):
        home, output = base / str(i) / "home", base / str(i) / "out" / "a.mp4"
        output.parent.mkdir(parents=True)
        settings = Settings(home=home, preset="ultrafast")
        create_dev_identity(settings.keys_dir)
        found[step, share] = Dead(output, settings)
        paths = {"source": str(source), "home": str(home), "output": str(output)}
        cases.append(paths | {"step": step, "share": share})
    done = subprocess.run(
        [sys.executable, "-P", "-c", DIE],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.stdout.split() == ["9"] * len(cases), done.stdout + done.stderr  # 9: ended by SIGKILL
    return found


@pytest.mark.parametrize(("step", "share"), MOMENTS)
def test_what_a_kill_leaves(step: str, share: float, dead: Graves) -> None:
    left = dead[step, share]
    visible = [p for p in left.output.parent.iterdir() if not p.name.startswith(".sorakit-")]
    rows = left.rows()
    assert all(len(sha) == 64 for _, sha, _ in rows)
    assert visible in ([], [left.output])
    if (step, share) in BEFORE_RENAME:
        assert visible == []
        assert len(rows) == (step == "rename")
    else:
        digest = hashlib.sha256(left.output.read_bytes()).hexdigest()
        assert [(sha, state) for _, sha, state in rows] == [(digest, "published" if share else "pending")]
    if rows:
        with Registry(left.settings.database_url) as registry:
            assert registry.verify_audit() is None


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_file_that_is_there_is_whole(share: float, dead: Graves) -> None:
    left = dead["confirm", share]
    verdict = check(left.output, settings=left.settings)
    assert verdict.decision is Decision.AI_DECLARED, verdict.reasons
    assert verdict.evidence.in_registry
    assert verdict.evidence.watermark.found


@pytest.mark.parametrize(("step", "share"), [("mark", 0.0), ("rename", 0.0), ("confirm", 0.0)])
def test_publishing_again_works(step: str, share: float, dead: Graves, clip_factory: MakeClip) -> None:
    left = dead[step, share]
    done = publish(clip_factory(seed=1), left.output, settings=left.settings, overwrite=True)
    assert (done.manifest_id, done.sha256, "published") in left.rows()
    assert check(left.output, settings=left.settings).evidence.in_registry


def test_what_a_killed_process_left_is_removed_a_day_later(dead: Graves, clip_factory: MakeClip) -> None:
    left = dead["sign", 0.0]
    remains = list(left.output.parent.glob(".sorakit-*"))
    assert len(remains) == 1
    old = remains[0].stat().st_mtime - 2 * 24 * 3600
    publish(clip_factory(seed=1), left.output.with_name("b.mp4"), settings=left.settings)
    assert remains[0].exists()  # it may belong to a process that is still at work
    os.utime(remains[0], (old, old))
    publish(clip_factory(seed=1), left.output.with_name("c.mp4"), settings=left.settings)
    assert not remains[0].exists()
