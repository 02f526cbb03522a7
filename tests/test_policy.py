"""The default policy: every row of its table, which row wins, and what no evidence may ever do."""

import hashlib
from dataclasses import replace
from itertools import combinations, product

import pytest

from sorakit.check import exit_code
from sorakit.moderation.policy import POLICY, decide
from sorakit.types import (
    Decision,
    DetectorEvidence,
    Evidence,
    ProvenanceEvidence,
    RecoveryEvidence,
    Verdict,
    WatermarkEvidence,
)

OURS, OTHER = "urn:c2pa:ours", "urn:c2pa:other"
MARK = WatermarkEvidence(found=True, algorithm="a.b.c", payload="00" * 8, log10_p=-12.0)
RECOVERED = RecoveryEvidence("recovered", OURS, 0.97, {"signer": "S"})
NO_MATCH = RecoveryEvidence("no_match", similarity=0.4)


def evidence(**parts: object) -> Evidence:
    return replace(Evidence(file="a.mp4", sha256="0" * 64), **parts)


def credential(state: str, **parts: object) -> ProvenanceEvidence:
    base = ProvenanceEvidence(state=state, signer="S", manifest_id=OURS)  # type: ignore[arg-type]
    return replace(base, **parts)


def detector(label: str, probability: float | None = 0.9) -> DetectorEvidence:
    return DetectorEvidence(probability, label, "some@1")  # type: ignore[arg-type]


TABLE = {
    "error": (evidence(error="no such file: a.mp4"), Decision.ERROR),
    "broken credential": (evidence(provenance=credential("tampered", problems=["x"])), Decision.TAMPERED),
    "broken credential of an AI": (
        evidence(provenance=credential("tampered", declares_ai=True), in_registry=True),
        Decision.TAMPERED,
    ),
    "mark leads elsewhere": (
        evidence(provenance=credential("trusted", manifest_id=OTHER), watermark=MARK, recovery=RECOVERED),
        Decision.CONFLICT,
    ),
    "mark leads elsewhere, signer unknown": (
        evidence(
            provenance=credential("valid_untrusted", manifest_id=OTHER), watermark=MARK, recovery=RECOVERED
        ),
        Decision.CONFLICT,
    ),
    "a stranger's credential under the registered one's name": (
        evidence(provenance=credential("valid_untrusted"), watermark=MARK, recovery=RECOVERED),
        Decision.CONFLICT,
    ),
    "a later editor's credential that names the recovered one": (
        evidence(
            provenance=credential(
                "trusted",
                manifest_id=OTHER,
                declares_ai=True,
                ingredients=[{"ingredients": [{"manifest_id": OURS, "state": "valid_untrusted"}]}],
            ),
            watermark=MARK,
            recovery=RECOVERED,
        ),
        Decision.AI_DECLARED,
    ),
    "trusted camera beside a mark": (
        evidence(provenance=credential("trusted", declares_capture=True), watermark=MARK),
        Decision.CONFLICT,
    ),
    "trusted camera footage, openly edited by AI, with the editor's mark": (
        evidence(
            provenance=credential("trusted", declares_capture=True, declares_ai=True),
            watermark=MARK,
            in_registry=True,
        ),
        Decision.AI_DECLARED,
    ),
    "trusted AI": (evidence(provenance=credential("trusted", declares_ai=True)), Decision.AI_DECLARED),
    "AI that the registry holds": (
        evidence(provenance=credential("valid_untrusted", declares_ai=True), in_registry=True),
        Decision.AI_DECLARED,
    ),
    "recovered": (evidence(watermark=MARK, recovery=RECOVERED), Decision.AI_RECOVERED),
    "mark of an unknown id": (
        evidence(watermark=MARK, recovery=RecoveryEvidence("unavailable")),
        Decision.AI_WATERMARKED,
    ),
    "mark on another picture": (evidence(watermark=MARK, recovery=NO_MATCH), Decision.AI_WATERMARKED),
    "trusted camera": (
        evidence(provenance=credential("trusted", declares_capture=True)),
        Decision.AUTHENTIC_DECLARED,
    ),
    "AI by a stranger's word": (
        evidence(provenance=credential("valid_untrusted", declares_ai=True)),
        Decision.LIKELY_AI,
    ),
    "detector says AI": (evidence(detector=detector("likely_ai")), Decision.LIKELY_AI),
    "detector between": (evidence(detector=detector("uncertain", 0.5)), Decision.UNCERTAIN),
    "detector abstains": (evidence(detector=detector("abstain", None)), Decision.UNCERTAIN),
    "detector low": (evidence(detector=detector("abstain", 0.1)), Decision.NO_EVIDENCE),
    "camera by a stranger's word": (
        evidence(provenance=credential("valid_untrusted", declares_capture=True)),
        Decision.NO_EVIDENCE,
    ),
    "trusted, declares nothing": (evidence(provenance=credential("trusted")), Decision.NO_EVIDENCE),
    "detector says real": (evidence(detector=detector("likely_real", 0.02)), Decision.NO_EVIDENCE),
    "nothing": (evidence(), Decision.NO_EVIDENCE),
}


@pytest.mark.parametrize("name", TABLE)
def test_table(name: str) -> None:
    given, expected = TABLE[name]
    decision, reasons = decide(given)
    assert decision is expected
    assert reasons
    assert all((r.strip() == r and r[0].isupper()) or given.error == r for r in reasons), reasons


# For each decision, what has to be there; together they make evidence for two decisions at once.
_HOLDS: dict[Decision, dict[str, object]] = {
    Decision.TAMPERED: {"provenance": credential("tampered", declares_ai=True, declares_capture=True)},
    Decision.CONFLICT: {
        "provenance": credential("trusted", manifest_id=OTHER, declares_ai=True, declares_capture=True),
        "watermark": MARK,
        "recovery": RECOVERED,
    },
    Decision.AI_DECLARED: {
        "provenance": credential("trusted", declares_ai=True, declares_capture=True),
        "in_registry": True,
    },
    Decision.AI_RECOVERED: {"watermark": MARK, "recovery": RECOVERED},
    Decision.AI_WATERMARKED: {"watermark": MARK},
    Decision.AUTHENTIC_DECLARED: {"provenance": credential("trusted", declares_capture=True)},
    Decision.LIKELY_AI: {"detector": detector("likely_ai")},
    Decision.UNCERTAIN: {"detector": detector("uncertain", 0.5)},
}


@pytest.mark.parametrize(("strong", "weak"), list(combinations(_HOLDS, 2)))
def test_the_stronger_decision_wins(strong: Decision, weak: Decision) -> None:
    both = evidence(**(_HOLDS[weak] | _HOLDS[strong]))
    pair = {strong, weak}
    if pair in (
        {Decision.AI_RECOVERED, Decision.AUTHENTIC_DECLARED},
        {Decision.AI_WATERMARKED, Decision.AUTHENTIC_DECLARED},
    ):
        assert decide(both)[0] is Decision.CONFLICT  # a camera's word beside a mark is a row of its own
    else:
        assert decide(both)[0] is strong


def everything() -> list[Evidence]:
    """All evidence that the policy can tell apart."""
    states = ("trusted", "valid_untrusted", "tampered", "none", "error")
    marks = [
        (WatermarkEvidence(), RecoveryEvidence()),
        (MARK, RecoveryEvidence()),
        (MARK, RecoveryEvidence("unavailable")),
        (MARK, NO_MATCH),
        (MARK, RECOVERED),
    ]
    opinions = [
        None,
        detector("likely_ai"),
        detector("uncertain"),
        detector("likely_real"),
        detector("abstain", None),
    ]
    return [
        evidence(
            provenance=credential(state, declares_ai=ai, declares_capture=capture, manifest_id=manifest),
            watermark=mark,
            recovery=recovery,
            detector=opinion,
            in_registry=ours,
        )
        for state, ai, capture, manifest, (mark, recovery), opinion, ours in product(
            states, (False, True), (False, True), (OURS, OTHER), marks, opinions, (False, True)
        )
    ]


def test_no_detector_overrules_credential_or_mark() -> None:
    strong = set(Decision) - {Decision.LIKELY_AI, Decision.UNCERTAIN, Decision.NO_EVIDENCE}
    for e in everything():
        without = decide(replace(e, detector=None))[0]
        if without in strong:
            assert decide(e)[0] is without, e


def test_authentic_only_on_a_trusted_credential_and_never_beside_a_mark() -> None:
    for e in everything():
        if decide(e)[0] is Decision.AUTHENTIC_DECLARED:
            assert e.provenance.state == "trusted"
            assert e.provenance.declares_capture
            assert not e.provenance.declares_ai
            assert not e.watermark.found


def test_a_missing_credential_is_evidence_of_nothing() -> None:
    for e in everything():
        if e.provenance.state == "none" and not e.watermark.found and e.detector is None:
            assert decide(e)[0] is Decision.NO_EVIDENCE


def test_reasons_of_a_tampered_file_say_what_the_mark_recovers() -> None:
    e = evidence(provenance=credential("tampered", problems=["hash"]), watermark=MARK, recovery=RECOVERED)
    decision, reasons = decide(e)
    assert decide(replace(e, watermark=WatermarkEvidence(), recovery=RecoveryEvidence()))[1] != reasons
    assert decision is Decision.TAMPERED
    assert "hash" in reasons[0]
    assert any("registered credential" in r for r in reasons[1:])


def test_reasons_never_contradict_each_other() -> None:
    """A mark whose credential the registry holds must not be called unknown to it."""
    declared = evidence(
        provenance=credential("valid_untrusted", declares_ai=True), watermark=MARK, in_registry=True
    )
    for e in (declared, evidence(watermark=MARK, recovery=RECOVERED)):
        assert not any("not in this registry" in r for r in decide(e)[1])
    unknown = evidence(watermark=MARK, recovery=RecoveryEvidence("unavailable"))
    assert any("not in this registry" in r for r in decide(unknown)[1])


# exit codes


def verdict(name: str) -> Verdict:
    given = TABLE[name][0]
    decision, reasons = decide(given)
    return Verdict(decision, given, reasons, POLICY, 1)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("error", 1),
        ("broken credential", 4),
        ("mark leads elsewhere", 4),
        ("trusted camera beside a mark", 4),
        ("trusted AI", 0),
        ("trusted camera", 0),
        ("AI that the registry holds", 5),
        ("AI by a stranger's word", 5),
        ("recovered", 6),
        ("nothing", 3),
        ("detector says AI", 3),
    ],
)
def test_exit_code_of_one_file(name: str, code: int) -> None:
    assert exit_code([verdict(name)]) == code


def test_exit_code_of_several_files_is_the_first_that_matters() -> None:
    names = {
        1: "error",
        4: "broken credential",
        10: "detector says AI",
        6: "recovered",
        5: "AI by a stranger's word",
        3: "nothing",
        0: "trusted AI",
    }
    codes = list(names)
    for i, first in enumerate(codes):
        files = [verdict(names[c]) for c in codes[i:]]
        assert exit_code(files, 0.5) == first
        assert exit_code(files[::-1], 0.5) == first


def test_fail_above_is_exclusive_and_ignores_a_detector_without_opinion() -> None:
    ai = verdict("detector says AI")
    assert exit_code([ai], 0.89) == 10
    assert exit_code([ai], 0.9) == 3
    assert exit_code([ai], None) == 3
    assert exit_code([verdict("detector abstains")], 0.0) == 3


def test_json_has_every_promised_key() -> None:
    full = replace(TABLE["recovered"][0], detector=detector("likely_ai"))
    decision, reasons = decide(full)
    line = Verdict(decision, full, reasons, POLICY, 12).to_json()
    promised = {
        "file": None,
        "sha256": None,
        "decision": None,
        "reasons": None,
        "policy": None,
        "elapsed_ms": None,
        "provenance": {
            "state",
            "signer",
            "claim_generator",
            "digital_source_type",
            "actions",
            "ingredients",
            "problems",
        },
        "watermark": {"found", "algorithm", "payload", "log10_p", "segments"},
        "recovery": {"state", "manifest_id", "similarity", "manifest"},
        "detector": {"probability", "label", "segments", "model", "reasons"},
        "labels": {"aigc", "iptc", "visible"},
    }
    for key, inner in promised.items():
        assert key in line
        assert inner is None or inner <= set(line[key]), key
    assert line["decision"] == "ai_recovered"
    assert isinstance(line["decision"], str)


def test_the_default_policy_decides_as_it_always_did() -> None:
    """The 2,000 decisions of `everything`, as the policy took them before policies were files."""
    taken = "\n".join(str(decide(e)[0]) for e in everything())
    known = "d406353a32ad1efa2ca6f000aac81e40d81f943da7e67ecb10bf7eda361b0d77"
    assert hashlib.sha256(taken.encode()).hexdigest() == known
