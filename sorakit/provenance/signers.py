"""Who signs: PEM files, a key that never leaves its device, or the identity in the key folder.

In: settings, or the parts of a signer. Out: an `Identity` (the key is here) or a `CallbackSigner` (the key
is in an HSM or a key service, and a function asks it for signatures). C2PA 2.4, sections 13.2 and 14.5;
RFC 9053 (raw ECDSA signatures).

A signer named by `module:attribute` or by an entry point of the group `sorakit.signers` is Python code that
runs with this user's rights, as anything on `PYTHONPATH` does: take the name from whoever runs the program,
never from a file or request of others. The current folder is not searched.
"""

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from sorakit.errors import IdentityError, ProvenanceError, UsageError
from sorakit.private_files import read_private
from sorakit.provenance.chain import check_chain, load_chain, load_key
from sorakit.provenance.keys import Identity, checked_identity, load_identity

if TYPE_CHECKING:
    from sorakit.config import Settings

__all__ = [
    "GROUP",
    "CallbackSigner",
    "Signer",
    "check_signer",
    "identity_from_pem",
    "resolve_signer",
    "sign_with",
]

GROUP = "sorakit.signers"
"""Entry points: a `CallbackSigner`, an `Identity`, or a function without arguments that gives one."""

_DIGESTS: dict[str, type[hashes.HashAlgorithm]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}
_NAME = re.compile(r"[A-Za-z_][\w.-]*(:[A-Za-z_]\w*)?")


@dataclass(frozen=True, slots=True)
class CallbackSigner:
    """A signer whose private key is elsewhere: PKCS#11 token, HSM, cloud key service.

    `algorithm`: es256, es384, es512, ps256, ps384, ps512 or ed25519. `chain_pem`: leaf first, then
    intermediates. `sign`: gets the bytes to be signed (not their hash) and returns the signature, for ECDSA
    as r‖s or in DER; RSA is PSS with a salt as long as the hash. What it raises comes out unchanged.

    >>> signer = CallbackSigner("es256", chain, lambda data: kms.sign(data))  # doctest: +SKIP
    """

    algorithm: str
    chain_pem: bytes
    sign: Callable[[bytes], bytes] = field(repr=False)
    development: bool = False

    @property
    def subject(self) -> str:
        """The leaf's name, RFC 4514."""
        return load_chain(self.chain_pem, "the signer")[0].subject.rfc4514_string()

    @property
    def not_after(self) -> datetime:
        """The end of the leaf's validity, UTC."""
        return load_chain(self.chain_pem, "the signer")[0].not_valid_after_utc


Signer = Identity | CallbackSigner


def identity_from_pem(chain: Path, key: Path) -> Identity:
    """The identity in a chain file (leaf first) and a key file (PKCS#8, mode 0600).

    Raises `IdentityError` with what is wrong: encrypted or other key, key of another certificate, wrong
    order, a certificate authority's or another trade's certificate, expired.
    """
    try:
        chain_pem = chain.read_bytes()[: 1 << 20]
    except OSError as e:
        raise IdentityError(f"cannot read the certificates in {chain}: {e.strerror}") from e
    certificates = load_chain(chain_pem, str(chain))
    return checked_identity(certificates, load_key(read_private(key, follow=True), str(key)), str(chain))


def resolve_signer(settings: "Settings") -> Signer:
    """The signer that the settings name, checked and ready.

    First `signer` (a name, see above), then `signing_cert` with `signing_key`, then the key folder.
    Raises `UsageError` for settings that do not fit together, `IdentityError` for a signer that cannot sign.
    """
    pair = (settings.signing_cert, settings.signing_key)
    if settings.signer is not None:
        if pair != (None, None):
            raise UsageError("give a signer by name or by certificate and key files, got both")
        return _named(settings.signer)
    if settings.signing_cert is not None and settings.signing_key is not None:
        return identity_from_pem(settings.signing_cert, settings.signing_key)
    if pair != (None, None):
        raise UsageError(
            "a signer needs both its certificate chain and its key, got one of them; give --cert and --key "
            "(SORAKIT_SIGNING_CERT and SORAKIT_SIGNING_KEY)"
        )
    return load_identity(settings.keys_dir)


def check_signer(signer: Signer) -> None:
    """Raise `IdentityError` unless C2PA lets this signer sign claims today."""
    check_chain(load_chain(signer.chain_pem, "the signer"), signer.algorithm, "the signer")


def sign_with(signer: Signer, data: bytes) -> bytes:
    """One COSE signature of `data`, checked against the leaf's public key.

    Exceptions of a `CallbackSigner` come out unchanged; a signature that does not verify is a
    `ProvenanceError`.
    """
    public: Any = load_chain(signer.chain_pem, "the signer")[0].public_key()
    made = signer.sign(data) if isinstance(signer, CallbackSigner) else _sign_here(signer, data)
    if not isinstance(made, bytes | bytearray | memoryview) or not made:
        raise ProvenanceError(f"the signer must return a signature as bytes, got {type(made).__name__}")
    raw = _raw(bytes(made), public)
    try:
        _verify(public, signer.algorithm, raw, data)
    except InvalidSignature as e:
        raise ProvenanceError(
            f"the signature from the signer is not one of its certificate's key by {signer.algorithm} "
            f"({len(raw)} bytes); check that it signs the bytes themselves with the key of {signer.subject}"
        ) from e
    return raw


def _named(name: str) -> Signer:
    """A signer by entry point or `module:attribute`."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"`signer` must be `module:attribute` or the name of an entry point, got {name!r}")
    if ":" in name:
        module, _, attribute = name.partition(":")
        try:
            found: Any = getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as e:
            if e.name is None or not (module + ".").startswith(e.name + "."):
                raise
            raise IdentityError(
                f"no module {module!r} for the signer {name!r}; install it, or put its folder on PYTHONPATH"
            ) from e
        except AttributeError as e:
            raise IdentityError(f"the module {module!r} has no {attribute!r} to sign with") from e
    else:
        points = entry_points(group=GROUP, name=name)
        if not points:
            known = ", ".join(sorted(p.name for p in entry_points(group=GROUP))) or "none"
            raise IdentityError(f"no signer {name!r} is installed (known: {known}); or give module:attribute")
        found = next(iter(points)).load()
    signer = found() if callable(found) and not isinstance(found, CallbackSigner | Identity) else found
    if not isinstance(signer, CallbackSigner | Identity):
        raise IdentityError(
            f"the signer {name!r} must be a CallbackSigner, or a function that gives one, "
            f"got {type(signer).__name__}"
        )
    check_signer(signer)
    return signer


def _sign_here(identity: Identity, data: bytes) -> bytes:
    key = load_key(identity.key_pem, "the identity")
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(_digest(identity.algorithm)))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, _pss(identity.algorithm), _digest(identity.algorithm))
    return key.sign(data)


def _raw(signature: bytes, public: Any) -> bytes:
    """ECDSA in DER as r‖s, which COSE wants; anything else unchanged."""
    if not isinstance(public, ec.EllipticCurvePublicKey):
        return signature
    size = (public.curve.key_size + 7) // 8
    if len(signature) == 2 * size:
        return signature
    try:
        r, s = utils.decode_dss_signature(signature)
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    except (ValueError, OverflowError) as e:
        raise ProvenanceError(
            f"the signer must return an ECDSA signature of {2 * size} bytes or in DER, got {len(signature)}"
        ) from e


def _verify(public: Any, algorithm: str, signature: bytes, data: bytes) -> None:
    if isinstance(public, ec.EllipticCurvePublicKey):
        half = len(signature) // 2
        r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
        public.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(_digest(algorithm)))
    elif isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, data, _pss(algorithm), _digest(algorithm))
    elif isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(signature, data)


def _digest(algorithm: str) -> hashes.HashAlgorithm:
    return _DIGESTS[algorithm[2:]]()


def _pss(algorithm: str) -> padding.PSS:
    digest = _digest(algorithm)
    return padding.PSS(padding.MGF1(digest), digest.digest_size)
