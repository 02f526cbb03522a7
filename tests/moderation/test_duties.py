"""Duties follow from evidence, and from nothing else; what cannot be known is said to be unknown."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sorakit.moderation.duties import LAWS, duties_of
from sorakit.provenance.labels import plan_labels, read_declared
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import read_credential
from sorakit.types import (
    Evidence,
    LabelEvidence,
    ProvenanceEvidence,
    RecoveryEvidence,
    SourceType,
    WatermarkEvidence,
)

GENERATION = {
    "provider": "us",
    "system": {"name": "sorakit", "version": "1"},
    "time": "2026-01-01T00:00:00Z",
    "uniqueId": "u-1",
}
AIGC = {"Label": "1", "ContentProducer": "us", "ProduceID": "u-1"}


def whole(schemes: str = "eu,cn,ca", seconds: float = 60.0) -> Evidence:
    """What a check finds in a file that bears everything."""
    plan = plan_labels(schemes, SourceType.GENERATED)
    return Evidence(
        "a.mp4",
        "0" * 64,
        provenance=ProvenanceEvidence(
            state="valid_untrusted",
            signer="us",
            digital_source_type="trainedAlgorithmicMedia",
            actions=["c2pa.created"],
            declares_ai=True,
            generation=GENERATION,
            time_stamp="2026-01-01T00:00:00+00:00",
        ),
        watermark=WatermarkEvidence(found=True, algorithm="a.b", payload="0" * 16, log10_p=-30.0),
        labels=LabelEvidence(aigc=AIGC, declared=read_declared(plan.assertion(seconds))),
        in_registry=True,
    )


def met(evidence: Evidence, law: str) -> dict[str, Any]:
    """The first words of each duty, and whether it is met."""
    return {d["duty"][:18]: d["met"] for d in duties_of(evidence)[law]}


def test_all_met_but_what_only_a_platform_can_do() -> None:
    assert {v for law in ("eu", "ca") for v in met(whole(), law).values()} == {True}
    assert [d["duty"] for d in duties_of(whole())["cn"] if d["met"] is not True] == [
        "whoever passes it on is named beside the producer"
    ]


def test_nothing_is_met_by_a_bare_file() -> None:
    found = duties_of(Evidence("a.mp4", "0" * 64))
    assert set(found) == set(LAWS)
    assert not [d for law in found.values() for d in law if d["met"] is True]
    assert all(d["todo"] for d in found["ca"])


def without(part: str) -> Evidence:
    e = whole()
    return {
        "stamp": replace(e, provenance=replace(e.provenance, time_stamp=None)),
        "mark": replace(e, watermark=WatermarkEvidence()),
        "aigc": replace(e, labels=replace(e.labels, aigc=None)),
        "aigc label": replace(e, labels=replace(e.labels, aigc=AIGC | {"Label": "9"})),
        "registry": replace(e, in_registry=False),
        "ai": replace(e, provenance=replace(e.provenance, declares_ai=False)),
        "version": replace(
            e, provenance=replace(e.provenance, generation=GENERATION | {"system": {"name": "x"}})
        ),
        "id": replace(e, provenance=replace(e.provenance, generation=GENERATION | {"uniqueId": ""})),
    }[part]


@pytest.mark.parametrize(
    ("part", "law", "lost"),
    [
        ("stamp", "eu", {"a time stamp on th": False}),
        ("mark", "eu", {"an imperceptible w": False}),
        ("mark", "ca", {"the disclosure is ": False}),
        ("mark", "cn", {"a watermark in the": False}),
        ("aigc", "cn", {"an AIGC entry in t": False}),
        ("aigc label", "cn", {"an AIGC entry in t": False}),
        ("registry", "eu", {"a log entry or fin": "unknown"}),
        ("ai", "eu", {"signed metadata th": False}),
        ("version", "ca", {"name and version o": False}),
        ("id", "ca", {"a unique identifie": False}),
    ],
)
def test_each_duty_rests_on_its_own_evidence(part: str, law: str, lost: dict[str, Any]) -> None:
    assert met(without(part), law) == met(whole(), law) | lost


def test_ours_without_a_label_has_none_and_others_are_unknown() -> None:
    bare = replace(whole(), labels=LabelEvidence(aigc=AIGC))
    assert met(bare, "eu")["a visible “AI” ico"] is False
    theirs = replace(bare, provenance=replace(bare.provenance, generation=None))
    assert met(theirs, "eu")["a visible “AI” ico"] == "unknown"


def test_a_broken_credential_states_nothing() -> None:
    broken = replace(whole(), provenance=replace(whole().provenance, state="tampered"))
    assert met(broken, "eu")["a visible “AI” ico"] == "unknown"
    assert met(broken, "eu")["signed metadata th"] is False
    assert met(broken, "ca")["the provider's nam"] is False


def test_a_recovered_manifest_still_discloses() -> None:
    e = replace(
        whole(),
        provenance=ProvenanceEvidence(),
        labels=LabelEvidence(),
        recovery=RecoveryEvidence("recovered", "m", 0.99, {"generation": GENERATION}),
    )
    assert met(e, "ca")["the provider's nam"] is True
    assert met(e, "eu")["signed metadata th"] is False


@pytest.mark.parametrize(("seconds", "is_met"), [(60.0, True), (2.0, True), (1.5, "unknown")])
def test_two_seconds_need_two_seconds(seconds: float, is_met: Any) -> None:
    assert met(whole(seconds=seconds), "cn")["visible words from"] == is_met


def test_odd_statements_of_others_break_nothing() -> None:
    e = whole()
    odd = read_declared(
        {"visible": [{"scheme": "eu", "everySeconds": 1, "startSeconds": 0}, {"scheme": "cn"}]}
    )
    e = replace(e, labels=replace(e.labels, declared=odd))
    strange = replace(e.provenance, generation={"provider": ["x"] * 999, "model": 7, "system": {"name": {}}})
    found = duties_of(replace(e, provenance=strange))
    assert all(len(d["why"]) < 400 for law in found.values() for d in law)


def test_a_label_that_is_too_small_does_not_count() -> None:
    e = whole()
    assert e.labels.declared is not None
    small = [v | {"heightShare": 0.02} for v in e.labels.declared["visible"]]
    e = replace(e, labels=replace(e.labels, declared=e.labels.declared | {"visible": small}))
    assert met(e, "cn")["visible words from"] is False


@pytest.mark.parametrize(
    ("name", "stamp"),
    [("own_expired_leaf_with_timestamp.mp4", "2026-11-21"), ("video1_no_manifest.mp4", None)],
)
def test_time_stamps_of_real_files(name: str, stamp: str | None, shared_data: Path) -> None:
    found = read_credential(shared_data / "c2pa" / name, Trust()).provenance.time_stamp
    assert (found or "")[:10] == (stamp or "")


def test_ai_that_is_not_the_first_source_type_is_declared_all_the_same() -> None:
    e = whole()
    captured = replace(e.provenance, digital_source_type="digitalCapture")
    (duty, *_) = duties_of(replace(e, provenance=captured))["eu"]
    assert duty["met"] is True and "AI had a part" in duty["why"]
