"""Policies and logs that mean harm, or that nobody would write: refused quickly and in one line."""

import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorakit.errors import InputError, OutputError, UsageError
from sorakit.moderation import decision_log
from sorakit.moderation.decision_log import append, entries, replay
from sorakit.moderation.policy import decide, judge
from sorakit.moderation.policy_file import load_policy, parse_policy, shipped
from sorakit.types import (
    Decision,
    DetectorEvidence,
    Evidence,
    ProvenanceEvidence,
    Verdict,
    WatermarkEvidence,
)

HEAD = "name: mine\nversion: 3\nabout: Ours.\n"
NOTHING = Evidence(file="a.mp4", sha256=None)
ORDER = (
    "tampered, ai_declared, ai_recovered, ai_watermarked, authentic_declared, conflict, likely_ai, uncertain"
)


def write(log: Path, evidence: Evidence) -> None:
    policy = load_policy("default")
    said = judge(evidence, policy)
    append(log, Verdict(said.decision, evidence, said.reasons, policy.label, 1), policy)


def command(*arguments: object, home: Path) -> "subprocess.CompletedProcess[str]":
    env = os.environ | {"SORAKIT_HOME": str(home), "COLUMNS": "200"}
    line = [sys.executable, "-P", "-c", "from sorakit.cli import main; main()", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, env=env, timeout=60, check=False)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 65_000,
        "{a: " * 16_000,
        "- " * 32_000 + "a",
        "? " * 32_000 + "a",
        "[" + "a, " * 21_000 + "]",
        HEAD + "then: {" + ", ".join(f"k{i}: {{}}" for i in range(5_000)) + "}",
    ],
    ids=["lists", "maps", "block lists", "block keys", "long list", "many keys"],
)
def test_a_small_file_costs_little_time(text: str) -> None:
    start = time.process_time()
    with pytest.raises(UsageError):
        parse_policy(text, "x")
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "detector: !!timestamp foo", "line 4: tags"),
        (HEAD + "detector: !!bool foo", "line 4: tags"),
        (HEAD + "order: !!int ''", "line 4: tags"),
        (HEAD + "then:\n  tampered: {review: 2001-99-99}", "line 5: month"),
        ("name: mine\nversion: " + "9" * 6000, "line 2"),
        ("name: mine\nversion: true\nabout: x", "line 2: `version`"),
        ("name: mine\nversion: '2'\nabout: x", "line 2: `version`"),
        (HEAD + "<<: {version: 9}", "line 4: `<<`"),
        (HEAD + "? [a]\n: b", "line 4"),
        (HEAD + "detector: {prior: .nan, likely_ai: .5, uncertain: .5}", "line 4: `detector.prior`"),
        (HEAD + "then:\n  error: {}\n  likely_ai:\n    action: hold", "line 6: `then.likely_ai` must not"),
        (HEAD + "then:\n  no_evidence:\n    action: label", "line 6: `then.no_evidence.action` must"),
        (
            HEAD + "then:\n  no_evidnce: {}",
            "line 5: `then.no_evidnce`: no such decision; did you mean 'no_evi",
        ),
        (HEAD + "then:\n  error: {action: reject}", "line 5: `then.error` must not be 'reject' without"),
        (HEAD + f"\norder: [{ORDER}]", "line 5: `order` must name conflict before authentic_declared"),
    ],
)
def test_the_line_and_the_reason_are_named(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_policy(text, "x")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(deadline=None, max_examples=300)
@given(text=st.text(st.sampled_from("abn:-?{}[],&*!|>'\"%@` \n\t#0.1e~<=_"), max_size=60))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    for whole in (text, HEAD + text):
        try:
            policy = parse_policy(whole, "x")
        except UsageError as e:
            assert str(e).startswith("x: ")
        else:
            assert policy.label == "mine@3"


def test_a_failed_check_takes_no_clip_down_without_a_person() -> None:
    """A detector that crashes makes the check fail: that must not reject what it never judged."""
    for name in shipped():
        follow = judge(replace(NOTHING, error="the detector crashed"), load_policy(name)).follow
        assert follow.action == "none" or follow.review


@pytest.mark.parametrize("name", ["default", "platform", "newsroom", "classroom"])
def test_a_camera_beside_a_mark_is_a_conflict_under_every_policy(name: str) -> None:
    camera = ProvenanceEvidence(state="trusted", signer="S", declares_capture=True)
    both = replace(NOTHING, provenance=camera, watermark=WatermarkEvidence(found=True, log10_p=-12.0))
    assert judge(both, load_policy(name)).decision is Decision.CONFLICT


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (ProvenanceEvidence(), "No credential and no mark"),
        (ProvenanceEvidence("valid_untrusted", signer="S", declares_capture=True), "declares a capture"),
        (
            ProvenanceEvidence("valid_untrusted", signer="S"),
            "signed by S, for whom nobody you trust vouches, ",
        ),
        (
            ProvenanceEvidence("valid_untrusted"),
            "The credential, for whom nobody you trust vouches, declares",
        ),
        (ProvenanceEvidence("trusted", signer="S"), "whom you trust, declares neither"),
        (ProvenanceEvidence("error", problems=["the file is damaged"]), "(the file is damaged)"),
    ],
)
def test_the_reason_speaks_of_the_credential_that_is_there(found: ProvenanceEvidence, words: str) -> None:
    decision, (reason,) = decide(replace(NOTHING, provenance=found))
    assert decision is Decision.NO_EVIDENCE
    assert words in reason
    assert reason.startswith("No credential") == (found.state == "none")
    assert reason.endswith("That says nothing about how the video was made.")


def test_numbers_that_json_lacks_come_back_from_a_log(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    said = DetectorEvidence(math.nan, "uncertain", "m@1", prior=0.5, heatmap=[[math.inf]])
    write(log, replace(NOTHING, detector=said))
    (entry,) = entries(log)
    assert entry["evidence"]["detector"]["probability"] == "nan"
    assert replay(log, load_policy("default")).changes == []


def test_long_evidence_is_logged_and_read_again_or_refused_before_it_harms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log.jsonl"
    for size in (1, 200_000, 70_000, 1):
        write(log, replace(NOTHING, file="x" * size))
    assert [len(e["file"]) for e in entries(log)] == [1, 200_000, 70_000, 1]
    whole = log.read_bytes()
    monkeypatch.setattr(decision_log, "MAX_LINE", 500_000)
    with pytest.raises(OutputError, match="at most 500000"):
        write(log, replace(NOTHING, file="x" * 500_000))
    assert log.read_bytes() == whole
    write(log, NOTHING)
    assert len(list(entries(log))) == 5


def test_a_line_without_its_end_is_torn(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    write(log, NOTHING)
    log.write_bytes(torn := log.read_bytes()[:-1])
    with pytest.raises(OutputError, match="torn"):
        write(log, NOTHING)
    assert log.read_bytes() == torn


def test_a_log_that_others_may_read_is_not_written(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.touch(0o644)
    log.chmod(0o644)
    with pytest.raises(OutputError, match="chmod 600"):
        write(log, NOTHING)
    assert log.read_bytes() == b""
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(OutputError, match="cannot write"):
        write(tmp_path / "pipe", NOTHING)


def test_a_chain_of_foreign_making_is_refused_in_one_line(tmp_path: Path) -> None:
    """Whoever writes a log can chain it: what its entries hold is foreign all the same."""
    log = tmp_path / "log.jsonl"
    body = {"seq": 1, "previous": "0" * 64, "evidence_version": 1, "evidence": {"file": "a", "sha256": None}}
    log.write_text(decision_log.json.dumps(body | {"digest": decision_log._digest(body)}) + "\n")
    with pytest.raises(InputError, match="entry 1 cannot be read"):
        replay(log, load_policy("default"))
    log.write_text('{"a": ' * 20_000 + "\n")
    with pytest.raises(InputError, match="line 1"):
        replay(log, load_policy("default"))


def test_foreign_words_are_no_markup_in_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(HEAD + 'then:\n  tampered: {action: hold, review: "[/red] \\e[31m", note: "[/b]"}')
    shown = command("policy", "show", path, home=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "[/red]" in shown.stderr
    assert "\x1b[31m" not in shown.stderr
    log = tmp_path / "log.jsonl"
    policy = load_policy(path)
    evidence = replace(NOTHING, provenance=ProvenanceEvidence("tampered", problems=["[/x]"]))
    said = judge(evidence, policy)
    append(
        log,
        Verdict(said.decision, evidence, said.reasons, policy.label, 1, "hold", said.follow.review),
        policy,
    )
    again = command("policy", "replay", log, "--policy", "platform", home=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "trust and safety" in again.stderr
