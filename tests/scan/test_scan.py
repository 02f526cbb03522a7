"""Folders and buckets scanned: resumed, judged once by content, bad files named, reports that are whole."""

import base64
import hashlib
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

from sorakit.cli.app import app
from sorakit.errors import LimitError, UsageError
from sorakit.moderation.decision_log import entries
from sorakit.moderation.policy_file import load_policy
from sorakit.scan import Order, scan
from sorakit.scan.locked import alone
from sorakit.scan.run import JOURNAL
from sorakit.scan.source import Entry, Remote, identity, open_source

Make = Callable[..., Path]


@pytest.fixture
def inputs(way: Any, file_factory: Make) -> Path:
    base = way.tmp / "in"
    (base / "sub").mkdir(parents=True)
    file_factory(base / "a.mp4", way.clip(1, seconds=0.5))
    file_factory(base / "b & <i>b.mp4", way.clip(2, seconds=0.5))
    (base / "sub" / "twin.mp4").write_bytes((base / "a.mp4").read_bytes())
    (base / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42 this is no video")
    (base / "empty.mp4").write_bytes(b"")
    (base / "notes.txt").write_text("no video")
    return base


def order(way: Any, source: object, **more: Any) -> Order:
    return Order(str(source), way.tmp / "report", **({"settings": way.settings, "stills": 2} | more))


def lines(out: Path) -> dict[str, dict[str, Any]]:
    found = [json.loads(line) for line in (out / "sorakit-scan.jsonl").read_text().splitlines()]
    return {f["file"]: f for f in found}


def journal(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / JOURNAL).read_text().splitlines()]


def stable(out: Path) -> dict[str, dict[str, Any]]:
    return {
        n: {k: v for k, v in f.items() if k not in ("elapsed_ms", "state")} for n, f in lines(out).items()
    }


def test_a_folder_is_scanned_reported_and_resumed(way: Any, inputs: Path) -> None:
    out, shares = way.tmp / "report", []
    first = scan(order(way, inputs, jobs=2), lambda _words, share: shares.append(share))
    assert first["counts"] == {"judged": 2, "resumed": 0, "duplicate": 1, "failed": 2, "stopped": 0}
    assert shares[-1] == 1.0
    assert [f["file"] for f in first["failed"]] == ["broken.mp4", "empty.mp4"]
    assert "cut off" in first["failed"][0]["error"]
    assert "empty (0 bytes)" in first["failed"][1]["error"]
    found = lines(out)
    assert list(found) == ["a.mp4", "b & <i>b.mp4", "broken.mp4", "empty.mp4", "sub/twin.mp4"]
    assert found["sub/twin.mp4"]["duplicate_of"] == "a.mp4"
    assert found["a.mp4"]["sha256"] == identity(inputs / "a.mp4")[1] == found["sub/twin.mp4"]["sha256"]
    assert found["a.mp4"]["decision"] == str(way.check(inputs / "a.mp4").decision)
    assert sum("verdict" in e for e in journal(out)) == 4  # the twin was not judged
    for path in out.iterdir():
        if path.is_file():
            assert str(way.tmp).encode() not in path.read_bytes(), path
    assert sorted(p.name for p in out.glob(".*")) == [".sorakit-scan-lock"]

    before = journal(out)
    again = scan(order(way, inputs, jobs=2))
    assert again["counts"] == {"judged": 0, "resumed": 2, "duplicate": 1, "failed": 2, "stopped": 0}
    assert journal(out) == before
    (inputs / "moved.mp4").write_bytes((inputs / "a.mp4").read_bytes())  # known bytes under a new name
    third = scan(order(way, inputs))
    assert third["counts"]["duplicate"] == 2
    assert sum("verdict" in e for e in journal(out)) == 4
    retried = scan(order(way, inputs, retry=True))
    assert retried["counts"]["failed"] == 2
    assert sum("verdict" in e for e in journal(out)) == 6


def test_a_torn_journal_and_other_settings(way: Any, file_factory: Make) -> None:
    base, out = way.tmp / "in", way.tmp / "report"
    base.mkdir()
    file_factory(base / "a.mp4", way.clip(1, seconds=0.5))
    scan(order(way, base, stills=0))
    (out / JOURNAL).write_bytes((out / JOURNAL).read_bytes()[:-20])
    assert scan(order(way, base, stills=0))["counts"]["judged"] == 1
    assert scan(order(way, base, stills=0))["counts"]["resumed"] == 1
    other = way.settings.model_copy(update={"watermark_keys": "public"})
    assert scan(order(way, base, stills=0, settings=other))["counts"]["judged"] == 1


def test_parquet_holds_the_same_rows(way: Any, inputs: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    scan(order(way, inputs, pattern="sub/*"))
    rows = pq.read_table(way.tmp / "report" / "sorakit-scan.parquet").to_pylist()
    (line,) = lines(way.tmp / "report").values()
    assert [r["file"] for r in rows] == ["sub/twin.mp4"]
    assert rows[0]["sha256"] == line["sha256"]
    assert json.loads(rows[0]["verdict"]) == line


def test_the_page_is_whole_and_escaped(way: Any, inputs: Path) -> None:
    scan(order(way, inputs))
    page = (way.tmp / "report" / "sorakit-scan.html").read_text()
    assert "<i>b" not in page
    assert "b &amp; &lt;i&gt;b.mp4" in page
    assert page.count("<img") == 6
    assert not re.search(r"(src|href)=\"?(https?:|//)|url\(|@import", page)
    assert page.count("<script") == 1
    policy = re.search(r"script-src 'sha256-([^']+)'", page)
    script = re.search(r"<script>(.*)</script>", page, re.DOTALL)
    assert policy and script
    digest = hashlib.sha256(script[1].encode()).digest()
    assert base64.b64encode(digest).decode() == policy[1]
    assert 'href="../in/a.mp4"' in page


def test_label_studio_gets_tasks_with_our_decision(way: Any, inputs: Path) -> None:
    tasks = way.tmp / "review.json"
    scan(order(way, inputs, label_studio=tasks, review_all=True))
    found = json.loads(tasks.read_text())
    assert [t["data"]["file"] for t in found] == ["a.mp4", "b & <i>b.mp4"]
    (told,) = found[0]["predictions"]
    assert told["result"][0]["value"] == {"choices": [found[0]["data"]["decision"]]}
    config = tasks.with_suffix(".xml").read_text()
    for name in ("from_name", "to_name"):
        assert f'name="{told["result"][0][name]}"' in config
    assert f'value="{found[0]["data"]["decision"]}"' in config
    assert found[0]["data"]["still"].startswith("data:image/jpeg;base64,/9j/")
    assert found[1]["data"]["video"].endswith("b%20%26%20%3Ci%3Eb.mp4")
    scan(order(way, inputs, label_studio=tasks))
    assert json.loads(tasks.read_text()) == []  # nothing found, nothing to ask


def test_a_url_gives_the_same_as_the_folder(way: Any, inputs: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    scan(order(way, inputs))
    here = stable(way.tmp / "report")
    memory = fsspec.filesystem("memory")
    for path in inputs.rglob("*.mp4"):
        memory.pipe(f"/scan-test/{path.relative_to(inputs).as_posix()}", path.read_bytes())
    out = way.tmp / "far"
    try:
        told = scan(Order("memory://scan-test", out, jobs=2, stills=2, settings=way.settings))
        assert told["counts"]["failed"] == 2
        assert stable(out) == here
        assert (
            scan(Order("memory://scan-test", out, stills=2, settings=way.settings))["counts"]["resumed"] == 2
        )
    finally:
        memory.rm("/scan-test", recursive=True)
    assert [p for p in out.iterdir() if p.name.startswith(".sorakit-scan-f")] == []
    by_url = scan(Order(inputs.as_uri(), way.tmp / "third", settings=way.settings, stills=0))
    assert by_url["source"] == "in"
    assert stable(way.tmp / "third") == here


def test_a_download_is_bounded_and_its_errors_are_told(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe("/scan-bounds/../x.mp4", b"1" * 3000)
    memory.pipe("/scan-bounds/big.mp4", b"0" * 3000)
    source = Remote("memory://scan-bounds")
    try:
        with (
            pytest.raises(LimitError, match="3000 bytes"),
            source.fetched(Entry("big.mp4", 3000, "v"), 2000, tmp_path),
        ):
            pass
        # the listing says less than there is
        with (
            pytest.raises(LimitError, match="the limit is 2000"),
            source.fetched(Entry("big.mp4", 10, "v"), 2000, tmp_path),
        ):
            pass
        with (
            pytest.raises(Exception, match="cannot download it"),
            source.fetched(Entry("gone.mp4", 10, "v"), 2000, tmp_path),
        ):
            pass
    finally:
        memory.rm("/scan-bounds", recursive=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("/no/such/folder", "no such folder"),
        ("zip://a::memory://b", "chained"),
        ("nosuch://bucket/day", "cannot be opened"),
    ],
)
def test_a_place_that_is_none_is_refused(way: Any, source: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        scan(order(way, source))


def test_passwords_stand_in_no_report() -> None:
    source = open_source("s3://user:secret@bucket/day?token=hidden")
    assert source.title == "s3://bucket/day"


def test_a_credential_beside_the_file_makes_it_another(tmp_path: Path) -> None:
    for name in ("a.webm", "b.webm"):
        (tmp_path / name).write_bytes(b"same")
    (tmp_path / "b.c2pa").write_bytes(b"store")
    (key_a, sha_a), (key_b, sha_b) = identity(tmp_path / "a.webm"), identity(tmp_path / "b.webm")
    assert sha_a == sha_b
    assert key_a != key_b


def test_another_policy_decides_and_every_file_is_logged_once(way: Any, inputs: Path) -> None:
    log = way.tmp / "decisions.jsonl"
    scan(order(way, inputs, jobs=2, stills=0, log=log))
    logged = [(e["file"], e["decision"]) for e in entries(log)]
    assert sorted(logged) == sorted((n, f["decision"]) for n, f in lines(way.tmp / "report").items())
    scan(order(way, inputs, stills=0, log=log))
    assert len(list(entries(log))) == len(logged)  # a later run that judges nothing logs nothing
    newsroom = load_policy("newsroom")
    told = scan(order(way, inputs, stills=0, policy=newsroom, pattern="a.mp4"))
    assert told["counts"]["judged"] == 1
    assert lines(way.tmp / "report")["a.mp4"]["policy"] == newsroom.label


def test_two_scans_do_not_share_an_output(tmp_path: Path) -> None:
    with alone(tmp_path), pytest.raises(UsageError, match="another scan"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


def test_the_command_prints_one_object(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORAKIT_HOME", str(way.settings.home))
    base = way.tmp / "in"
    base.mkdir()
    (base / "x.mp4").write_bytes(b"text")
    told = CliRunner().invoke(app, ["scan", str(base), "-o", str(way.tmp / "o"), "--json"])
    assert told.exit_code == 1
    summary = json.loads(told.stdout)
    assert summary["counts"]["failed"] == 1
    assert "x.mp4: the file is a text file" in told.stderr
    empty = CliRunner().invoke(app, ["scan", str(way.out), "-o", str(way.tmp / "o2")])
    assert isinstance(empty.exception, UsageError)


@pytest.mark.slow
def test_a_killed_scan_goes_on_without_doing_a_file_twice(way: Any, file_factory: Make) -> None:
    base, out = way.tmp / "in", way.tmp / "report"
    base.mkdir()
    for i in range(5):
        file_factory(base / f"{i}.mp4", way.clip(i, seconds=0.5))
    env = os.environ | {"SORAKIT_HOME": str(way.settings.home), "SORAKIT_PRESET": "ultrafast"}
    command = [sys.executable, "-P", "-c", "from sorakit.cli import main; main()"]
    command += ["scan", str(base), "-o", str(out), "--jobs", "2", "--stills", "1", "--json"]
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 120
        while not (out / JOURNAL).exists() or not journal_lines(out):
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    reached = journal_lines(out)
    assert 1 <= reached < 5
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=True)
    counts = json.loads(done.stdout)["counts"]
    assert (counts["resumed"], counts["judged"]) == (reached, 5 - reached)
    names = [e["file"] for e in journal(out)]
    assert sorted(names) == [f"{i}.mp4" for i in range(5)]


def journal_lines(out: Path) -> int:
    return (out / JOURNAL).read_bytes().count(b"\n")
