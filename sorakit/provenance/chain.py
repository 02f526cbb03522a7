"""Look at a signer's certificates before anything is signed, and say in words what is wrong with them.

In: PEM of a chain (leaf first) and of a private key. Out: parsed certificates, the key, its C2PA algorithm;
or an `IdentityError`. C2PA refuses the same chains with one sentence for all cases, after the whole file was
hashed. X.509 profile: C2PA 2.4, section 14.5; algorithms: section 13.2; keys: PKCS#8 (RFC 5958).
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from sorakit.errors import IdentityError
from sorakit.provenance.usages import CLAIM_EKUS, extension_of

__all__ = [
    "ALGORITHMS",
    "PrivateKey",
    "algorithm_of",
    "check_chain",
    "check_pair",
    "describe",
    "load_chain",
    "load_key",
    "pem_of",
]

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
"""C2PA's names of signature algorithms."""

_CURVES: dict[str, str] = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_LEAST_RSA = 2048
_MAX_CHAIN = 10
_OTHER_TRADES = {
    ExtendedKeyUsageOID.TIME_STAMPING: "time stamps",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSP answers",
}
_NAMES = {
    "1.3.6.1.4.1.62558.2.1": "c2pa-kp-claimSigning",
    "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.3.6.1.5.5.7.3.36": "documentSigning",
    "1.3.6.1.5.5.7.3.8": "timeStamping",
    "1.3.6.1.5.5.7.3.9": "OCSPSigning",
    "1.3.6.1.5.5.7.3.1": "serverAuth",
    "1.3.6.1.5.5.7.3.2": "clientAuth",
    "1.3.6.1.5.5.7.3.3": "codeSigning",
    "2.5.29.37.0": "anyExtendedKeyUsage",
}


def load_chain(pem: bytes, where: str) -> list[x509.Certificate]:
    """The certificates in `pem`, without a root at its end (that is the verifier's to bring).

    `where` names the source in messages. Raises `IdentityError` when there is none, or over ten.
    """
    try:
        chain = x509.load_pem_x509_certificates(pem)
    except (ValueError, x509.InvalidVersion) as e:
        raise IdentityError(f"{where} must hold a certificate chain in PEM, the signer's first: {e}") from e
    if len(chain) > _MAX_CHAIN:
        raise IdentityError(f"{where} must hold at most {_MAX_CHAIN} certificates, got {len(chain)}")
    if len(chain) > 1 and chain[-1].subject == chain[-1].issuer:
        chain = chain[:-1]
    return chain


def load_key(pem: bytes, where: str) -> PrivateKey:
    """The private key in `pem`: PKCS#8, not encrypted, of a kind that C2PA signs with."""
    if b"-----BEGIN ENCRYPTED PRIVATE KEY" in pem or b"Proc-Type: 4,ENCRYPTED" in pem:
        raise IdentityError(
            f"{where} must hold an unencrypted private key, got an encrypted one; decrypt it into a file "
            "of mode 0600 with: openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW"
        )
    for kind in (b"EC", b"RSA", b"DSA", b"OPENSSH"):
        if b"-----BEGIN " + kind + b" PRIVATE KEY" in pem:
            raise IdentityError(
                f"{where} must hold its key as PKCS#8 (BEGIN PRIVATE KEY), got {kind.decode()} PRIVATE KEY; "
                "convert it with: openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW"
            )
    start = pem.find(b"-----BEGIN PRIVATE KEY")
    if start < 0:
        raise IdentityError(f"{where} must hold an unencrypted PKCS#8 private key in PEM, got none")
    try:
        key = serialization.load_pem_private_key(pem[start:], None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        raise IdentityError(f"{where} must hold an unencrypted PKCS#8 private key in PEM: {e}") from e
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise IdentityError(f"the key in {where} must be EC, RSA or Ed25519, got {type(key).__name__}")
    return key


def algorithm_of(public: Any, where: str) -> str:
    """C2PA's algorithm for a public key: es256/384/512 by curve, ps256 for RSA, ed25519.

    >>> algorithm_of(ed25519.Ed25519PrivateKey.generate().public_key(), "it")
    'ed25519'
    """
    if isinstance(public, ec.EllipticCurvePublicKey):
        if name := _CURVES.get(public.curve.name):
            return name
        raise IdentityError(f"the key of {where} must be on P-256, P-384 or P-521, got {public.curve.name}")
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size >= _LEAST_RSA:
            return "ps256"
        raise IdentityError(f"the RSA key of {where} must have {_LEAST_RSA} bits, got {public.key_size}")
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "ed25519"
    raise IdentityError(f"the key of {where} must be EC, RSA or Ed25519, got {type(public).__name__}")


def check_pair(chain: Sequence[x509.Certificate], key: PrivateKey, where: str) -> None:
    """Raise `IdentityError` unless `key` belongs to the first certificate."""
    if chain[0].public_key() == key.public_key():
        return
    if any(c.public_key() == key.public_key() for c in chain[1:]):
        raise IdentityError(
            f"the chain of {where} is in the wrong order: the key belongs to a later certificate; "
            "put the signer's certificate first, then its issuer, and so on"
        )
    raise IdentityError(
        f"the first certificate of {where} ({_name(chain[0])}) does not belong to its private key"
    )


def check_chain(
    chain: Sequence[x509.Certificate], algorithm: str, where: str, *, now: datetime | None = None
) -> None:
    """Raise `IdentityError` unless C2PA lets this chain sign claims with `algorithm` today."""
    leaf = chain[0]
    wanted = algorithm_of(leaf.public_key(), where)
    if (
        algorithm not in ALGORITHMS
        or wanted[:2] != algorithm[:2]
        or (wanted[0] == "e" and wanted != algorithm)
    ):
        raise IdentityError(f"the algorithm of {where} must be {wanted} for its key, got {algorithm}")
    if _is_ca(leaf):
        raise IdentityError(
            f"the first certificate of {where} ({_name(leaf)}) is a certificate authority's, which may not "
            "sign claims; put the signer's own certificate first"
        )
    if leaf.subject == leaf.issuer:
        raise IdentityError(
            f"the certificate of {where} ({_name(leaf)}) is signed by itself, which C2PA refuses; "
            "get one from an authority, or make a development identity: sorakit keys dev"
        )
    _check_order(chain, where)
    _check_usage(leaf, where)
    for certificate in chain:
        _check_one(certificate, where, now or datetime.now(UTC))


def describe(chain: Sequence[x509.Certificate]) -> dict[str, Any]:
    """What may be shown of a chain: names, key, usages, validity and SHA-256 fingerprint; plain JSON."""
    leaf = chain[0]
    return {
        "subject": _name(leaf),
        "issuer": leaf.issuer.rfc4514_string(),
        "key": _key_words(leaf.public_key()),
        "extended_key_usage": [_NAMES.get(u.dotted_string, u.dotted_string) for u in _usages(leaf)],
        "not_before": leaf.not_valid_before_utc.isoformat(),
        "not_after": leaf.not_valid_after_utc.isoformat(),
        "sha256": leaf.fingerprint(hashes.SHA256()).hex(),
        "chain": [_name(c) for c in chain],
    }


def pem_of(thing: x509.Certificate | PrivateKey) -> bytes:
    """A certificate, or a private key as unencrypted PKCS#8, in PEM."""
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM)
    return thing.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _check_order(chain: Sequence[x509.Certificate], where: str) -> None:
    for child, parent in pairwise(chain):
        try:
            child.verify_directly_issued_by(parent)
        except (InvalidSignature, ValueError, TypeError) as e:
            raise IdentityError(
                f"the chain of {where} is in the wrong order or has a gap: {_name(child)} was not issued by "
                f"the next certificate, {_name(parent)}; put the signer's first, then its issuer, and so on"
            ) from e
        if not _is_ca(parent):
            raise IdentityError(f"{_name(parent)} in the chain of {where} may not issue certificates (no CA)")


def _check_usage(leaf: x509.Certificate, where: str) -> None:
    usages = _usages(leaf)
    shown = ", ".join(_NAMES.get(u.dotted_string, u.dotted_string) for u in usages) or "none"
    for usage, trade in _OTHER_TRADES.items():
        if usage in usages:
            raise IdentityError(f"the certificate of {where} is for {trade}, so it may not sign claims")
    broad = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages
    if broad or not any(u.dotted_string in CLAIM_EKUS for u in usages):
        wanted = ", ".join(f"{_NAMES[u]} ({u})" for u in CLAIM_EKUS)
        raise IdentityError(
            f"the certificate of {where} must have one of the extended key usages {wanted}, got {shown}; "
            "ask its authority for a certificate that signs C2PA claims"
        )
    bits = extension_of(leaf, x509.KeyUsage)
    if bits is None or not bits.digital_signature:
        raise IdentityError(f"the certificate of {where} must have the key usage digitalSignature")


def _check_one(certificate: x509.Certificate, where: str, now: datetime) -> None:
    name = _name(certificate)
    if now > certificate.not_valid_after_utc:
        raise IdentityError(
            f"the certificate {name} of {where} expired on {certificate.not_valid_after_utc:%Y-%m-%d}; "
            "renew it, or a development identity with: sorakit keys dev --force"
        )
    if now < certificate.not_valid_before_utc:
        raise IdentityError(
            f"the certificate {name} of {where} is valid only from "
            f"{certificate.not_valid_before_utc:%Y-%m-%d}; check this machine's clock"
        )
    digest = certificate.signature_hash_algorithm  # None for Ed25519
    if digest is not None and digest.name not in ("sha256", "sha384", "sha512"):
        raise IdentityError(
            f"the certificate {name} of {where} is signed with {digest.name}, too weak for C2PA"
        )


def _usages(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    return list(extension_of(certificate, x509.ExtendedKeyUsage) or ())


def _is_ca(certificate: x509.Certificate) -> bool:
    found = extension_of(certificate, x509.BasicConstraints)
    return found is not None and found.ca


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}"


def _key_words(public: Any) -> str:
    if isinstance(public, ec.EllipticCurvePublicKey):
        return f"EC {public.curve.name}"
    return f"RSA {public.key_size} bits" if isinstance(public, rsa.RSAPublicKey) else "Ed25519"
