"""Read the C2PA credential of a foreign file, or of a manifest store that a registry kept.

In: a path (or store bytes) and a `Trust`. Out: a `Credential`; broken files give a state, not an exception.
C2PA 2.4, section 15, through c2pa-python, offline. Run it in a guarded child process: the reader's walk
over boxes is quadratic. What its report means is decided in `judge`.
"""

import hashlib
import io
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from c2pa import C2paError, Context, Reader
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from sorakit.errors import LimitError
from sorakit.provenance.codes import plain_words
from sorakit.provenance.context import safe_context
from sorakit.provenance.credential import Credential
from sorakit.provenance.declarations import (
    AI_TYPES,
    CAPTURE_TYPES,
    actions_of,
    clean,
    disclosed,
    generator_of,
    items,
    signer_of,
    source_types,
    time_stamp_of,
)
from sorakit.provenance.form import FILE_TYPE, container_fault, file_type_hash
from sorakit.provenance.ingredients import IngredientReader
from sorakit.provenance.judge import Judgement, State, judge
from sorakit.provenance.jumbf import make_active
from sorakit.provenance.labels import LABELS_ASSERTION, read_declared
from sorakit.provenance.manifest import GENERATION_LABEL
from sorakit.provenance.media import CARRIES_C2PA, sniff
from sorakit.provenance.ocsp import read_stapled
from sorakit.provenance.sidecar import read_sidecar
from sorakit.provenance.softbinding import parse_soft_bindings
from sorakit.provenance.store import signer_chain, stapled_answers
from sorakit.provenance.trust import Trust
from sorakit.types import ProvenanceEvidence
from sorakit.video.guard import sniff as prescan_name

__all__ = ["Credential", "read_credential", "read_store"]

MAX_REPORT = 32 << 20
MAX_ALONE = 256 << 20
"""So many bytes of stores are read again to verify ingredients by themselves."""

_CUT = "it has more ingredients than are read here, so it is taken for no capture"
_STORE = "application/c2pa"
_CARRY_NONE = frozenset({"asf", "mxf", "ivf", "yuv4mpegpipe", "mpegts", "mpegvideo", "h264", "hevc"})
"""Containers, by the names of `video.guard`, that C2PA has no place in and that `sniff` does not name."""


def read_credential(path: Path, trust: Trust, *, fragments: tuple[Path, ...] = ()) -> Credential:
    """What the manifest store embedded in `path` says, and how far it can be believed.

    MP4, MOV, AVI, JPEG, PNG, WebP and GIF are read; other known containers carry none, and theirs is the
    `.c2pa` file beside them (`sidecar`; state `none` where there is none); an unknown or broken one is state
    `error`. `fragments`: the media segments that belong to an init segment.

    >>> read_credential(Path("/nonexistent.mp4"), Trust()).provenance.state
    'error'
    """
    try:
        mime = sniff(path)
        if mime is None:
            with path.open("rb") as f:
                if prescan_name(f.read(4096)) in _CARRY_NONE:
                    return Credential()
            return _failed("error", "the file is of no kind whose credential can be read")
        beside = None
        if mime not in CARRIES_C2PA:
            beside = read_sidecar(path)
            if beside is None:
                return Credential()
        with ExitStack() as files:
            stream = files.enter_context(path.open("rb"))
            parts: list[BinaryIO] = [files.enter_context(p.open("rb")) for p in fragments]
            return _read(stream, mime, trust, fragments=parts, beside=beside)
    except LimitError as e:
        return _failed("error", str(e))
    except OSError as e:
        return _failed("error", f"the file cannot be read: {e.strerror or e}")


def read_store(store: bytes, trust: Trust) -> Credential:
    """The same for a manifest store without its video: that the content does not match is expected here."""
    return _read(io.BytesIO(store), _STORE, trust)


def _read(
    stream: BinaryIO,
    mime: str,
    trust: Trust,
    fragments: list[BinaryIO] | None = None,
    beside: bytes | None = None,
) -> Credential:
    try:
        with safe_context(trust) as context:
            report, raw = _report(stream, mime, context, fragments or [], beside)
            if beside is not None and beside != raw:
                return _failed("tampered", "the credential beside it is not in the standard form")
            found = judge(report, raw, stored=mime == _STORE)
            found = _not_revoked(found, report, raw, trust)
            found = _held_to_form(found, report, raw, stream if mime in CARRIES_C2PA else None)
            return _describe(report, raw, found, trust, lambda i: _alone(raw, i, context))
    except C2paError as e:
        return _refused(e)
    except _TooMuchError as e:
        return _failed("error", str(e))


class _TooMuchError(Exception):
    """The report is larger than any honest one."""


def _report(
    stream: BinaryIO, mime: str, context: Context, fragments: list[BinaryIO], beside: bytes | None = None
) -> tuple[dict[str, Any], bytes]:
    """The reader's report, and the bytes of the manifest store (empty where it is not given)."""
    with Reader(mime, stream, manifest_data=beside, context=context) as reader:
        for fragment in fragments:
            stream.seek(0)
            reader.with_fragment(mime, stream, fragment)
        text = reader.json()
        if len(text) > MAX_REPORT:
            raise _TooMuchError(f"the credential is over {MAX_REPORT >> 20} MiB")
        report: dict[str, Any] = json.loads(text)
        return report, _store_of(reader, str(report.get("active_manifest")))


def _store_of(reader: Reader, active: str) -> bytes:
    """The whole manifest store, which c2pa-python gives for any manifest's URI; empty if it does not."""
    raw = io.BytesIO()
    try:
        reader.resource_to_stream(f"self#jumbf=/c2pa/{active}", raw)
    except C2paError:
        return b""  # the signer's key usage then stays unknown, and an unknown signer is not trusted
    return raw.getvalue()


def _alone(store: bytes, manifest_id: str, context: Context) -> Judgement | None:
    """One manifest of the store verified as if it were the active one; its content is not at hand."""
    apart = make_active(store, manifest_id)
    if apart is None or len(apart) * 2 > MAX_ALONE:
        return None
    try:
        report, raw = _report(io.BytesIO(apart), _STORE, context, [])
    except (C2paError, _TooMuchError):
        return None
    return judge(report, raw, stored=True) if report.get("active_manifest") == manifest_id else None


def _held_to_form(found: Judgement, report: dict[str, Any], store: bytes, file: BinaryIO | None) -> Judgement:
    """Check what the content hash leaves out: an MP4's first box, and how the file holds the store."""
    if found.state == "tampered" or file is None:
        return found
    for assertion in items(_active(report).get("assertions")):
        if assertion.get("label") != FILE_TYPE:
            continue
        data = assertion.get("data")
        if not isinstance(data, dict) or data.get("hash") != file_type_hash(file):
            return Judgement("tampered", ["the file's type (ftyp) was changed after it was signed"])
    if found.state == "trusted" and (fault := container_fault(file, store)):
        return Judgement(
            "valid_untrusted",
            [f"the credential was changed outside of what its signature covers: {fault}"],
            stapled=found.stapled,
        )
    return found


def _not_revoked(found: Judgement, report: dict[str, Any], store: bytes, trust: Trust) -> Judgement:
    """Heed an OCSP answer that the signer put beside the signature; no network is needed for it."""
    active = str(report.get("active_manifest"))
    answers = stapled_answers(store, active) if found.state == "trusted" else []
    if not answers:
        return found
    anchors = [x509.load_pem_x509_certificate(a.encode()) for a in trust.claims]
    said = read_stapled(answers, signer_chain(store, active), anchors)
    status = found.stapled if said is None else str(said["status"])
    if status != "revoked":
        return replace(found, stapled=status)
    problem = plain_words("signingCredential.ocsp.revoked")
    return Judgement("valid_untrusted", [problem, *found.problems], stapled="revoked")


def _refused(error: C2paError) -> Credential:
    """Tell a file without a credential, a file that is broken, and a credential that is broken apart."""
    text = clean(str(error)) or "unknown"
    if isinstance(error, C2paError.ManifestNotFound | C2paError.NotSupported):
        return Credential()
    if isinstance(error, C2paError.RemoteManifest) or text.startswith("Remote: must fetch"):
        evidence = ProvenanceEvidence(problems=["the credential lies on a server, which is not asked"])
        return Credential(evidence)
    if isinstance(error, C2paError.Io) or "asset could not be parsed" in text:
        return _failed("error", f"the file is damaged: {text}")
    if "more than one manifest store" in text:
        return _failed("tampered", "the file carries more than one manifest store")
    return _failed("tampered", f"the file carries a damaged credential: {text}")


def _failed(state: State, problem: str) -> Credential:
    return Credential(ProvenanceEvidence(state=state, problems=[problem]))


def _active(report: dict[str, Any]) -> dict[str, Any]:
    manifests = report.get("manifests")
    found = manifests.get(str(report.get("active_manifest"))) if isinstance(manifests, dict) else None
    return found if isinstance(found, dict) else {}


def _describe(
    report: dict[str, Any],
    store: bytes,
    found: Judgement,
    trust: Trust,
    verify: Callable[[str], Judgement | None],
) -> Credential:
    active, manifest = str(report.get("active_manifest")), _active(report)
    manifests: dict[str, Any] = report.get("manifests") or {}
    results: dict[str, Any] = report.get("validation_results") or {}
    ingredients = IngredientReader(manifests, results.get("ingredientDeltas"), verify)
    summary = ingredients.read(active)
    types = source_types(manifest)
    attested = source_types(manifest, attested=True)
    evidence = ProvenanceEvidence(
        state=found.state,
        signer=signer_of(manifest),
        claim_generator=generator_of(manifest),
        digital_source_type=types[0] if types else None,
        actions=[a for x in actions_of(manifest) if (a := clean(x.get("action")))],
        ingredients=summary,
        problems=found.problems
        + [_CUT] * ingredients.cut
        + [f"ingredient: {p}" for i in summary for p in i["problems"]],
        manifest_id=active,
        declares_ai=not AI_TYPES.isdisjoint(types) or disclosed(manifest) or ingredients.declares_ai,
        declares_capture=(not CAPTURE_TYPES.isdisjoint(attested) or ingredients.declares_capture)
        and not ingredients.cut,  # AI may stand in those that were not read
        trust_list=_list_facts(found, trust),
        time_stamp=time_stamp_of(manifest, results),
        revocation=None if found.stapled is None else {"status": found.stapled, "source": "stapled"},
    )
    pem = serialization.Encoding.PEM
    chain = signer_chain(store, active) if found.state == "trusted" else []
    return Credential(
        evidence,
        soft_bindings=parse_soft_bindings(items(manifest.get("assertions"))),
        store_sha256=hashlib.sha256(store).hexdigest() if store else None,
        manifest_ids=[str(m)[:300] for m in list(manifests)[:1000]],
        generation=_data_of(manifest, GENERATION_LABEL),
        labels=read_declared(_data_of(manifest, LABELS_ASSERTION)),
        signer_chain=[c.public_bytes(pem).decode() for c in chain],
    )


def _list_facts(found: Judgement, trust: Trust) -> dict[str, Any] | None:
    """Which list made the signer trusted, from when it is, and the hash of the file it came from."""
    if found.trust_list is None:
        return None
    entry = trust.list_named(found.trust_list)
    return {
        "name": found.trust_list or None,
        "source": entry.source if entry else None,
        "imported": entry.imported if entry else None,
        "sha256": entry.sha256 if entry else None,
    }


def _data_of(manifest: dict[str, Any], label: str) -> dict[str, Any] | None:
    """The data of the first assertion with this label."""
    found = (a.get("data") for a in items(manifest.get("assertions")) if a.get("label") == label)
    return next((data for data in found if isinstance(data, dict)), None)
