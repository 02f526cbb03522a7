"""Folders marked as a whole: resumed, copied, reported; a bad file fails alone, Ctrl-C leaves whole files."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sorakit.batch import Order, mark_folder
from sorakit.batch.journal import JOURNAL, Journal
from sorakit.batch.report import render
from sorakit.cli.app import app
from sorakit.errors import UsageError
from sorakit.registry.record import file_sha256
from sorakit.registry.repo import Registry
from sorakit.types import Decision

Make = Callable[..., Path]


@pytest.fixture
def inputs(way: Any, file_factory: Make) -> Path:
    base = way.tmp / "in"
    (base / "sub").mkdir(parents=True)
    file_factory(base / "a.mp4", way.clip(1, seconds=1.0))
    file_factory(base / "sub" / "b.mkv", way.clip(2, seconds=1.0))
    (base / "sub" / "copy.mp4").write_bytes((base / "a.mp4").read_bytes())
    (base / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42 this is no video")
    return base


def states(summary: dict[str, Any]) -> dict[str, str]:
    return {f["source"]: f["state"] for f in summary["files"]}


def videos(out: Path) -> dict[str, str]:
    found = (p for p in out.rglob("*") if p.suffix in (".mp4", ".mov") and p.is_file())
    seen = {p.relative_to(out).as_posix(): p for p in found}
    return {name: file_sha256(p) for name, p in seen.items() if not name.startswith(".") and "/." not in name}


def test_a_folder_is_marked_resumed_and_reported(way: Any, inputs: Path) -> None:
    out = way.tmp / "marked"
    order = Order(inputs, out, jobs=2, settings=way.settings.model_copy(update={"labels": "ca"}))
    told: list[float] = []
    first = mark_folder(order, lambda _n, _d, _t, share: told.append(share))
    assert states(first) == {
        "a.mp4": "done",
        "broken.mp4": "failed",
        "sub/b.mkv": "done",
        "sub/copy.mp4": "copied",
    }
    assert told[-1] == 1.0
    made = videos(out)
    assert set(made) == {"a.mp4", "sub/b.mp4", "sub/copy.mp4"}
    assert made["a.mp4"] == made["sub/copy.mp4"]
    assert len(way.rows()) == 2
    verdict = way.check(out / "sub" / "copy.mp4")
    assert (verdict.decision, verdict.evidence.in_registry) == (Decision.AI_DECLARED, True)
    assert verdict.evidence.labels.declared["schemes"] == ["ca"]
    assert not list(out.rglob(".*"))

    again = mark_folder(order)
    assert states(again) == states(first) | dict.fromkeys(("a.mp4", "sub/b.mkv", "sub/copy.mp4"), "skipped")
    assert (videos(out), len(way.rows())) == (made, 2)
    reported = json.loads((out / "sorakit-batch.json").read_text())
    assert reported == again
    page = (out / "sorakit-batch.html").read_text()
    assert page.count("<img") == 3
    for text in (page, (out / "sorakit-batch.json").read_text(), (out / JOURNAL).read_text()):
        assert str(way.tmp) not in text

    (out / "a.mp4").write_bytes(b"changed")  # not what was written: it is not skipped, and not replaced
    third = mark_folder(order)
    assert states(third)["a.mp4"] == "failed"
    assert "--force" in next(f["error"] for f in third["files"] if f["source"] == "a.mp4")


def test_what_a_kill_left_between_rename_and_journal_is_adopted(way: Any, file_factory: Make) -> None:
    base, out = way.tmp / "in1", way.tmp / "marked"
    base.mkdir()
    file_factory(base / "a.mp4", way.clip(1, seconds=1.0))
    order = Order(base, out, settings=way.settings)
    mark_folder(order)
    lines = (out / JOURNAL).read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["state"] for line in lines] == ["started", "done"]
    (out / JOURNAL).write_bytes(lines[0] + lines[1][:40])
    again = mark_folder(order)
    assert states(again) == {"a.mp4": "skipped"}
    assert again["files"][0]["manifest_id"] == way.rows()[0]
    assert len(way.rows()) == 1


def test_an_old_marking_that_a_stopped_run_did_not_replace_is_not_adopted(
    way: Any, file_factory: Make
) -> None:
    base, out = way.tmp / "in1", way.tmp / "marked"
    base.mkdir()
    file_factory(base / "a.mp4", way.clip(1, seconds=1.0))
    mark_folder(Order(base, out, settings=way.settings))
    before = videos(out)
    labelled = way.settings.model_copy(update={"labels": "ca"})
    order = Order(base, out, overwrite=True, settings=labelled)

    def stop(_name: str, _done: int, _total: int, _share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mark_folder(order, stop)
    assert videos(out) == before
    assert states(mark_folder(order)) == {"a.mp4": "done"}
    assert videos(out) != before


def test_another_setting_is_another_marking(way: Any, tmp_path: Path) -> None:
    base = {"folder": tmp_path, "out": tmp_path / "o"}
    one, same = Order(**base, settings=way.settings), Order(**base, jobs=3, settings=way.settings)
    other = Order(**base, settings=way.settings.model_copy(update={"labels": "eu"}))
    assert one.digest() == same.digest() != other.digest()


def test_no_room_fails_that_file_alone(way: Any, inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    class Full:
        free = 1 << 20

    monkeypatch.setattr("sorakit.batch.run.shutil.disk_usage", lambda _: Full)
    summary = mark_folder(Order(inputs, way.tmp / "marked", settings=way.settings))
    assert set(states(summary).values()) == {"failed"}
    assert "not enough room: 1 MiB free" in summary["files"][0]["error"]
    assert way.rows() == []


def test_nothing_to_do_is_said(way: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no videos"):
        mark_folder(Order(tmp_path / "empty", tmp_path / "o", settings=way.settings))


def test_the_command_reports_and_fails(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORAKIT_HOME", str(way.settings.home))
    base = way.tmp / "in2"
    base.mkdir()
    (base / "<b>odd & name.mp4").write_bytes(b"\0\0\0\x18ftypmp42 no video")
    told = CliRunner().invoke(app, ["mark", "--batch", str(base), "-o", str(way.tmp / "o"), "--json"])
    assert told.exit_code == 1
    assert json.loads(told.stdout)["counts"]["failed"] == 1
    assert "odd & name.mp4: " in told.stderr
    page = (way.tmp / "o" / "sorakit-batch.html").read_text()
    assert "<b>odd" not in page
    assert "&lt;b&gt;odd &amp; name" in page
    assert not re.search(r"<script|https?://", page)


def test_the_page_counts_what_needs_attention(tmp_path: Path) -> None:
    files = [{"source": f"{s}.mp4", "output": f"{s}.mp4", "state": s} for s in ("done", "failed", "stopped")]
    files[1]["error"] = "why"
    summary = {"kit": "1", "counts": {"done": 1, "failed": 1, "stopped": 1}, "seconds": 1.0, "files": files}
    page = render(summary, tmp_path)
    assert "✗ 2 of 3 files need attention" in page
    assert page.index("failed.mp4") < page.index("done.mp4")


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    entry = {"input_sha256": "a", "output": "o", "settings": "s", "state": "done"}
    with Journal(tmp_path) as journal:
        journal.add(entry)
    with (tmp_path / JOURNAL).open("ab") as f:
        f.write(b'{"input_sha256": "b", "outp')
    with Journal(tmp_path) as journal:
        assert journal.last(("a", "o", "s")) == entry
        journal.add(entry | {"state": "failed"})
    with Journal(tmp_path) as journal:
        assert journal.last(("a", "o", "s")) == entry | {"state": "failed"}


@pytest.mark.slow
def test_ctrl_c_leaves_whole_files_and_a_true_journal(way: Any, file_factory: Make) -> None:
    base, out = way.tmp / "in3", way.tmp / "marked"
    base.mkdir()
    for i in range(4):
        file_factory(base / f"{i}.mp4", way.clip(i, seconds=1.0))
    home = {"SORAKIT_HOME": str(way.settings.home), "SORAKIT_PRESET": "ultrafast"}
    command = [sys.executable, "-P", "-c", "from sorakit.cli import main; main()"]
    with subprocess.Popen(
        [*command, "mark", "--batch", base, "-o", out, "--jobs", "2"],
        env=os.environ | home,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    ) as process:
        end = time.monotonic() + 120
        while not videos(out) if out.exists() else True:
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    reached = videos(out)
    assert 1 <= len(reached) <= 4
    assert not list(out.glob(".*"))
    with Registry(way.settings.database_url) as registry:
        assert {r.file_sha256 for r in registry.list()} == set(reached.values())
    rest = mark_folder(Order(base, out, settings=way.settings, jobs=2))
    assert set(states(rest).values()) <= {"done", "skipped"}
    assert videos(out).items() >= reached.items()
    assert len(way.rows()) == 4
