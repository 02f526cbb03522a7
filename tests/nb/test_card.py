"""The credential card: what it says of each kind of evidence, and that foreign text stays text."""

from pathlib import Path

import pytest

from sorakit.check import check
from sorakit.config import Settings
from sorakit.nb import CredentialCard
from sorakit.nb.card import registered_credential
from sorakit.nb.words import BADGES, action_words, mark_words, source_words
from sorakit.types import (
    Decision,
    Evidence,
    ProvenanceEvidence,
    RecoveryEvidence,
    SourceType,
    Verdict,
    WatermarkEvidence,
)

HOSTILE = '<b onclick="x()">&\'"</dl><script>'


def verdict(decision: Decision = Decision.NO_EVIDENCE, **layers: object) -> Verdict:
    """A verdict over evidence with the given layers."""
    return Verdict(decision, Evidence("clip.mp4", "0" * 64, **layers), ["Because."], "default@1", 1)  # type: ignore[arg-type]


def facts(v: Verdict) -> dict[str, str]:
    card = CredentialCard(v)
    return {f.name: f.value for f in [*card.evidence, *card.claims]}


def test_every_decision_has_a_badge() -> None:
    assert set(BADGES) == set(Decision)
    css = (Path(CredentialCard.__module__.replace(".", "/")).parent / "templates" / "card.css").name
    assert css == "card.css"
    for decision in Decision:
        html = CredentialCard(verdict(decision))._repr_html_()
        assert f"sk-badge sk-{BADGES[decision].tone}" in html
        assert BADGES[decision].title in html
        assert f"<code>{decision}</code>" in html


@pytest.mark.parametrize("tone", sorted({b.tone for b in BADGES.values()}))
def test_badges_can_be_read(tone: str) -> None:
    """White on the badge's colour has a contrast of 4.5 or more (WCAG 2.2, 1.4.3)."""
    html = CredentialCard(verdict())._repr_html_()
    rule = f".sk-badge.sk-{tone} {{ background: " if tone != "plain" else "background: #59616c"
    colour = html.split(rule)[1][:7] if tone != "plain" else "#59616c"
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (luminance + 0.05) >= 4.5


def test_foreign_text_stays_text() -> None:
    own = ProvenanceEvidence("tampered", HOSTILE, HOSTILE, HOSTILE, [HOSTILE], [], [HOSTILE], HOSTILE)
    recovery = RecoveryEvidence("recovered", HOSTILE, 0.9, {"signer": HOSTILE, "actions": [HOSTILE]})
    html = CredentialCard(verdict(Decision.TAMPERED, provenance=own, recovery=recovery))._repr_html_()
    assert "<b onclick" not in html
    assert "<script" not in html
    assert "&lt;b onclick=" in html


def test_text_is_cut_to_a_bound() -> None:
    own = ProvenanceEvidence("valid_untrusted", "x" * 100_000, manifest_id="y" * 100_000)
    assert len(CredentialCard(verdict(provenance=own))._repr_html_()) < 20_000


def test_whose_words_they_are_is_said() -> None:
    ours = {"signer": "someone", "actions": []}
    recovered = verdict(
        Decision.AI_RECOVERED,
        watermark=WatermarkEvidence(True, "a.b.c", "00" * 8, -12.0),
        recovery=RecoveryEvidence("recovered", "urn:1", 0.875, ours),
    )
    assert CredentialCard(recovered).heading == "The credential that the mark led back to"
    assert facts(recovered)["Credential"] == "none in the file"
    assert facts(recovered)["Signed by"] == "someone"
    assert facts(recovered)["Manifest"] == "urn:1"
    assert "similarity 0.88" in facts(recovered)["Registry"]
    broken = verdict(Decision.TAMPERED, provenance=ProvenanceEvidence("tampered", "someone"))
    assert CredentialCard(broken).heading == "What the broken credential claimed"
    assert CredentialCard(verdict()).heading == "No credential"
    assert CredentialCard(verdict()).claims == []


def test_a_development_certificate_is_called_one() -> None:
    own = ProvenanceEvidence("valid_untrusted", "NOT TRUSTED - DEV signer (NOT TRUSTED - DEV)")
    assert "nobody trusts it but you" in CredentialCard(verdict(provenance=own))._repr_html_()
    other = ProvenanceEvidence("valid_untrusted", "A Company")
    assert "nobody trusts it but you" not in CredentialCard(verdict(provenance=other))._repr_html_()


def test_words_know_what_the_kit_writes() -> None:
    assert all(source_words(s) != s for s in SourceType)
    for action in ("c2pa.created", "c2pa.opened", "c2pa.watermarked.bound", "c2pa.transcoded"):
        assert action_words(action) != action
    assert action_words("vendor.special") == "vendor.special"
    found = verdict(watermark=WatermarkEvidence(True, "a.b.c", "0123456789abcdef", -90.2))
    assert "0123456789abcdef" in mark_words(found)
    assert "10⁹⁰" in mark_words(found)


def test_a_missing_file_gives_a_card_without_facts(settings: Settings) -> None:
    card = CredentialCard.of(check("no-such.mp4", settings=settings), settings)
    assert card.badge.title == "Not readable"
    assert (card.evidence, card.claims, card.credential) == ([], [], None)
    assert str(card).startswith("error  no such file: no-such.mp4")


def test_a_published_clip_names_model_and_binding(way: object) -> None:
    done = way.publish(way.clip(), "a.mp4")  # type: ignore[attr-defined]
    seen = way.check(done.path)  # type: ignore[attr-defined]
    settings = way.settings  # type: ignore[attr-defined]
    card = CredentialCard.of(seen, settings)
    lines = {f.name: f.value for f in card.claims}
    assert lines["Manifest"] == done.manifest_id
    assert lines["Soft binding"].startswith(done.payload)
    assert lines["Declares"] == "made by AI"
    assert lines["Time"].endswith("UTC")
    assert "this registry issued it" in str(card)
    assert registered_credential(verdict(), settings) is None
