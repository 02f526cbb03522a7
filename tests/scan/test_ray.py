"""The same scan on a Ray cluster of one node: the same rows."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sorakit.errors import UsageError
from sorakit.moderation.policy_file import load_policy
from sorakit.provenance.trust import Trust
from sorakit.scan import Order, scan
from sorakit.scan.hello import hello_of
from sorakit.scan.judge import Judge
from sorakit.types import Decision

KIT = [sys.executable, "-P", "-c", "from sorakit.cli import main; main()"]


def rows(out: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (out / "sorakit-scan.jsonl").read_text().splitlines()]
    return [{k: v for k, v in f.items() if k != "elapsed_ms"} for f in found]


@pytest.mark.slow
def test_a_cluster_gives_the_same_rows(way: Any, file_factory: Callable[..., Path]) -> None:
    pytest.importorskip("ray")
    base = way.tmp / "in"
    base.mkdir()
    file_factory(base / "a.mp4", way.clip(1, seconds=0.5))
    file_factory(base / "b.mp4", way.clip(2, seconds=0.5))
    (base / "c.mp4").write_bytes((base / "a.mp4").read_bytes())
    (base / "broken.mp4").write_bytes(b"text")
    home = {"SORAKIT_HOME": str(way.settings.home), "SORAKIT_PRESET": "ultrafast"}
    env = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | home
    summaries = []
    for engine in ("local", "ray"):
        command = [*KIT, "scan", str(base), "-o", str(way.tmp / engine), "--engine", engine]
        command += ["--jobs", "2", "--stills", "1", "--json"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 1 and done.stdout, done.stderr
        summaries.append(json.loads(done.stdout))
    assert summaries[0]["counts"] == summaries[1]["counts"]
    assert rows(way.tmp / "local") == rows(way.tmp / "ray")
    stills = [sorted(p.name for p in (way.tmp / e / "stills").iterdir()) for e in ("local", "ray")]
    assert stills[0] == stills[1] != []


def test_what_a_node_is_given_decides_by_the_policy_named(
    way: Any, file_factory: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SORAKIT_POLICY", "classroom")  # a node's own surroundings decide nothing
    (way.tmp / "in").mkdir()
    file_factory(way.tmp / "in" / "a.mp4", way.clip(1, seconds=0.5))
    newsroom = load_policy("newsroom")
    hello = json.loads(json.dumps(hello_of(way.settings, Trust(), (), newsroom) | {"stills": 0}))
    found = Judge(hello)(way.tmp / "in" / "a.mp4")["verdict"]
    assert found["policy"] == newsroom.label
    assert found["review"]
    assert found["review"] == newsroom.follow(Decision(found["decision"])).review


@pytest.mark.slow
def test_a_policy_reaches_a_clusters_nodes(way: Any, file_factory: Callable[..., Path]) -> None:
    pytest.importorskip("ray", reason="a cluster needs Ray: pip install 'sorakit[ray]'")
    base = way.tmp / "in"
    base.mkdir()
    file_factory(base / "a.mp4", way.clip(1, seconds=0.5))
    home = {"SORAKIT_HOME": str(way.settings.home), "SORAKIT_PRESET": "ultrafast"}
    env = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | home
    command = [*KIT, "scan", str(base), "-o", str(way.tmp / "o"), "--engine", "ray", "--policy", "newsroom"]
    command += ["--jobs", "1", "--stills", "0", "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    (row,) = rows(way.tmp / "o")
    newsroom = load_policy("newsroom")
    assert row["policy"] == newsroom.label
    assert row["review"] == newsroom.follow(Decision(row["decision"])).review


def test_a_clusters_nodes_do_not_see_this_processes_memory(way: Any) -> None:
    pytest.importorskip("ray")
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/scan-ray/a.mp4", b"1")
    try:
        with pytest.raises(UsageError, match="memory://"):
            scan(Order("memory://scan-ray", way.tmp / "o", engine="ray", settings=way.settings))
    finally:
        memory.rm("/scan-ray", recursive=True)
