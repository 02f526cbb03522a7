"""Plain words for what a check found, shared by the cards, the report and the notebooks.

In: values of `sorakit.types` and codes of C2PA and IPTC. Out: short English text. The words claim no more
than the evidence does: a missing credential says nothing, and a credential says who claims, not what is so.
"""

from dataclasses import dataclass

from sorakit.types import Decision, Verdict

__all__ = [
    "BADGES",
    "Badge",
    "action_words",
    "credential_words",
    "detector_words",
    "mark_words",
    "recovery_words",
    "source_words",
]


@dataclass(frozen=True, slots=True)
class Badge:
    """How a decision is shown. `tone` names a colour; the colour is never the only carrier of the meaning."""

    title: str
    tone: str
    meaning: str


BADGES: dict[Decision, Badge] = {
    Decision.TAMPERED: Badge("Tampered", "bad", "The file was changed after it was signed."),
    Decision.CONFLICT: Badge("In conflict", "bad", "Two pieces of evidence contradict each other."),
    Decision.AI_DECLARED: Badge("AI, declared", "ai", "A credential that counts here says that AI made it."),
    Decision.AI_RECOVERED: Badge(
        "AI, recovered", "found", "The credential is gone; the mark in the picture led back to it."
    ),
    Decision.AI_WATERMARKED: Badge(
        "AI mark, unproven", "mark", "A mark is there, but no credential for this picture stands behind it."
    ),
    Decision.AUTHENTIC_DECLARED: Badge("Capture, declared", "good", "A trusted signer says so."),
    Decision.LIKELY_AI: Badge("Likely AI", "warn", "Weak evidence points to AI; it proves nothing."),
    Decision.UNCERTAIN: Badge("Uncertain", "warn", "The evidence does not lean either way."),
    Decision.NO_EVIDENCE: Badge("No evidence", "plain", "No credential and no mark. That proves nothing."),
    Decision.ERROR: Badge("Not readable", "bad", "The file could not be checked."),
}

_SOURCES = {
    "trainedAlgorithmicMedia": "made by AI",
    "compositeWithTrainedAlgorithmicMedia": "edited with AI",
    "compositeSynthetic": "composed of parts, some made by AI",
    "trainedAlgorithmicData": "data made by AI",
    "digitalCapture": "taken by a digital camera",
    "computationalCapture": "taken by a camera that computes its picture",
    "compositeCapture": "composed of camera pictures",
    "negativeFilm": "taken on film",
}

_ACTIONS = {
    "c2pa.created": "created",
    "c2pa.opened": "opened from another file",
    "c2pa.edited": "edited",
    "c2pa.transcoded": "encoded again",
    "c2pa.converted": "converted",
    "c2pa.cropped": "cropped",
    "c2pa.resized": "resized",
    "c2pa.published": "published",
    "c2pa.watermarked": "watermarked",
    "c2pa.watermarked.bound": "watermarked with a mark that leads here",
    "c2pa.watermarked.unbound": "watermarked with a mark of its own",
}

_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

_STATES = {
    "trusted": "valid, from a signer on your trust list",
    "valid_untrusted": "valid, from a signer not on your trust list",
    "tampered": "does not fit the file",
    "none": "none in the file",
    "error": "cannot be read",
}


def source_words(code: str | None) -> str | None:
    """What an IPTC digital source type says; a code we do not know stays as it is.

    >>> source_words("trainedAlgorithmicMedia")
    'made by AI'
    """
    return None if code is None else _SOURCES.get(code, code)


def action_words(code: str) -> str:
    """What a C2PA action says; a code we do not know stays as it is."""
    return _ACTIONS.get(code, code)


def credential_words(verdict: Verdict) -> str:
    """The state of the credential in the file."""
    words = _STATES[verdict.evidence.provenance.state]
    return f"{words}; this registry issued it" if verdict.evidence.in_registry else words


def mark_words(verdict: Verdict) -> str:
    """What the invisible mark says, with the bound on chance.

    >>> from sorakit.check import check
    >>> mark_words(check("missing.mp4"))
    'none found'
    """
    mark = verdict.evidence.watermark
    if not mark.found:
        return "none found"
    power = f"{-mark.log10_p:.0f}".translate(_RAISED)
    return f"found, id {mark.payload}; fewer than 1 in 10{power} unmarked files would show it by chance"


def recovery_words(verdict: Verdict) -> str:
    """What the registry made of the mark."""
    found = verdict.evidence.recovery
    near = "" if found.similarity is None else f" (similarity {found.similarity:.2f})"
    if found.state == "recovered" and found.source not in (None, "registry"):
        return f"{found.source} gave the credential that the mark leads to, and the picture matches it{near}"
    if found.state == "recovered":
        return f"the mark leads to a registered credential, and the picture matches it{near}"
    if found.state == "no_match":
        return f"the mark was issued for another picture{near}"
    if found.state == "unavailable":
        return "the mark is not registered here"
    if found.source is not None:
        return f"{found.source} holds this very credential"
    return "holds this very credential" if verdict.evidence.in_registry else "not asked"


def detector_words(verdict: Verdict) -> str:
    """The detector's opinion with its score, the share of clips that the score assumes, and its reasons.

    Empty where none was asked.

    >>> from sorakit.check import check
    >>> detector_words(check("missing.mp4"))
    ''
    """
    d = verdict.evidence.detector
    if d is None:
        return ""
    score = "no score" if d.probability is None else f"score {d.probability:.2f}"
    prior = "" if d.prior is None or d.probability is None else f" if {d.prior:.0%} of clips are generated"
    reasons = f": {'; '.join(d.reasons)}" if d.reasons else ""
    return f"{d.label.replace('_', ' ')}, {score}{prior}{reasons}"
