"""Policies: the shipped ones, what a file may say, and what none may ever do."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorakit.errors import UsageError
from sorakit.moderation.policy import Policy, decide, default_policy, judge
from sorakit.moderation.policy_file import MAX_BYTES, load_policy, parse_policy, shipped
from sorakit.moderation.rules import RULES
from sorakit.types import (
    Decision,
    DetectorEvidence,
    Evidence,
    ProvenanceEvidence,
    RecoveryEvidence,
    WatermarkEvidence,
)

HEAD = "name: mine\nversion: 3\nabout: Ours.\n"

EVIDENCE = st.builds(
    Evidence,
    file=st.just("a.mp4"),
    sha256=st.just("0" * 64),
    provenance=st.builds(
        ProvenanceEvidence,
        state=st.sampled_from(["trusted", "valid_untrusted", "tampered", "none", "error"]),
        signer=st.just("S"),
        manifest_id=st.sampled_from([None, "a", "b"]),
        declares_ai=st.booleans(),
        declares_capture=st.booleans(),
    ),
    watermark=st.builds(WatermarkEvidence, found=st.booleans(), log10_p=st.just(-12.0)),
    recovery=st.builds(
        RecoveryEvidence,
        state=st.sampled_from(["recovered", "no_match", "not_needed", "unavailable"]),
        manifest_id=st.sampled_from([None, "a"]),
    ),
    detector=st.none()
    | st.builds(
        DetectorEvidence,
        probability=st.none() | st.floats(0, 1),
        label=st.sampled_from(["likely_ai", "uncertain", "likely_real", "abstain"]),
        model=st.just("m@1"),
        prior=st.none() | st.just(0.5),
    ),
    in_registry=st.booleans(),
    error=st.none() | st.just("broken"),
)


def test_the_shipped_default_is_the_one_in_code() -> None:
    assert load_policy("default") == default_policy()
    assert {"default", "platform", "newsroom", "classroom"} <= set(shipped())


@pytest.mark.parametrize("name", ["default", "platform", "newsroom", "classroom"])
@settings(deadline=None)
@given(evidence=EVIDENCE)
def test_every_evidence_gets_one_decision_that_its_rule_bears_out(name: str, evidence: Evidence) -> None:
    policy = load_policy(name)
    outcome = judge(evidence, policy)
    assert outcome.reasons and all(outcome.reasons)
    assert outcome.follow == policy.follow(outcome.decision)
    if outcome.decision in RULES and policy.detector is None:
        assert RULES[outcome.decision](evidence)


@pytest.mark.parametrize("name", ["default", "platform", "newsroom", "classroom"])
@settings(deadline=None)
@given(evidence=EVIDENCE)
def test_without_other_evidence_a_detector_never_makes_anything_happen_without_a_person(
    name: str, evidence: Evidence
) -> None:
    alone = Evidence(file="a", sha256=None, detector=evidence.detector)
    follow = judge(alone, load_policy(name)).follow
    assert follow.action == "none" or (follow.review and follow.action != "reject")


@settings(deadline=None)
@given(evidence=EVIDENCE)
def test_the_detector_changes_no_stronger_decision(evidence: Evidence) -> None:
    for name in shipped():
        policy = load_policy(name)
        without = judge(replace(evidence, detector=None), policy).decision
        if without not in (Decision.LIKELY_AI, Decision.UNCERTAIN, Decision.NO_EVIDENCE):
            assert judge(evidence, policy).decision is without


def test_a_policy_reads_the_probability_at_its_own_prior() -> None:
    said = DetectorEvidence(0.9, "likely_ai", "m@1", prior=0.5)
    evidence = Evidence(file="a", sha256=None, detector=said)
    text = HEAD + "detector: {prior: 0.01, likely_ai: 0.5, uncertain: 0.05}"
    outcome = judge(evidence, parse_policy(text, "x"))  # 0.9 at a half is 0.083 at one in a hundred
    assert outcome.decision is Decision.UNCERTAIN
    assert any("0.08" in reason for reason in outcome.reasons)
    stricter = text.replace("0.05}", "0.4}")
    assert judge(evidence, parse_policy(stricter, "x")).decision is Decision.NO_EVIDENCE
    assert decide(evidence)[0] is Decision.LIKELY_AI


def test_an_abstention_stays_one_in_every_band() -> None:
    said = DetectorEvidence(None, "abstain", "m@1", reasons=["too short"], prior=0.5)
    outcome = judge(Evidence(file="a", sha256=None, detector=said), load_policy("platform"))
    assert outcome.decision is Decision.UNCERTAIN
    assert "too short" in outcome.reasons[0]


def test_the_order_of_a_policy_decides_which_rule_counts() -> None:
    both = Evidence(
        file="a",
        sha256=None,
        provenance=ProvenanceEvidence(state="trusted", signer="S", manifest_id="a", declares_ai=True),
        watermark=WatermarkEvidence(found=True, log10_p=-12),
        recovery=RecoveryEvidence("recovered", "a"),
        in_registry=True,
    )
    assert judge(both, load_policy("platform")).decision is Decision.AI_DECLARED
    assert judge(both, load_policy("classroom")).decision is Decision.AI_RECOVERED


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "thn: {}", ["line 4", "`thn`", "did you mean 'then'"]),
        (HEAD + "prior: 0.02", ["line 4", "`prior`", "it belongs under `detector`"]),
        ("name: x\nversion: 1\n", ["`about` is missing"]),
        (HEAD + "then:\n  likly_ai: {}", ["line 5", "did you mean 'likely_ai'"]),
        (HEAD + "then:\n  tampered:\n    action: burn", ["line 6", "then.tampered.action", "'hold'"]),
        ("name: mine\nversion: 0\nabout: Ours.", ["line 2", "version"]),
        (HEAD + "version: 4", ["line 4", "twice"]),
        (HEAD + "then:\n  likely_ai: {action: label}", ["likely_ai", "without `review`"]),
        (HEAD + "then:\n  likely_ai: {action: reject, review: me}", ["likely_ai", "at all"]),
        (HEAD + "then:\n  uncertain: {action: hold}", ["uncertain", "without `review`"]),
        (HEAD + "then:\n  no_evidence: {action: label}", ["no_evidence", "proves nothing"]),
        (HEAD + "order: [tampered]", ["line 4", "missing"]),
        (
            HEAD + "order: [likely_ai, tampered, conflict, ai_declared, ai_recovered, ai_watermarked, "
            "authentic_declared, uncertain]",
            ["never overrule"],
        ),
        (HEAD + "detector: {prior: 0.5, likely_ai: 0.2, uncertain: 0.4}", ["line 4", "above"]),
        (HEAD + "detector: {prior: 0, likely_ai: 0.2, uncertain: 0.1}", ["line 4", "prior"]),
        ("a: &x [1]\nb: *x", ["aliases"]),
        ("[" * 3000, ["x"]),
        ("a: [", ["line 1", "no YAML"]),
        ("- 1", ["mapping"]),
        ("", ["mapping"]),
        ("!!python/object/apply:os.system ['true']", ["line 1", "tags"]),
        ("name: !!python/object/apply:os.system ['true']", ["line 1", "tags"]),
    ],
)
def test_what_is_wrong_in_a_policy_is_named_with_its_line(text: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_policy(text, "x")
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_policy_file_is_read_within_bounds(tmp_path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(HEAD)
    assert load_policy(path).label == "mine@3"
    path.write_text(HEAD + "#" * MAX_BYTES)
    with pytest.raises(UsageError, match="at most"):
        load_policy(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        load_policy(path)
    with pytest.raises(UsageError, match="platform"):
        load_policy("platfrom")


def test_two_texts_of_one_version_have_other_digests() -> None:
    first = parse_policy(HEAD, "x")
    second = Policy(name="mine", version=3, about="Theirs.")
    assert first.label == second.label
    assert first.digest != second.digest


def test_a_stranger_s_silent_credential_is_not_called_missing() -> None:
    silent = ProvenanceEvidence(state="valid_untrusted", signer="S")
    decision, reasons = decide(Evidence(file="a", sha256=None, provenance=silent))
    assert decision is Decision.NO_EVIDENCE
    assert "signed by S" in reasons[0]
    assert "No credential" not in reasons[0]
