"""Look into a manifest store for what the C2PA reader does not tell: the claim signer's certificate.

In: the bytes of a JUMBF manifest store. Out: the leaf of a manifest's COSE signature. ISO/IEC 19566-5
(JUMBF), RFC 9052 (COSE), RFC 9360 (x5chain). Only headers are read here; c2pa-python checks signatures.
"""

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import cbor2
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from sorakit.provenance.jumbf import boxes, superboxes
from sorakit.provenance.usages import CLAIM_EKUS, extension_of

__all__ = [
    "active_signature",
    "chain_may_sign_claims",
    "may_sign_claims",
    "signer_certificate",
    "signer_chain",
    "stapled_answers",
]

X5CHAIN = 33
MAX_CHAIN = 10
_BROKEN = (ValueError, TypeError, LookupError, RecursionError, struct.error, cbor2.CBORDecodeError)
NEVER = (ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.OCSP_SIGNING)
ANY_EKU = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


def signer_certificate(store: bytes, manifest_id: str) -> x509.Certificate | None:
    """The certificate that signed the claim of manifest `manifest_id`, or None where it cannot be read."""
    chain = signer_chain(store, manifest_id)
    return chain[0] if chain else None


def signer_chain(store: bytes, manifest_id: str) -> list[x509.Certificate]:
    """That certificate and those above it, as the signature carries them; empty where it cannot be read."""
    try:
        return _chain_of_cose(_cose_of(store, manifest_id))
    except (*_BROKEN, x509.InvalidVersion):
        return []


def stapled_answers(store: bytes, manifest_id: str) -> list[bytes]:
    """OCSP answers (DER) beside a manifest's signature (C2PA 2.4, 15.9, `rVals`); none where it is broken."""
    try:
        answers = _cose_of(store, manifest_id)[1].get("rVals", {}).get("ocspVals", [])
        return [a for a in answers if isinstance(a, bytes)]
    except (*_BROKEN, AttributeError):
        return []


def chain_may_sign_claims(chain: Sequence[x509.Certificate]) -> bool:
    """Whether the leaf may sign claims, and no CA above it is for time stamps or OCSP answers alone."""
    if not chain or not may_sign_claims(chain[0]):
        return False
    return all(_usages(c) is None or _fit(_usages(c)) for c in chain[1:])


def active_signature(store: bytes) -> tuple[int, int]:
    """(start, end) in `store` of the COSE message that signs the active manifest, the last one in it.

    Raises `ValueError` when there is none. Meant for stores that were just made here.
    """
    view = memoryview(store)
    for _, top in superboxes(view):
        manifests = [inner for _, inner in superboxes(top)]
        for label, box in superboxes(manifests[-1]) if manifests else ():
            for kind, body in boxes(box):
                if label == "c2pa.signature" and kind == b"cbor":
                    start = store.rindex(bytes(body))
                    return start, start + len(body)
    raise ValueError("the manifest store has no signature")


def may_sign_claims(certificate: x509.Certificate | None) -> bool:
    """Whether the extended key usage allows claims: C2PA 2.4, section 14.5.1.

    A certificate for time stamps or OCSP answers may not, even where its root is a trusted one: readers
    mix the two kinds of roots up.
    """
    if certificate is None or _is_ca(certificate):
        return False
    usages = _usages(certificate)
    return _fit(usages) and not any(u in (usages or ()) for u in (*NEVER, ANY_EKU))


def _usages(certificate: x509.Certificate) -> x509.ExtendedKeyUsage | None:
    """The extended key usages; None where there are none; empty where they cannot be read."""
    try:
        return extension_of(certificate, x509.ExtendedKeyUsage)
    except ValueError:
        return x509.ExtendedKeyUsage([])


def _fit(usages: x509.ExtendedKeyUsage | None) -> bool:
    return any(u.dotted_string in CLAIM_EKUS or u == ANY_EKU for u in usages or ())


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        found = extension_of(certificate, x509.BasicConstraints)
    except ValueError:
        return True  # unreadable: it signs nothing
    return found is not None and found.ca


def _cose_of(store: bytes, manifest_id: str) -> Any:
    """[protected, unprotected, content, signature] of a manifest; raises `ValueError` unless there is one."""
    found = [
        manifest
        for _, top in superboxes(memoryview(store))
        for label, manifest in superboxes(top)
        if label == manifest_id
    ]
    signatures = [box for m in found for label, box in superboxes(m) if label == "c2pa.signature"]
    bodies = [bytes(body) for box in signatures for kind, body in boxes(box) if kind == b"cbor"]
    if len(found) != 1 or len(bodies) != 1:
        raise ValueError("not one signature")
    message: Any = cbor2.loads(bodies[0])
    return message.value if isinstance(message, cbor2.CBORTag) else message


def _chain_of_cose(parts: Any) -> list[x509.Certificate]:
    headers = [cbor2.loads(parts[0]) if parts[0] else {}, parts[1]]
    keys = (X5CHAIN, "x5chain")
    found = [h[k] for h in headers if isinstance(h, Mapping) for k in keys if k in h]
    if len(found) != 1:
        return []  # with two chains we could look at one and the reader at the other
    chain = [found[0]] if isinstance(found[0], bytes) else found[0]
    return [x509.load_der_x509_certificate(c) for c in chain[:MAX_CHAIN]]
