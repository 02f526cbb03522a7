"""What the registry knows about a file: is its credential one of ours, and where does its mark lead?

In: the evidence that the file carries in itself. Out: the same with `in_registry` and `recovery` filled in. A
mark alone proves little, since anyone can copy it onto another picture: only a registered fingerprint that
matches what is seen makes it a recovery (C2PA 2.4, durable content credentials). Where this registry does
not know the mark, resolvers that the user named may; their manifests have to bring the fingerprint along.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sorakit.config import Limits, Settings
from sorakit.inspect_file import Findings
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import Credential
from sorakit.registry.fingerprint import Fingerprint
from sorakit.registry.match import MATCH_THRESHOLD, similarity
from sorakit.registry.record import Printed
from sorakit.registry.remote import ask_resolvers
from sorakit.registry.repo import Registry
from sorakit.registry.stored import open_stored
from sorakit.types import Evidence, RecoveryEvidence

__all__ = ["ask_others", "ask_registry"]


def ask_registry(evidence: Evidence, found: Findings, settings: Settings, trust: Trust) -> Evidence:
    """`evidence` with the registry's answers. Without a registry a mark leads nowhere (`unavailable`).

    Raises `RegistryError` when there is a registry and it cannot be read.
    """
    if Registry.exists(settings.database_url):
        with Registry(settings.database_url) as registry:
            return _ask(evidence, found, registry, trust, settings.limits)
    if found.watermark.found:
        return replace(evidence, recovery=RecoveryEvidence("unavailable"))
    return evidence


def ask_others(
    evidence: Evidence, found: Findings, resolvers: Sequence[str], settings: Settings, trust: Trust
) -> Evidence:
    """`evidence` with what `resolvers` give for a mark that this registry did not account for.

    Nobody is asked when there is no mark, when this registry recovered the credential, or when the file's
    own trusted credential names this mark. Raises `UsageError` for an address that cannot be one.
    """
    mark, local = _named(evidence), evidence.recovery
    if not resolvers or mark is None or found.fingerprint is None:
        return evidence
    if local.state not in ("unavailable", "no_match"):
        return evidence
    if evidence.provenance.state == "trusted" and mark in found.soft_bindings:
        return evidence
    hit, told = ask_resolvers(mark, found.fingerprint, resolvers, trust, settings)
    if hit is None:
        best = local if local.state == "no_match" else told
        return replace(evidence, recovery=replace(best, problems=told.problems))
    manifest_id = hit.credential.provenance.manifest_id
    if evidence.provenance.state in ("trusted", "valid_untrusted") and hit.store_sha256 == found.store_sha256:
        same = RecoveryEvidence("not_needed", manifest_id, source=hit.resolver, problems=told.problems)
        return replace(evidence, recovery=same)
    recovered = RecoveryEvidence(
        "recovered", manifest_id, hit.similarity, _summary(hit.credential), hit.resolver, told.problems
    )
    return replace(evidence, recovery=recovered)


def _named(evidence: Evidence) -> tuple[str, str] | None:
    mark = evidence.watermark
    if not mark.found or mark.algorithm is None or mark.payload is None:
        return None
    return mark.algorithm, mark.payload


def _ask(evidence: Evidence, found: Findings, registry: Registry, trust: Trust, limits: Limits) -> Evidence:
    embedded = evidence.provenance
    if embedded.manifest_id:
        ours = registry.get(embedded.manifest_id)
        evidence = replace(evidence, in_registry=ours is not None and ours.store_sha256 == found.store_sha256)
    mark = _named(evidence)
    if mark is None:
        return evidence
    candidates = registry.prints_by_binding(*mark)
    intact = evidence.in_registry and embedded.state != "tampered"
    if intact and any(c.manifest_id == embedded.manifest_id for c in candidates):
        return evidence  # the embedded credential and the mark agree: nothing to recover
    if not candidates or found.fingerprint is None:
        return replace(evidence, recovery=RecoveryEvidence("unavailable"))
    return replace(evidence, recovery=_recover(registry, candidates, found.fingerprint, trust, limits))


def _recover(
    registry: Registry, candidates: Sequence[Printed], seen: Fingerprint, trust: Trust, limits: Limits
) -> RecoveryEvidence:
    """The registered manifest whose fingerprint fits best, if any fits."""
    scored = [(similarity(c.fingerprint, seen), c) for c in candidates if c.fingerprint is not None]
    score, first = max(scored, key=lambda s: (s[0], s[1].created), default=(0.0, None))
    best = registry.get(first.manifest_id) if first is not None and score >= MATCH_THRESHOLD else None
    if best is None:
        return RecoveryEvidence("no_match", similarity=score)
    about = {"title": best.title, "created": best.created.isoformat()}
    manifest = _summary(open_stored(best.store, trust, limits)) | about
    return RecoveryEvidence("recovered", best.manifest_id, score, manifest, "registry")


def _summary(stored: Credential) -> dict[str, Any]:
    return {
        "state": stored.provenance.state,
        "signer": stored.provenance.signer,
        "claim_generator": stored.provenance.claim_generator,
        "digital_source_type": stored.provenance.digital_source_type,
        "actions": stored.provenance.actions,
        "generation": stored.generation,
    }
