"""Read the C2PA credential of a foreign file, or of a manifest store that a registry kept.

In: a path (or store bytes) and a `Trust`. Out: a `Credential`; broken files give a state, not an exception.
C2PA 2.4, section 15, through c2pa-python, offline. Run it in a guarded child process: the reader's walk
over boxes is quadratic.

What the reader leaves open is decided here: a claim is trusted only through a claim-signing root and with
a claim-signing key usage; a failure that concerns only the signer leaves the content valid.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import Any, BinaryIO, Literal

from c2pa import C2paError, Reader

from sorakit.provenance.codes import CONTENT_MATCH, CONTENT_MISMATCH, about_signer, plain_words
from sorakit.provenance.context import CLAIM_LIST, safe_context
from sorakit.provenance.credential import Credential, IngredientReader
from sorakit.provenance.declarations import (
    AI_TYPES,
    CAPTURE_TYPES,
    actions_of,
    clean,
    items,
    source_types,
)
from sorakit.provenance.manifest import GENERATION_LABEL
from sorakit.provenance.media import CARRIES_C2PA, sniff
from sorakit.provenance.softbinding import parse_soft_bindings
from sorakit.provenance.store import may_sign_claims, signer_certificate
from sorakit.provenance.trust import Trust
from sorakit.types import ProvenanceEvidence

__all__ = ["Credential", "read_credential", "read_store"]

MAX_REPORT = 32 << 20
State = Literal["trusted", "valid_untrusted", "tampered", "none", "error"]


def read_credential(path: Path, trust: Trust) -> Credential:
    """What the manifest store embedded in `path` says, and how far it can be believed.

    MP4, MOV, AVI, JPEG, PNG, WebP and GIF are read; other known containers carry none (state `none`); an
    unknown or broken one is state `error`.

    >>> read_credential(Path("/nonexistent.mp4"), Trust()).provenance.state
    'error'
    """
    try:
        mime = sniff(path)
        if mime is None:
            return _failed("error", "the file is of no kind that can carry a credential")
        if mime not in CARRIES_C2PA:
            return Credential()
        with path.open("rb") as stream:
            return _read(stream, mime, trust, stored=False)
    except OSError as e:
        return _failed("error", f"the file cannot be read: {e.strerror or e}")


def read_store(store: bytes, trust: Trust) -> Credential:
    """The same for a manifest store without its video: that the content does not match is expected here."""
    return _read(io.BytesIO(store), "application/c2pa", trust, stored=True)


def _read(stream: BinaryIO, mime: str, trust: Trust, *, stored: bool) -> Credential:
    try:
        with safe_context(trust) as context, Reader(mime, stream, context=context) as reader:
            report = reader.json()
            if len(report) > MAX_REPORT:
                return _failed("error", f"the credential is over {MAX_REPORT >> 20} MiB")
            parsed = json.loads(report)
            active = str(parsed.get("active_manifest"))
            raw = _store_of(reader, active)
        return _describe(parsed, raw, stored=stored)
    except C2paError as e:
        return _refused(e)


def _store_of(reader: Reader, active: str) -> bytes:
    """The whole manifest store, which c2pa-python gives for any manifest's URI; empty if it does not."""
    raw = io.BytesIO()
    try:
        reader.resource_to_stream(f"self#jumbf=/c2pa/{active}", raw)
    except C2paError:
        return b""  # the signer's key usage then stays unknown, and an unknown signer is not trusted
    return raw.getvalue()


def _refused(error: C2paError) -> Credential:
    """Tell a file without a credential, a file that is broken, and a credential that is broken apart."""
    text = clean(str(error)) or "unknown"
    if isinstance(error, C2paError.ManifestNotFound | C2paError.NotSupported):
        return Credential()
    if isinstance(error, C2paError.RemoteManifest):
        evidence = ProvenanceEvidence(problems=["the credential lies on a server, which is not asked"])
        return Credential(evidence)
    if isinstance(error, C2paError.Io) or "asset could not be parsed" in text:
        return _failed("error", f"the file is damaged: {text}")
    if "more than one manifest store" in text:
        return _failed("tampered", "the file carries more than one manifest store")
    return _failed("tampered", f"the file carries a damaged credential: {text}")


def _failed(state: State, problem: str) -> Credential:
    return Credential(ProvenanceEvidence(state=state, problems=[problem]))


def _describe(report: dict[str, Any], store: bytes, *, stored: bool) -> Credential:
    active = str(report.get("active_manifest"))
    manifests: dict[str, Any] = report.get("manifests") or {}
    manifest: dict[str, Any] = manifests.get(active) or {}
    results: dict[str, Any] = report.get("validation_results") or {}
    state, problems = _judge(report, results, active, store, stored=stored)
    ingredients = IngredientReader(manifests, results.get("ingredientDeltas"))
    summary = ingredients.read(active)
    types = source_types(manifest)
    attested = source_types(manifest, attested=True)
    evidence = ProvenanceEvidence(
        state=state,
        signer=_signer(manifest),
        claim_generator=_generator(manifest),
        digital_source_type=types[0] if types else None,
        actions=[a for x in actions_of(manifest) if (a := clean(x.get("action")))],
        ingredients=summary,
        problems=problems + [f"ingredient: {p}" for i in summary for p in i["problems"]],
        manifest_id=active,
        declares_ai=not AI_TYPES.isdisjoint(types) or _disclosed(manifest) or ingredients.declares_ai,
        declares_capture=not CAPTURE_TYPES.isdisjoint(attested) or ingredients.declares_capture,
    )
    return Credential(
        evidence,
        soft_bindings=parse_soft_bindings(items(manifest.get("assertions"))),
        store_sha256=hashlib.sha256(store).hexdigest() if store else None,
        manifest_ids=[str(m)[:300] for m in list(manifests)[:1000]],
        generation=next(
            (
                a["data"]
                for a in items(manifest.get("assertions"))
                if a.get("label") == GENERATION_LABEL and isinstance(a.get("data"), dict)
            ),
            None,
        ),
    )


def _judge(
    report: dict[str, Any], results: dict[str, Any], active: str, store: bytes, *, stored: bool
) -> tuple[State, list[str]]:
    own: dict[str, Any] = results.get("activeManifest") or {}
    failures = [str(f.get("code", "")) for f in items(own.get("failure"))]
    successes = {str(s.get("code", "")) for s in items(own.get("success"))}
    if stored:
        failures = [f for f in failures if f not in CONTENT_MISMATCH]
    # What happened to ingredients' credentials inside this store happened after the active claim was made.
    deltas = [d.get("validationDeltas") or {} for d in items(results.get("ingredientDeltas"))]
    changed = [str(f.get("code", "")) for d in deltas for f in items(d.get("failure"))]
    broken = [c for c in [*failures, *changed] if not about_signer(c)]
    problems = [plain_words(c) for c in dict.fromkeys([*broken, *failures])][:50]
    if "claimSignature.validated" not in successes and not broken:
        broken = ["claimSignature.missing"]
        problems.append("the signature could not be checked")
    bound = stored or report.get("validation_state") in ("Valid", "Trusted") or successes & CONTENT_MATCH
    if broken or not bound:
        return "tampered", problems or ["the credential is not bound to this content"]
    if failures or not _claim_trusted(own, active):
        return "valid_untrusted", problems
    if not may_sign_claims(signer_certificate(store, active)):
        return "valid_untrusted", ["the signer's certificate is trusted, but not for signing claims"]
    return "trusted", problems


def _claim_trusted(own: dict[str, Any], active: str) -> bool:
    """Whether the active claim's own signer was found among the claim-signing roots.

    The report's `trustListUri` may be an ingredient's, and a root for time stamps counts for the reader.
    """
    signature = f"self#jumbf=/c2pa/{active}/c2pa.signature"
    return any(
        s.get("code") == "signingCredential.trusted"
        and s.get("url") == signature
        and f"[{CLAIM_LIST}]" in str(s.get("explanation"))
        for s in items(own.get("success"))
    )


def _disclosed(manifest: dict[str, Any]) -> bool:
    return any(
        str(a.get("label", "")).startswith("c2pa.ai-disclosure") for a in items(manifest.get("assertions"))
    )


def _signer(manifest: dict[str, Any]) -> str | None:
    info = manifest.get("signature_info")
    if not isinstance(info, dict):
        return None
    name, organisation = clean(info.get("common_name")), clean(info.get("issuer"))
    return (
        f"{name} ({organisation})" if name and organisation and name != organisation else name or organisation
    )


def _generator(manifest: dict[str, Any]) -> str | None:
    for info in items(manifest.get("claim_generator_info")):
        if name := clean(info.get("name")):
            return f"{name} {clean(info.get('version')) or ''}".strip()
    return clean(manifest.get("claim_generator"))
