"""Signers: files, callbacks and names; what is wrong with a certificate is said before anything is signed."""

import base64
import datetime as dt
import os
import threading
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from sorakit.errors import IdentityError, ProvenanceError, UsageError
from sorakit.provenance.keys import create_dev_identity
from sorakit.provenance.manifest import ManifestSpec, build_manifest
from sorakit.provenance.sign import SignedFile, SigningJob, SigningSession, sign, sign_many
from sorakit.provenance.signers import (
    CallbackSigner,
    check_signer,
    identity_from_pem,
    resolve_signer,
    sign_with,
)
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import read_credential

MANIFEST = build_manifest(ManifestSpec("a.mp4", "generated", "id"))
CLAIMS, EMAIL, SERVER = "1.3.6.1.5.5.7.3.36", "1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.1"
STAMPS, OCSP, ANY = "1.3.6.1.5.5.7.3.8", "1.3.6.1.5.5.7.3.9", "2.5.29.37.0"
KEYS = {
    "es256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "es384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ps256": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
PEM = serialization.Encoding.PEM


def certificate(
    name,
    public,
    issuer,
    key,
    *,
    ca=False,
    usages=(CLAIMS,),
    start=-1,
    days=30,
    bits=True,
):
    begin = dt.datetime.now(dt.UTC) + dt.timedelta(days=start)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    if bits:
        usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
        builder = builder.add_extension(usage, critical=True)
    if usages and not ca:
        oids = [x509.ObjectIdentifier(u) for u in usages]
        builder = builder.add_extension(x509.ExtendedKeyUsage(oids), critical=False)
    return builder.sign(key, hashes.SHA256())


class Party:
    """A root, an intermediate and a leaf of one kind of key."""

    def __init__(self, algorithm="es256", **leaf):
        root_key, middle_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.algorithm, self.key = algorithm, KEYS[algorithm]()
        self.root = certificate("root", root_key.public_key(), "root", root_key, ca=True)
        self.middle = certificate("middle", middle_key.public_key(), "root", root_key, ca=True)
        self.leaf = certificate("leaf", self.key.public_key(), "middle", middle_key, **leaf)

    def pem(self, *parts):
        return b"".join(c.public_bytes(PEM) for c in parts or (self.leaf, self.middle))

    @property
    def key_pem(self):
        return self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    def files(self, folder, *parts, key=None):
        (folder / "chain.pem").write_bytes(self.pem(*parts))
        (folder / "key.pem").write_bytes(key or self.key_pem)
        (folder / "key.pem").chmod(0o600)
        return folder / "chain.pem", folder / "key.pem"

    @property
    def trust(self):
        return Trust(claims=(self.root.public_bytes(PEM).decode(),))

    def der(self, data):
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return self.key.sign(
                data, ec.ECDSA(hashes.SHA384() if "384" in self.algorithm else hashes.SHA256())
            )
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        return self.key.sign(data)

    def raw(self, data):
        size = self.key.curve.key_size // 8
        return b"".join(n.to_bytes(size, "big") for n in decode_dss_signature(self.der(data)))


# files


@pytest.mark.parametrize("algorithm", KEYS)
def test_pem_files_sign(tmp_path, plain, algorithm):
    party = Party(algorithm)
    identity = identity_from_pem(*party.files(tmp_path))
    assert identity.algorithm == algorithm
    assert "PRIVATE" not in repr(identity)
    sign(plain, tmp_path / "out.mp4", MANIFEST, identity)
    found = read_credential(tmp_path / "out.mp4", party.trust).provenance
    assert (found.state, found.problems) == ("trusted", [])


def foreign_key(kind):
    key = ec.generate_private_key(ec.SECP256R1())
    if kind == "encrypted":
        return key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
        )
    if kind == "SM2":  # a curve that C2PA does not know, named where P-256 was
        der = key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).replace(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a811ccf5501822d"))
        return b"-----BEGIN PRIVATE KEY-----\n" + base64.encodebytes(der) + b"-----END PRIVATE KEY-----\n"
    return key.private_bytes(
        PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (foreign_key("encrypted"), "unencrypted.*decrypt"),
        (foreign_key("traditional"), "PKCS#8.*EC PRIVATE KEY.*convert"),
        (b"hello", "unencrypted PKCS#8"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "unencrypted PKCS#8"),
        (foreign_key("SM2"), "not supported"),
    ],
)
def test_keys_that_cannot_be_used(tmp_path, key, message):
    with pytest.raises(IdentityError, match=message):
        identity_from_pem(*Party().files(tmp_path, key=key))


def test_a_key_that_others_can_read_is_refused(tmp_path):
    chain, key = Party().files(tmp_path)
    key.chmod(0o640)
    with pytest.raises(IdentityError, match="chmod 600"):
        identity_from_pem(chain, key)
    with pytest.raises(IdentityError, match="cannot open"):
        identity_from_pem(chain, tmp_path / "none.pem")
    with pytest.raises(IdentityError, match="cannot read the certificates"):
        identity_from_pem(tmp_path / "none.pem", key)


@pytest.mark.parametrize(
    ("leaf", "message"),
    [
        ({"usages": (STAMPS,)}, "for time stamps"),
        ({"usages": (CLAIMS, STAMPS)}, "for time stamps"),
        ({"usages": (OCSP,)}, "for OCSP"),
        ({"usages": (SERVER,)}, "extended key usages.*got serverAuth"),
        ({"usages": (CLAIMS, ANY)}, "got documentSigning, anyExtendedKeyUsage"),
        ({"usages": ()}, "got none"),
        ({"start": -40, "days": 30}, "expired on"),
        ({"start": 3}, "valid only from"),
        ({"bits": False}, "digitalSignature"),
        ({"ca": True}, "certificate authority's"),
    ],
)
def test_certificates_that_may_not_sign_are_explained(tmp_path, leaf, message):
    with pytest.raises(IdentityError, match=message):
        identity_from_pem(*Party(**leaf).files(tmp_path))


def test_order_and_gaps_are_explained(tmp_path):
    party, other = Party(), Party()
    with pytest.raises(IdentityError, match="wrong order"):
        identity_from_pem(*party.files(tmp_path, party.middle, party.leaf))
    with pytest.raises(IdentityError, match="wrong order or has a gap"):
        identity_from_pem(*party.files(tmp_path, party.leaf, other.middle))
    with pytest.raises(IdentityError, match="does not belong"):
        identity_from_pem(*party.files(tmp_path, key=other.key_pem))
    assert (
        identity_from_pem(*party.files(tmp_path, party.leaf, party.middle, party.root)).chain_pem
        == party.pem()
    )


def test_a_certificate_that_signs_itself_is_explained(tmp_path):
    party = Party()
    party.leaf = certificate("leaf", party.key.public_key(), "leaf", party.key)
    with pytest.raises(IdentityError, match="signed by itself"):
        identity_from_pem(*party.files(tmp_path, party.leaf))


# callbacks


@pytest.mark.parametrize(
    ("algorithm", "form"),
    [
        ("es256", "raw"),
        ("es256", "der"),
        ("es384", "raw"),
        ("es384", "der"),
        ("ps256", "der"),
        ("ed25519", "der"),
    ],
)
def test_callbacks_sign(tmp_path, plain, algorithm, form):
    party = Party(algorithm)
    signer = CallbackSigner(algorithm, party.pem(), getattr(party, form))
    check_signer(signer)
    sign(plain, tmp_path / "out.mp4", MANIFEST, signer)
    found = read_credential(tmp_path / "out.mp4", party.trust).provenance
    assert (found.state, found.problems) == ("trusted", [])
    assert (signer.subject, signer.development) == ("CN=leaf", False)


class DeviceError(Exception):
    pass


@pytest.mark.parametrize(
    "error", [DeviceError("slot 3 is locked"), ConnectionError("away"), KeyboardInterrupt()]
)
def test_the_callbacks_own_exception_comes_out(tmp_path, plain, error):
    def refuse(data):
        raise error

    signer = CallbackSigner("es256", Party().pem(), refuse)
    with pytest.raises(type(error)) as caught:
        sign(plain, tmp_path / "out.mp4", MANIFEST, signer)
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


def test_a_key_service_that_is_away_is_no_full_disk(way):
    """An `OSError` of the signer passes through publishing unchanged, and nothing is left."""

    def away(data):
        raise ConnectionError("key service")

    signer = CallbackSigner("es256", Party().pem(), away)
    with SigningSession(signer) as session, pytest.raises(ConnectionError, match="key service"):
        way.publish(way.clip(seconds=1), session=session)
    way.assert_nothing_left()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda data: b"", "as bytes"),
        (lambda data: "text", "as bytes"),
        (lambda data: bytes(64), "not one of its certificate's key"),
        (lambda data: b"\x30\x05hello", "64 bytes or in DER"),
        (Party().raw, "not one of its certificate's key"),
    ],
)
def test_wrong_signatures_are_told_from_c2pas_errors(tmp_path, plain, answer, message):
    with pytest.raises(ProvenanceError, match=message):
        sign(plain, tmp_path / "out.mp4", MANIFEST, CallbackSigner("es256", Party().pem(), answer))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("algorithm", ["es384", "ps256", "ed25519", "rs256"])
def test_the_algorithm_has_to_be_the_keys(algorithm):
    with pytest.raises(IdentityError, match="must be es256"):
        check_signer(CallbackSigner(algorithm, Party().pem(), bytes))


# names


def test_a_signer_is_found_by_its_name(tmp_path, monkeypatch, settings):
    party = Party()
    (tmp_path / "lab_kms.py").write_text(
        "from pathlib import Path\n"
        "from sorakit.provenance.signers import CallbackSigner, identity_from_pem\n"
        f"identity = identity_from_pem(*map(Path, {list(map(str, party.files(tmp_path)))!r}))\n"
        "def signer():\n    return identity\nnothing = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = resolve_signer(settings.model_copy(update={"signer": "lab_kms:signer"}))
    assert found.subject == "CN=leaf"
    assert resolve_signer(settings.model_copy(update={"signer": "lab_kms:identity"})) == found
    for name, message in {
        "lab_kms:nothing": "must be a CallbackSigner",
        "lab_kms:absent": "has no 'absent'",
        "no_such_module:signer": "PYTHONPATH",
        "not-installed": "no signer 'not-installed' is installed",
    }.items():
        with pytest.raises(IdentityError, match=message):
            resolve_signer(settings.model_copy(update={"signer": name}))
    with pytest.raises(UsageError, match="module:attribute"):
        resolve_signer(settings.model_copy(update={"signer": "../../evil.py"}))


def test_settings_choose_the_signer(tmp_path, settings):
    chain, key = Party().files(tmp_path)
    both = {"signing_cert": chain, "signing_key": key}
    assert resolve_signer(settings).development
    assert resolve_signer(settings.model_copy(update=both)).subject == "CN=leaf"
    with pytest.raises(UsageError, match="both"):
        resolve_signer(settings.model_copy(update=both | {"signer": "a:b"}))
    with pytest.raises(UsageError, match="needs both"):
        resolve_signer(settings.model_copy(update={"signing_cert": chain}))


# many files


def test_many_files_share_one_session_over_threads(tmp_path, plain):
    party, threads = Party(), set()

    def remember(data):
        threads.add(threading.get_ident())
        return party.raw(data)

    jobs = [SigningJob(plain, tmp_path / f"{i}.mp4", MANIFEST) for i in range(8)]
    jobs.insert(4, SigningJob(tmp_path / "missing.mp4", tmp_path / "x.mp4", MANIFEST))
    done = list(sign_many(jobs, CallbackSigner("es256", party.pem(), remember), workers=3))
    assert isinstance(done.pop(4), Exception)
    assert all(isinstance(d, SignedFile) for d in done)
    assert len({d.store for d in done}) == 8
    assert 1 < len(threads) <= 3
    for item in done:
        assert read_credential(item.path, party.trust).provenance.state == "trusted"


def test_one_threads_exception_is_its_own(tmp_path, plain):
    party = Party()
    turns = iter(range(100))

    def sometimes(data):
        if (turn := next(turns)) % 2:
            raise DeviceError(turn)
        return party.raw(data)

    jobs = [SigningJob(plain, tmp_path / f"{i}.mp4", MANIFEST) for i in range(8)]
    done = list(sign_many(jobs, CallbackSigner("es256", party.pem(), sometimes), workers=4))
    failed = [d for d in done if isinstance(d, DeviceError)]
    assert sorted(d.args[0] for d in failed) == [1, 3, 5, 7]
    assert len(list(tmp_path.iterdir())) == 4


def test_a_session_stays_in_its_process(tmp_path, plain, make_signer):
    with SigningSession(make_signer().identity) as session:
        session._pid += 1
        with pytest.raises(UsageError, match="forked"):
            session.sign(plain, tmp_path / "a.mp4", MANIFEST)


# the command line


@pytest.fixture
def run(run_python):
    return partial(run_python, "from sorakit.cli import main; main()")


def test_keys_show_and_check(tmp_path, run):
    create_dev_identity(tmp_path / "home" / "keys")
    shown = run("keys", "show", "--json")
    assert shown.returncode == 0, shown.stderr
    for word in ('"sha256"', "documentSigning", '"not_after"', '"development": true', "EC secp256r1"):
        assert word in shown.stdout
    assert "PRIVATE" not in shown.stdout + shown.stderr
    party = Party("es384")
    good = run("keys", "check", *party.files(tmp_path), "--json")
    assert (good.returncode, '"usable": true' in good.stdout) == (0, True), good.stderr
    bad = run("keys", "check", *party.files(tmp_path, party.middle, party.leaf))
    assert bad.returncode == 1
    assert "wrong order" in bad.stderr


def test_mark_takes_a_named_signer(tmp_path, run, clip_factory, file_factory, monkeypatch):
    party = Party()
    (tmp_path / "my_kms.py").write_text(
        "from pathlib import Path\nfrom sorakit.provenance.signers import CallbackSigner, identity_from_pem, "
        f"sign_with\nkey = identity_from_pem(*map(Path, {list(map(str, party.files(tmp_path)))!r}))\n"
        "signer = CallbackSigner('es256', key.chain_pem, lambda data: sign_with(key, data))\n"
    )
    source = file_factory(tmp_path / "in.mp4", clip_factory(seconds=1))
    out = tmp_path / "out.mp4"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    done = run("mark", source, "-o", out, "--signer", "my_kms:signer")
    assert done.returncode == 0, done.stderr
    assert read_credential(out, party.trust).provenance.state == "trusted"
    wrong = run("mark", source, "-o", tmp_path / "b.mp4", "--cert", tmp_path / "chain.pem")
    assert (wrong.returncode, "--key" in wrong.stderr) == (2, True), wrong.stderr


def test_signatures_are_checked_here(tmp_path):
    party = Party("ed25519")
    identity = identity_from_pem(*party.files(tmp_path))
    party.key.public_key().verify(sign_with(identity, b"data"), b"data")
