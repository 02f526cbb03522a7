import datetime as dt
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sorakit.provenance.keys import Identity
from sorakit.provenance.manifest import ManifestSpec, build_manifest
from sorakit.provenance.sign import sign

DOCUMENT_SIGNING = "1.3.6.1.5.5.7.3.36"


@dataclass(frozen=True)
class Signer:
    identity: Identity
    root: str


def _certificate(
    name, issuer, public, key, *, ca, usages=(), critical=False, days=30, start=None, depth=0, extra=()
):
    def full(common):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    start = start or dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)
    builder = (
        x509.CertificateBuilder()
        .subject_name(full(name))
        .issuer_name(full(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca, depth if ca else None), critical=True)
        .add_extension(x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    for extension in extra:
        builder = builder.add_extension(extension, critical=False)
    if usages:
        oids = [x509.ObjectIdentifier(u) for u in usages]
        builder = builder.add_extension(x509.ExtendedKeyUsage(oids), critical=critical)
    return builder.sign(key, hashes.SHA256())


def _signer(name: str = "Test", usages: tuple[str, ...] = (DOCUMENT_SIGNING,)) -> Signer:
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(f"{name} root", f"{name} root", root_key.public_key(), root_key, ca=True)
    leaf = _certificate(name, f"{name} root", key.public_key(), root_key, ca=False, usages=usages)
    pem = serialization.Encoding.PEM
    key_pem = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    identity = Identity(leaf.public_bytes(pem), key_pem, name, leaf.not_valid_after_utc, False)
    return Signer(identity, root.public_bytes(pem).decode())


@dataclass(frozen=True)
class Authority:
    """A CA; `issue` makes a signer below it."""

    name: str
    key: ec.EllipticCurvePrivateKey
    pem: str
    above: str = ""

    def issue(self, name="Leaf", usages=(DOCUMENT_SIGNING,), *, ca=False, **more) -> Identity:
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _certificate(name, self.name, key.public_key(), self.key, ca=ca, usages=usages, **more)
        pem = serialization.Encoding.PEM
        plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        chain = leaf.public_bytes(pem) + self.above.encode()
        return Identity(chain, key.private_bytes(pem, *plain), name, leaf.not_valid_after_utc, False)

    def below(self, name, usages=()) -> "Authority":
        """An intermediate CA."""
        return _authority(name, usages, parent=self)


def _authority(name, usages=(), days=300, start=None, parent=None) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer, signer = (parent.name, parent.key) if parent else (name, key)
    made = _certificate(
        name,
        issuer,
        key.public_key(),
        signer,
        ca=True,
        usages=usages,
        days=days,
        start=start,
        depth=0 if parent else 1,
    )
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    return Authority(name, key, pem, pem + parent.above if parent else "")


@pytest.fixture(scope="session")
def make_ca() -> Callable[..., Authority]:
    return _authority


@pytest.fixture(scope="session")
def make_signer() -> Callable[..., Signer]:
    return _signer


@pytest.fixture(scope="session")
def plain(tmp_path_factory, clip_factory, file_factory) -> Path:
    """An MP4 without a credential."""
    return file_factory(tmp_path_factory.mktemp("plain") / "plain.mp4", clip_factory(seconds=1))


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that hangs up on purpose is what some tests are about."""


@pytest.fixture
def serve() -> Iterator[Callable[[type[BaseHTTPRequestHandler]], str]]:
    """`serve(handler)`: a server on the loopback address, ended with the test; gives `http://HOST:PORT/`."""
    started: list[tuple[ThreadingHTTPServer, threading.Thread]] = []

    def start(handler: type[BaseHTTPRequestHandler]) -> str:
        server = _Quiet(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        started.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in started:
        server.shutdown()
        server.server_close()
        thread.join()


SPEC = ManifestSpec(
    "a.mp4", "generated", "id-1", payload_hex="1f00000000000001", algorithm="io.github.sorakit.lattice.1"
)


@dataclass(frozen=True)
class Signed:
    path: Path
    store: bytes
    signer: Signer


@pytest.fixture(scope="session")
def signed(tmp_path_factory, plain) -> Signed:
    """The same MP4, signed by a signer whose root is at hand."""
    signer = _signer()
    path = tmp_path_factory.mktemp("signed") / "signed.mp4"
    store = sign(plain, path, build_manifest(SPEC), signer.identity)
    return Signed(path, store, signer)
