"""What the registry knows about a file: is its credential one of ours, and where does its mark lead?

In: the evidence that the file carries in itself. Out: the same with `in_registry` and `recovery` filled in. A
mark alone proves little, since anyone can copy it onto another picture: only a registered fingerprint that
matches what is seen makes it a recovery (C2PA 2.4, durable content credentials).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sorakit.inspect_file import Findings
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import read_store
from sorakit.registry.fingerprint import Fingerprint
from sorakit.registry.match import MATCH_THRESHOLD, similarity
from sorakit.registry.record import Record
from sorakit.registry.repo import Registry
from sorakit.types import Evidence, RecoveryEvidence

__all__ = ["ask_registry"]


def ask_registry(evidence: Evidence, found: Findings, database_url: str, trust: Trust) -> Evidence:
    """`evidence` with the registry's answers. Without a registry a mark leads nowhere (`unavailable`).

    Raises `RegistryError` when there is a registry and it cannot be read.
    """
    if Registry.exists(database_url):
        with Registry(database_url) as registry:
            return _ask(evidence, found, registry, trust)
    if found.watermark.found:
        return replace(evidence, recovery=RecoveryEvidence("unavailable"))
    return evidence


def _ask(evidence: Evidence, found: Findings, registry: Registry, trust: Trust) -> Evidence:
    embedded = evidence.provenance
    if embedded.manifest_id:
        ours = registry.get(embedded.manifest_id)
        evidence = replace(evidence, in_registry=ours is not None and ours.store_sha256 == found.store_sha256)
    mark = evidence.watermark
    if not mark.found or mark.algorithm is None or mark.payload is None:
        return evidence
    candidates = registry.find_by_binding(mark.algorithm, mark.payload)
    intact = evidence.in_registry and embedded.state != "tampered"
    if intact and any(c.manifest_id == embedded.manifest_id for c in candidates):
        return evidence  # the embedded credential and the mark agree: nothing to recover
    if not candidates or found.fingerprint is None:
        return replace(evidence, recovery=RecoveryEvidence("unavailable"))
    return replace(evidence, recovery=_recover(candidates, found.fingerprint, trust))


def _recover(candidates: Sequence[Record], seen: Fingerprint, trust: Trust) -> RecoveryEvidence:
    """The registered manifest whose fingerprint fits best, if any fits."""
    scored = [(similarity(c.fingerprint, seen), c) for c in candidates if c.fingerprint is not None]
    score, best = max(scored, key=lambda s: (s[0], s[1].created), default=(0.0, None))
    if best is None or score < MATCH_THRESHOLD:
        return RecoveryEvidence("no_match", similarity=score)
    stored = read_store(best.store, trust)
    manifest: dict[str, Any] = {
        "state": stored.provenance.state,
        "signer": stored.provenance.signer,
        "claim_generator": stored.provenance.claim_generator,
        "digital_source_type": stored.provenance.digital_source_type,
        "actions": stored.provenance.actions,
        "generation": stored.generation,
        "title": best.title,
        "created": best.created.isoformat(),
    }
    return RecoveryEvidence("recovered", best.manifest_id, score, manifest)
