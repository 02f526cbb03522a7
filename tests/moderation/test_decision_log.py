"""The log of decisions: its chain, its file, and another policy's view of it."""

import json
import multiprocessing
import stat
from pathlib import Path

import pytest

from sorakit.errors import InputError, OutputError
from sorakit.moderation.decision_log import append, entries, replay
from sorakit.moderation.policy import judge
from sorakit.moderation.policy_file import load_policy, parse_policy
from sorakit.types import DetectorEvidence, Evidence, ProvenanceEvidence, Verdict

AI = ProvenanceEvidence(state="trusted", signer="S", manifest_id="m", declares_ai=True)
FLAG = DetectorEvidence(0.97, "likely_ai", "m@1", prior=0.5)


def verdict(evidence: Evidence, name: str = "default") -> Verdict:
    policy = load_policy(name)
    said = judge(evidence, policy)
    follow = said.follow
    return Verdict(said.decision, evidence, said.reasons, policy.label, 5, follow.action, follow.review)


def write(path: Path, *found: Evidence, name: str = "default") -> None:
    for evidence in found:
        append(path, verdict(evidence, name), load_policy(name))


def test_a_decision_is_logged_with_what_it_took(tmp_path: Path) -> None:
    log = tmp_path / "new" / "log.jsonl"
    write(log, Evidence(file="b\udcff.mp4", sha256="1" * 64, detector=FLAG), name="platform")
    (entry,) = entries(log)
    assert entry["policy"] == {"name": "platform", "version": 1, "sha256": load_policy("platform").digest}
    assert (entry["model"], entry["evidence_version"], entry["review"]) == ("m@1", 1, "moderators")
    assert entry["evidence"]["detector"]["probability"] == 0.97
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_every_change_of_a_log_is_found(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    write(log, *(Evidence(file=f"{i}.mp4", sha256=None, provenance=AI) for i in range(3)))
    lines = log.read_bytes().splitlines(keepends=True)
    assert [e["seq"] for e in entries(log)] == [1, 2, 3]
    entry = json.loads(lines[1])
    changed = json.dumps(entry | {"decision": "no_evidence"}).encode() + b"\n"
    for bad in (
        [lines[0], lines[2]],
        [lines[1], lines[2]],
        [lines[0], lines[0]],
        [lines[0], changed, lines[2]],
        [lines[0], lines[1][:-9]],
        [b"[]\n"],
    ):
        log.write_bytes(b"".join(bad))
        with pytest.raises(InputError, match=r"line [123]"):
            list(entries(log))


def test_nothing_is_added_behind_a_torn_line(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    write(log, Evidence(file="a", sha256=None))
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"seq": 2')
    with pytest.raises(OutputError, match="torn"):
        write(log, Evidence(file="b", sha256=None))
    assert log.read_bytes() == whole + b'{"seq": 2'
    with pytest.raises(OutputError, match="cannot write"):
        write(tmp_path, Evidence(file="b", sha256=None))


def _many(log: Path, start: int) -> None:
    write(log, *(Evidence(file=f"{start + i}.mp4", sha256=None) for i in range(10)))


def test_processes_share_one_log(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_many, args=(log, 100 * i)) for i in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = list(entries(log))
    assert [e["seq"] for e in found] == list(range(1, 21))
    assert len({e["file"] for e in found}) == 20


def test_a_replay_says_what_another_policy_would_have_done(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    write(
        log,
        Evidence(file="a", sha256=None, provenance=AI),
        Evidence(file="b", sha256=None, detector=FLAG),
        Evidence(file="c", sha256=None),
    )
    same = replay(log, load_policy("default"))
    assert (same.count, same.changes) == (3, [])
    other = replay(log, load_policy("platform"))
    assert [(c.file, c.before[:2], c.after) for c in other.changes] == [
        ("a", ("ai_declared", "none"), ("ai_declared", "label", None)),
        ("b", ("likely_ai", "none"), ("likely_ai", "none", "moderators")),
    ]
    stricter = parse_policy(
        "name: x\nversion: 1\nabout: y\ndetector: {prior: 0.01, likely_ai: 0.9, uncertain: 0.1}", "x"
    )
    assert [(c.file, c.after[0]) for c in replay(log, stricter).changes] == [("b", "uncertain")]
    assert other.to_json()["moves"][0]["count"] == 1


def test_a_log_of_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        replay(tmp_path / "none", load_policy("default"))
