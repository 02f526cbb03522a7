"""From the C2PA reader's report to a state: trusted, valid but untrusted, or tampered.

In: the report, the bytes of the manifest store. Out: a `Judgement`. C2PA 2.4, section 15.

What the reader leaves open is decided here: a claim is trusted only through a list of claim-signing roots,
with a claim-signing key usage all along its chain, and in a container of the standard's form; a failure that
concerns only the signer leaves the content valid.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from sorakit.provenance.codes import CONTENT_MATCH, CONTENT_MISMATCH, about_signer, plain_words
from sorakit.provenance.context import CLAIM_LIST
from sorakit.provenance.declarations import items
from sorakit.provenance.form import store_fault
from sorakit.provenance.store import chain_may_sign_claims, signer_chain

__all__ = ["Judgement", "State", "judge"]

State = Literal["trusted", "valid_untrusted", "tampered", "none", "error"]

_FOUND_IN = re.compile(rf"found in \[{CLAIM_LIST}(?::([a-z0-9._-]+))?\] trust anchors")
_BROKEN_STAMP = frozenset({"timeStamp.mismatch", "timeStamp.malformed"})
_STAPLED = {
    "signingCredential.ocsp.notRevoked": "good",
    "signingCredential.ocsp.revoked": "revoked",
    "signingCredential.ocsp.unknown": "unknown",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """`trust_list`: name of the list that made the signer trusted ("" for loose anchors), or None.

    `stapled`: what the OCSP answer inside the credential says of the signer, where there is one.
    """

    state: State
    problems: list[str] = field(default_factory=list)
    trust_list: str | None = None
    stapled: str | None = None


def judge(report: dict[str, Any], store: bytes, *, stored: bool) -> Judgement:
    """How far the active manifest of `report` can be believed. `stored`: its video is not at hand."""
    active = str(report.get("active_manifest"))
    results: dict[str, Any] = report.get("validation_results") or {}
    own: dict[str, Any] = results.get("activeManifest") or {}
    failures = [str(f.get("code", "")) for f in items(own.get("failure"), None)]
    successes = {str(s.get("code", "")) for s in items(own.get("success"), None)}
    if stored:
        failures = [f for f in failures if f not in CONTENT_MISMATCH]
    stapled = _stapled(own, active)
    # What happened to ingredients' credentials inside this store happened after the active claim was made.
    deltas = [d.get("validationDeltas") or {} for d in items(results.get("ingredientDeltas"), None)]
    changed = [str(f.get("code", "")) for d in deltas for f in items(d.get("failure"), None)]
    broken = [c for c in [*failures, *changed] if not about_signer(c)]
    problems = [plain_words(c) for c in dict.fromkeys([*broken, *failures])][:50]
    if "claimSignature.validated" not in successes and not broken:
        broken = ["claimSignature.missing"]
        problems.append("the signature could not be checked")
    bound = stored or report.get("validation_state") in ("Valid", "Trusted") or successes & CONTENT_MATCH
    if broken or not bound:
        return Judgement("tampered", problems or ["the credential is not bound to this content"])
    name = _trusted_by(own, active)
    if failures or name is None:
        return Judgement("valid_untrusted", problems, stapled=stapled)
    if doubt := _doubt(own, active, store, stapled):
        return Judgement("valid_untrusted", [doubt], stapled=stapled)
    return Judgement("trusted", problems, name, stapled)


def _doubt(own: dict[str, Any], active: str, store: bytes, stapled: str | None) -> str | None:
    """Why a claim that the reader takes for trusted is not, or None."""
    if not chain_may_sign_claims(signer_chain(store, active)):
        return "the signer's certificate is trusted, but not for signing claims"
    if stapled == "revoked":
        return plain_words("signingCredential.ocsp.revoked")
    if fault := store_fault(store):
        return f"the credential was changed outside of what its signature covers: {fault}"
    notes = {str(s.get("code", "")) for s in items(own.get("informational"), None)}
    if notes & _BROKEN_STAMP:
        return "the credential's time stamp does not fit it"
    return None


def _trusted_by(own: dict[str, Any], active: str) -> str | None:
    """The name of the claim-signing list in which the active claim's own signer was found, or None.

    The report's `trustListUri` may be an ingredient's, and a root for time stamps or names counts for the
    reader.
    """
    signature = f"self#jumbf=/c2pa/{active}/c2pa.signature"
    for s in items(own.get("success"), None):
        if s.get("code") == "signingCredential.trusted" and s.get("url") == signature:
            found = _FOUND_IN.search(str(s.get("explanation")))
            if found is not None:
                return found[1] or ""
    return None


def _stapled(own: dict[str, Any], active: str) -> str | None:
    signature = f"self#jumbf=/c2pa/{active}/c2pa.signature"
    statuses = [*items(own.get("success")), *items(own.get("informational")), *items(own.get("failure"))]
    said = {_STAPLED.get(str(s.get("code"))) for s in statuses if s.get("url") == signature}
    return next((x for x in ("revoked", "good", "unknown") if x in said), None)
