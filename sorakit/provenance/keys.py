"""The signing identity: a key with its certificate chain, or a development stand-in for one.

In: the key folder. Out: an `Identity` for `sign`, and the development root for `--trust dev`.
X.509 profile: C2PA 2.4, section 14.5 (leaf with digitalSignature, one extended key usage, no CA).

The development root signs one leaf and its private key is thrown away: a root key that stayed on disk could
mint further signers that `--trust dev` believes, and renewing with a fresh root costs nothing. The leaf's
extended key usage is documentSigning (RFC 9336, 1.3.6.1.5.5.7.3.36): C2PA accepts it, and it does not pose
as 1.3.6.1.4.1.62558.2.1, which belongs to certificates of the C2PA conformance programme.
Certificates carry no user or host name.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sorakit.errors import IdentityError
from sorakit.private_files import read_private, write_private
from sorakit.provenance.chain import (
    PrivateKey,
    algorithm_of,
    check_chain,
    check_pair,
    load_chain,
    load_key,
    pem_of,
)

__all__ = [
    "DEV_FILE",
    "OWN_FILE",
    "Identity",
    "checked_identity",
    "create_dev_identity",
    "dev_anchor",
    "load_identity",
]

DEV_FILE = "dev-identity.pem"
"""Key, leaf and root of the development identity, in one file so that it is replaced as a whole."""

OWN_FILE = "identity.pem"
"""A real identity that the user installs: PKCS#8 key, leaf, then intermediates. It goes first."""

DEV_NAME = "NOT TRUSTED - DEV"
DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
DEV_DAYS = 3650
"""Ten years: without a time-stamping service a file reads as expired as soon as its signer's leaf is."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs. `chain_pem`: leaf first, then intermediates, without the root. Times are UTC."""

    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    subject: str
    not_after: datetime
    development: bool
    algorithm: str = "es256"


def create_dev_identity(keys_dir: Path, *, days: int = DEV_DAYS, force: bool = False) -> Identity:
    """Make a development root and leaf in `keys_dir`, valid `days` days, and return the leaf's identity.

    With `force` an existing development identity is replaced; its root stays beside it as
    `dev-root-SERIAL.pem` for `--trust FILE`, but `--trust dev` no longer accepts it.

    Raises `IdentityError` when one exists already or the folder is open to others.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as d:
    ...     create_dev_identity(Path(d) / "keys").development
    True
    """
    if days < 1:
        raise IdentityError(f"`days` must be at least 1, got {days}")
    path = keys_dir / DEV_FILE
    _keep_old_root(keys_dir, force)
    root_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _certificate("root", root_key.public_key(), root_key, days + 1, ca=True)
    leaf = _certificate("signer", leaf_key.public_key(), root_key, days, ca=False)
    key_pem = pem_of(leaf_key)
    try:
        write_private(path, key_pem + pem_of(leaf) + pem_of(root), force=force)
    except FileExistsError as e:
        raise IdentityError(
            f"a development identity exists already: {path}; keep it, or replace it with: "
            "sorakit keys dev --force"
        ) from e
    return _identity(key_pem, [leaf], "es256", development=True)


def load_identity(keys_dir: Path) -> Identity:
    """The user's own identity if there is one, else the development identity.

    Raises `IdentityError` when there is none, when others could read it, when key and certificate do not
    belong together, or when C2PA would not let the certificate sign today (`chain.check_chain`).
    """
    own = keys_dir / OWN_FILE
    path = own if own.exists() else keys_dir / DEV_FILE
    if not path.exists():
        raise IdentityError(f"no signing identity in {keys_dir}; create one with: sorakit keys dev")
    data = read_private(path)
    key, chain = load_key(data, str(path)), load_chain(data, str(path))
    return checked_identity(chain, key, str(path), development=path.name == DEV_FILE)


def checked_identity(
    chain: Sequence[x509.Certificate], key: PrivateKey, where: str, *, development: bool = False
) -> Identity:
    """The identity of a chain (leaf first) and its key; `where` names the source in messages.

    Raises `IdentityError` when they do not belong together, or when C2PA would not let them sign today.
    """
    check_pair(chain, key, where)
    algorithm = algorithm_of(chain[0].public_key(), where)
    check_chain(chain, algorithm, where)
    return _identity(pem_of(key), chain, algorithm, development=development)


def dev_anchor(keys_dir: Path) -> bytes | None:
    """The development root in PEM, or None when there is no development identity."""
    path = keys_dir / DEV_FILE
    if not path.exists():
        return None
    try:
        return pem_of(x509.load_pem_x509_certificates(read_private(path))[-1])
    except (ValueError, x509.InvalidVersion) as e:
        raise IdentityError(
            f"{path} must hold the development identity's certificates; move it away and make a new one "
            "with: sorakit keys dev"
        ) from e


def _keep_old_root(keys_dir: Path, force: bool) -> None:
    if not force or (old := dev_anchor(keys_dir)) is None:
        return
    serial = f"{x509.load_pem_x509_certificate(old).serial_number:x}"[:12]
    write_private(keys_dir / f"dev-root-{serial}.pem", old, force=True)


def _identity(
    key_pem: bytes, chain: Sequence[x509.Certificate], algorithm: str, *, development: bool
) -> Identity:
    return Identity(
        chain_pem=b"".join(map(pem_of, chain)),
        key_pem=key_pem,
        subject=chain[0].subject.rfc4514_string(),
        not_after=chain[0].not_valid_after_utc,
        development=development,
        algorithm=algorithm,
    )


def _certificate(
    name: str, public: ec.EllipticCurvePublicKey, issuer: ec.EllipticCurvePrivateKey, days: int, *, ca: bool
) -> x509.Certificate:
    def full_name(common: str) -> x509.Name:
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, DEV_NAME)
        return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, f"{DEV_NAME} {common}")])

    start = datetime.now(UTC) - timedelta(minutes=5)  # clocks of two machines differ a little
    builder = (
        x509.CertificateBuilder()
        .subject_name(full_name(name))
        .issuer_name(full_name("root"))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
        .add_extension(_key_usage(ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False
        )
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([DOCUMENT_SIGNING]), critical=False)
    return builder.sign(issuer, hashes.SHA256())


def _key_usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
