"""How a trusted signer stands today: was the certificate revoked, and is the list that vouches for it old?

In: what a check found, and the settings. Out: the evidence with an OCSP answer, only where the user asked for
one, and plain sentences for the verdict's reasons. Without `settings.ocsp` nothing here touches the network.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any

from sorakit.config import Settings
from sorakit.errors import SorakitError
from sorakit.provenance.codes import plain_words
from sorakit.provenance.lists import days_since
from sorakit.provenance.trust import Trust
from sorakit.types import ProvenanceEvidence
from sorakit.video.guard import run_guarded

__all__ = ["ask_revocation", "notes"]

START_UP = 5.0
"""Seconds for the child that asks to start."""

MEMORY = 512 << 20


def ask_revocation(
    found: ProvenanceEvidence, chain: list[str], trust: Trust, settings: Settings
) -> ProvenanceEvidence:
    """`found` with what the issuer says of the signer. A revoked one is not trusted; silence changes nothing.

    Only a trusted signer is asked about: the address to ask stands in the certificate.
    """
    if not settings.ocsp or found.state != "trusted" or not chain:
        return found
    request = {"chain": chain, "anchors": list(trust.claims), "seconds": settings.ocsp_seconds}
    try:
        answer: dict[str, Any] = run_guarded(
            "sorakit.provenance.ocsp:ask_task",
            request,
            timeout=settings.ocsp_seconds + START_UP,
            memory_bytes=MEMORY,
        )
    except SorakitError as e:
        answer = {
            "status": "unavailable",
            "source": "asked",
            "reason": f"the OCSP server did not answer: {e}",
        }
    if answer.get("status") != "revoked":
        return replace(found, revocation=answer)
    problems = [plain_words("signingCredential.ocsp.revoked"), *found.problems]
    return replace(found, state="valid_untrusted", problems=problems, trust_list=None, revocation=answer)


def notes(found: ProvenanceEvidence, settings: Settings, now: datetime | None = None) -> list[str]:
    """Sentences on the list that makes the signer trusted, and on revocation; none where all is in order.

    >>> notes(ProvenanceEvidence(), Settings())
    []
    """
    said = []
    source, revocation = found.trust_list or {}, found.revocation or {}
    if isinstance(date := source.get("imported"), str):
        age = days_since(date, now)
        if age > settings.trust_list_days:
            said.append(
                f"The signer is trusted through the list `{source.get('name')}`, which is {age} days old; "
                "import a new one: sorakit trust import FILE."
            )
    if revocation.get("status") == "revoked":
        said.append("The signer's certificate was revoked, so its signature counts for nothing here.")
    elif revocation.get("status") == "unknown":
        said.append("The issuer does not know the signer's certificate.")
    elif revocation.get("status") == "unavailable":
        said.append(f"Whether the signer was revoked is not known: {revocation.get('reason')}.")
    return said
