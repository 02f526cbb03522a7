"""The one gate in: what made this video?

In: a file. Out: a `Verdict` with every layer's evidence. Order: guard, provenance, watermark, recovery
through the registry, detector, policy. All parsing of the foreign bytes happens in one child process under
limits on time and memory; this process sees only the JSON that comes back, and the registry.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sorakit.config import Settings
from sorakit.detect import choose, failed, installed, opinion
from sorakit.errors import SorakitError
from sorakit.moderation.decision_log import append
from sorakit.moderation.duties import duties_of
from sorakit.moderation.policy import Policy, judge
from sorakit.moderation.policy_file import load_policy
from sorakit.provenance.trust import Trust, load_trust
from sorakit.standing import ask_revocation, notes
from sorakit.types import Decision, DetectorEvidence, Evidence, Progress, Verdict
from sorakit.video.fragments import joined
from sorakit.video.guard import prescan, run_guarded
from sorakit.watermark.keyring import secret_keys

__all__ = ["check", "exit_code"]


def check(
    path: Path | str,
    *,
    trust: Trust | None = None,
    settings: Settings | None = None,
    resolvers: Sequence[str] = (),
    progress: Progress | None = None,
    fragments: Sequence[Path] = (),
    policy: Policy | None = None,
    log: Path | None = None,
) -> Verdict:
    """Say what is known about how the video (or image) at `path` was made.

    `resolvers`: addresses of Soft Binding Resolution APIs, asked besides `settings.resolvers` where the
    file's mark leads nowhere here. `fragments`: the media segments (`.m4s`) that belong to `path` where that
    is the init segment of a stream. With `settings.ocsp` a trusted signer's issuer is asked whether the
    certificate was revoked. Without resolvers and OCSP nothing is ever sent. `policy`: what decides,
    `settings.policy` if None; `log`: where the decision is noted, `settings.decision_log` if None.

    A file that cannot be read gives a verdict `error` with the reason; nothing is raised for bad input. A
    detector that fails takes nothing from the other layers; where they find nothing the verdict is `error`.
    Raises `UsageError` for a policy that is none, `OutputError` where the decision cannot be noted.

    >>> check("missing.mp4").decision
    <Decision.ERROR: 'error'>
    """
    start = time.monotonic()
    path = Path(path)
    settings = settings or Settings()
    policy = policy or load_policy(settings.policy)
    try:
        with joined(path, fragments, settings.limits) as whole:
            parts = {"fragments": [str(p.absolute()) for p in fragments], "pictures": whole}
            evidence = _gather(
                path, trust or load_trust(settings), settings, resolvers, progress, parts=parts
            )
    except SorakitError as e:
        evidence = Evidence(file=str(path), sha256=None, error=str(e))
    if evidence.error is None:
        labels = replace(evidence.labels, duties=duties_of(evidence))
        evidence = replace(evidence, labels=labels)
    outcome = judge(evidence, policy)
    if outcome.decision is Decision.ERROR and evidence.error is None:  # the detector failed
        evidence = replace(evidence, error=outcome.reasons[0])
    verdict = Verdict(
        outcome.decision,
        evidence,
        outcome.reasons + notes(evidence.provenance, settings),
        policy.label,
        round((time.monotonic() - start) * 1000),
        outcome.follow.action,
        outcome.follow.review,
    )
    if (place := log or settings.decision_log) is not None:
        append(place, verdict, policy)
    return verdict


def _gather(
    path: Path,
    trust: Trust,
    settings: Settings,
    resolvers: Sequence[str],
    progress: Progress | None,
    *,
    parts: dict[str, Any],
) -> Evidence:
    limits = settings.limits
    seen = prescan(path, limits)
    answer = run_guarded(
        "sorakit.inspect_file:inspect_file",
        {
            "path": str(path.absolute()),
            "trust": trust.to_json(),
            **parts,
            "max_pixels": limits.max_pixels,
            "max_duration": limits.max_duration,
            "secret_keys": secret_keys(settings),
        },
        timeout=limits.check_seconds,
        memory_bytes=limits.memory_bytes,
        on_progress=progress,
    )
    # The codecs and the database load only now: a file that cannot be read has been answered by then.
    from sorakit.inspect_file import Findings  # noqa: PLC0415
    from sorakit.recover import ask_others, ask_registry  # noqa: PLC0415

    found = Findings.from_json(answer)
    evidence = Evidence(
        file=str(path),
        sha256=found.sha256,
        provenance=ask_revocation(found.provenance, found.signer_chain, trust, settings),
        watermark=found.watermark,
        labels=found.labels,
    )
    evidence = ask_registry(evidence, found, settings, trust)
    evidence = ask_others(evidence, found, (*resolvers, *settings.resolvers), settings, trust)
    if seen.kind == "image":  # the detector judges moving pictures
        return evidence
    return replace(evidence, detector=_detect(Path(parts["pictures"] or path), settings))


def _detect(path: Path, settings: Settings) -> DetectorEvidence | None:
    """The opinion of the detector that the settings name, or None where none is installed or wanted."""
    name = choose(settings.detector) if installed() else None
    if name is None:
        return None
    try:
        return opinion(path, name, settings.limits)
    except SorakitError as error:
        return failed(path, name, error)


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
