"""Look into a manifest store for what the C2PA reader does not tell: the claim signer's certificate.

In: the bytes of a JUMBF manifest store. Out: the leaf of a manifest's COSE signature. ISO/IEC 19566-5
(JUMBF), RFC 9052 (COSE), RFC 9360 (x5chain). Only headers are read here; c2pa-python checks signatures.
"""

import io
import struct
from collections.abc import Iterator
from typing import Any

import cbor2
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from sorakit.provenance.context import CLAIM_EKUS

__all__ = ["may_sign_claims", "signer_certificate"]

X5CHAIN = 33
MAX_BOXES = 10_000
NEVER = (ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.OCSP_SIGNING)
ANY_EKU = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


def signer_certificate(store: bytes, manifest_id: str) -> x509.Certificate | None:
    """The certificate that signed the claim of manifest `manifest_id`, or None where it cannot be read."""
    try:
        for _, top in _superboxes(memoryview(store)):
            for label, manifest in _superboxes(top):
                if label == manifest_id:
                    return _leaf_of(manifest)
    except (ValueError, TypeError, struct.error, cbor2.CBORDecodeError, x509.InvalidVersion):
        return None
    return None


def may_sign_claims(certificate: x509.Certificate | None) -> bool:
    """Whether the extended key usage allows claims: C2PA 2.4, section 14.5.1.

    A certificate for time stamps or OCSP answers may not, even where its root is a trusted one: readers
    mix the two kinds of roots up.
    """
    if certificate is None:
        return False
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    usages = extension.value
    if not isinstance(usages, x509.ExtendedKeyUsage):
        return False
    if any(u in usages for u in (*NEVER, ANY_EKU)):
        return False
    return any(u.dotted_string in CLAIM_EKUS for u in usages)


def _leaf_of(manifest: memoryview) -> x509.Certificate | None:
    for label, box in _superboxes(manifest):
        if label != "c2pa.signature":
            continue
        for kind, body in _boxes(box):
            if kind == b"cbor":
                return _leaf_of_cose(bytes(body))
    return None


def _leaf_of_cose(data: bytes) -> x509.Certificate | None:
    message: Any = cbor2.load(io.BytesIO(data))
    parts = message.value if isinstance(message, cbor2.CBORTag) else message
    protected, unprotected = parts[0], parts[1]
    headers = cbor2.loads(protected) if protected else {}
    for header in (headers, unprotected):
        if not isinstance(header, dict):
            continue
        chain = header.get(X5CHAIN, header.get("x5chain"))
        leaf = chain[0] if isinstance(chain, list | tuple) and chain else chain
        if isinstance(leaf, bytes):
            return x509.load_der_x509_certificate(leaf)
    return None


def _superboxes(data: memoryview) -> Iterator[tuple[str, memoryview]]:
    """(label, inner boxes without the description) of each JUMBF superbox in `data`."""
    for kind, body in _boxes(data):
        if kind != b"jumb":
            continue
        size = struct.unpack_from(">I", body)[0]
        if bytes(body[4:8]) != b"jumd" or not 25 <= size <= len(body):
            continue
        description = bytes(body[8:size])
        # a 16-byte type, a byte of flags (bit 1: a label follows), the label up to its zero byte
        if description[16] & 2:
            yield description[17:].split(b"\0", 1)[0].decode("utf-8", "replace"), body[size:]


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 0
    for _ in range(MAX_BOXES):
        if at + 8 > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        elif size == 0:
            size = len(data) - at
        if size < head or at + size > len(data):
            return
        yield kind, data[at + head : at + size]
        at += size
