"""When evidence bears out a decision: one rule each, whatever the policy.

In: `Evidence`. Out: a plain sentence if the rule holds. A policy chooses in which order the rules count and
what follows; it cannot change when they hold. A missing credential is evidence of nothing.
"""

from collections.abc import Callable

from sorakit.types import Decision, Evidence, RecoveryEvidence

__all__ = ["RULES", "Rule", "nothing"]

Rule = Callable[[Evidence], str | None]


def _tampered(e: Evidence) -> str | None:
    if e.provenance.state != "tampered":
        return None
    return "The credential does not fit the file: " + "; ".join(e.provenance.problems) + "."


def _conflict(e: Evidence) -> str | None:
    p = e.provenance
    if p.state not in ("trusted", "valid_untrusted"):
        return None
    # Camera footage that an AI edit openly builds on declares both, and its mark belongs there.
    if p.state == "trusted" and p.declares_capture and not p.declares_ai and e.watermark.found:
        return "A trusted credential declares a capture, yet the picture carries a mark of generated video."
    if _stands(e) and not _accounts_for(e, e.recovery.manifest_id):
        return "The credential in the file and the one that its watermark leads to are not the same."
    return None


def _stands(e: Evidence) -> bool:
    """Whether the recovered credential may speak against the one in the file.

    This registry's may. A resolver's may only with a trusted signer: else whoever runs it could put any file
    into conflict with a credential of its own making.
    """
    found = e.recovery
    if found.state != "recovered":
        return False
    return _from_here(found) or (found.manifest or {}).get("state") == "trusted"


def _from_here(found: RecoveryEvidence) -> bool:
    """Whether this user's own registry gave it; evidence that names no source is older than resolvers."""
    return found.source in (None, "registry")


def _accounts_for(e: Evidence, manifest_id: str | None) -> bool:
    """Whether the embedded credential is that manifest, or names it as an ingredient.

    Names are free to choose: the same name on a credential that is not the registered one is a forgery.
    """
    if e.provenance.manifest_id == manifest_id:
        return e.in_registry
    waiting = list(e.provenance.ingredients)
    while waiting:
        ingredient = waiting.pop()
        if ingredient.get("manifest_id") == manifest_id and ingredient.get("state") != "tampered":
            return True
        waiting += ingredient.get("ingredients") or []
    return False


def _ai_declared(e: Evidence) -> str | None:
    p = e.provenance
    if not p.declares_ai:
        return None
    if p.state == "trusted":
        return f"A credential signed by {p.signer}, whom you trust, declares AI generation."
    if p.state == "valid_untrusted" and e.in_registry:
        return f"A credential that this registry issued (signer {p.signer}) declares AI generation."
    return None


def _ai_recovered(e: Evidence) -> str | None:
    if e.recovery.state != "recovered":
        return None
    if _from_here(e.recovery):
        return "The watermark leads to a registered credential, and the picture matches its fingerprint."
    manifest = e.recovery.manifest or {}
    whom = "whom you trust" if manifest.get("state") == "trusted" else "for whom nobody you trust vouches"
    return (
        f"The watermark leads to a credential that {e.recovery.source} gave, signed by "
        f"{manifest.get('signer')}, {whom}; it names this mark, and the picture matches its fingerprint."
    )


def _ai_watermarked(e: Evidence) -> str | None:
    if not e.watermark.found:
        return None
    head = f"The watermark decodes (chance of this in unmarked video below 1e{e.watermark.log10_p:.0f})"
    if e.watermark.public_payload is not None:
        head = (
            f"The public mark says {e.watermark.public_payload}, but the secret one, which takes the key to "
            f"write, says {e.watermark.payload}: the public mark was overwritten. " + head
        )
    if e.recovery.state == "no_match":
        return head + ", but the picture does not match the one it was issued for: the mark may be copied."
    if e.recovery.state == "unavailable":
        return head + "; its id is not in this registry."
    return head + "."


def _authentic_declared(e: Evidence) -> str | None:
    if e.provenance.state == "trusted" and e.provenance.declares_capture:
        return f"A credential signed by {e.provenance.signer}, whom you trust, declares a capture."
    return None


def _likely_ai(e: Evidence) -> str | None:
    if e.provenance.state == "valid_untrusted" and e.provenance.declares_ai:
        return (
            f"The credential declares AI generation, but nobody you trust vouches for {e.provenance.signer}."
        )
    if e.detector and e.detector.label == "likely_ai":
        score = "" if e.detector.probability is None else f" (p = {e.detector.probability:.2f})"
        return f"The detector {e.detector.model} finds it likely generated{score}."
    return None


def _uncertain(e: Evidence) -> str | None:
    said = e.detector
    if said is None or said.failed:
        return None
    # An abstention with a probability is the lowest band: a low score is no evidence, of either kind.
    if said.label == "uncertain" or (said.label == "abstain" and said.probability is None):
        why = said.reasons or ["score in the middle"]
        return f"The detector {said.model} cannot tell: {'; '.join(why)}."
    return None


RULES: dict[Decision, Rule] = {
    Decision.TAMPERED: _tampered,
    Decision.CONFLICT: _conflict,
    Decision.AI_DECLARED: _ai_declared,
    Decision.AI_RECOVERED: _ai_recovered,
    Decision.AI_WATERMARKED: _ai_watermarked,
    Decision.AUTHENTIC_DECLARED: _authentic_declared,
    Decision.LIKELY_AI: _likely_ai,
    Decision.UNCERTAIN: _uncertain,
}
"""In the default policy's order: a broken credential first, then disagreement, then what declares AI, last
what only suggests it."""


def failure(e: Evidence) -> str | None:
    """What is said of a detector that did not end its work: nothing about the file, but not silence.

    >>> failure(Evidence(file="a.mp4", sha256=None)) is None
    True
    """
    said = e.detector
    if said is None or not said.failed:
        return None
    return f"The detector {said.model} failed: {'; '.join(said.reasons)}."


def nothing(e: Evidence) -> str:
    """What is said where no rule holds.

    >>> nothing(Evidence(file="a.mp4", sha256=None)).split(".")[0]
    'No credential and no mark was found'
    """
    p = e.provenance
    tail = "That says nothing about how the video was made."
    if p.state in ("trusted", "valid_untrusted"):
        by = f", signed by {p.signer}" if p.signer else ""
        whom = ", whom you trust," if p.state == "trusted" else ", for whom nobody you trust vouches,"
        claims = (
            "declares a capture" if p.declares_capture else "declares neither AI generation nor a capture"
        )
        return f"The credential{by}{whom} {claims}, and no mark was found. {tail}"
    if p.state == "error":
        why = f" ({'; '.join(p.problems)})" if p.problems else ""
        return f"Whether there is a credential cannot be read{why}, and no mark was found. {tail}"
    return f"No credential and no mark was found. {tail}"
