"""The one gate in: what made this video?

In: a file. Out: a `Verdict` with every layer's evidence. Order: guard, provenance, watermark, recovery
through the registry, detector, policy. All parsing of the foreign bytes happens in one child process under
limits on time and memory; this process sees only the JSON that comes back, and the registry.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from sorakit.config import Settings
from sorakit.errors import SorakitError
from sorakit.inspect_file import Findings
from sorakit.moderation.policy import POLICY, decide
from sorakit.provenance.trust import Trust, load_trust
from sorakit.provenance.verify import read_store
from sorakit.registry.fingerprint import Fingerprint
from sorakit.registry.match import MATCH_THRESHOLD, similarity
from sorakit.registry.record import Record
from sorakit.registry.repo import Registry
from sorakit.types import (
    Decision,
    DetectorEvidence,
    Evidence,
    Progress,
    RecoveryEvidence,
    Verdict,
)
from sorakit.video.guard import prescan, run_guarded

__all__ = ["check", "exit_code"]


def check(
    path: Path | str,
    *,
    trust: Trust | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """Say what is known about how the video (or image) at `path` was made.

    A file that cannot be read gives a verdict `error` with the reason; nothing is raised for bad input.

    >>> check("missing.mp4").decision
    <Decision.ERROR: 'error'>
    """
    start = time.monotonic()
    path = Path(path)
    settings = settings or Settings()
    try:
        evidence = _gather(path, trust or load_trust(settings), settings, progress)
    except SorakitError as e:
        evidence = Evidence(file=str(path), sha256=None, error=str(e))
    decision, reasons = decide(evidence)
    return Verdict(decision, evidence, reasons, POLICY, round((time.monotonic() - start) * 1000))


def _gather(path: Path, trust: Trust, settings: Settings, progress: Progress | None) -> Evidence:
    limits = settings.limits
    prescan(path, limits)
    answer = run_guarded(
        "sorakit.inspect_file:inspect_file",
        {"path": str(path.absolute()), "trust": trust.to_json()},
        timeout=limits.check_seconds,
        memory_bytes=limits.memory_bytes,
        on_progress=progress,
    )
    found = Findings.from_json(answer)
    evidence = Evidence(
        file=str(path),
        sha256=found.sha256,
        provenance=found.provenance,
        watermark=found.watermark,
        labels=found.labels,
    )
    if Registry.exists(settings.database_url):
        with Registry(settings.database_url) as registry:
            evidence = _ask_registry(evidence, found, registry, trust)
    elif found.watermark.found:
        evidence = replace(evidence, recovery=RecoveryEvidence("unavailable"))
    return replace(evidence, detector=_detect(path))


def _ask_registry(evidence: Evidence, found: Findings, registry: Registry, trust: Trust) -> Evidence:
    """Is the embedded credential one of ours, and where does the mark lead?"""
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


def _detect(path: Path) -> DetectorEvidence | None:
    """The first installed detector's opinion; None where none is installed."""
    for point in entry_points(group="sorakit.detectors"):
        opinion: DetectorEvidence = point.load()().detect(path)
        return opinion
    return None


_STATE_CODES = {"trusted": 0, "none": 3, "tampered": 4, "valid_untrusted": 5, "error": 1}
_ORDER = (1, 4, 10, 6, 5, 3)


def exit_code(verdicts: Sequence[Verdict], fail_above: float | None = None) -> int:
    """What `sorakit check` returns: the first of 1, 4, 10, 6, 5, 3 that occurs, else 0."""
    codes = set()
    for v in verdicts:
        if v.decision is Decision.ERROR:
            codes.add(1)
            continue
        code = _STATE_CODES[v.evidence.provenance.state]
        if v.decision is Decision.CONFLICT:
            code = 4
        if code == 3 and v.evidence.watermark.found:
            code = 6
        codes.add(code)
        detector = v.evidence.detector
        if fail_above is not None and detector and (detector.probability or 0.0) > fail_above:
            codes.add(10)
    return next((c for c in _ORDER if c in codes), 0)
