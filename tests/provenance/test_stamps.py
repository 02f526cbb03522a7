"""Time stamps, from a time-stamping authority that these tests run themselves on the loopback address."""

import datetime as dt
import hashlib
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import pytest
from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as ax509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sorakit.errors import ProvenanceError, UsageError
from sorakit.provenance.manifest import ManifestSpec, build_manifest
from sorakit.provenance.sign import SigningSession
from sorakit.provenance.stamps import Stamping, stamp_store
from sorakit.provenance.trust import Trust
from sorakit.provenance.tsa import ask, check_url
from sorakit.provenance.verify import read_credential

MANIFEST = build_manifest(ManifestSpec("a.mp4", "generated", "id"))
TIME_STAMPING = "1.3.6.1.5.5.7.3.8"


@dataclass
class Authority:
    """A root and a time-stamping certificate; `reply` makes RFC 3161 answers."""

    root_pem: str
    leaf: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def reply(
        self, query: bytes, *, nonce_shift: int = 0, broken: bool = False, status: str = "granted"
    ) -> bytes:
        asked = tsp.TimeStampReq.load(query)
        if status != "granted":
            answer = tsp.PKIStatusInfo({"status": status}).dump()
            return bytes([0x30, len(answer)]) + answer
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": "1.2.3.4.1",
                "message_imprint": asked["message_imprint"],
                "serial_number": secrets.randbits(63),
                "gen_time": dt.datetime.now(dt.UTC).replace(microsecond=0),
                "nonce": asked["nonce"].native + nonce_shift,
            }
        )
        token = cms.ContentInfo({"content_type": "signed_data", "content": self._signed(info.dump(), broken)})
        return tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token}).dump()

    def _signed(self, content: bytes, broken: bool) -> cms.SignedData:
        der = self.leaf.public_bytes(serialization.Encoding.DER)
        attributes = cms.CMSAttributes(
            [
                cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
                cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(content).digest()]}),
                cms.CMSAttribute(
                    {
                        "type": "signing_certificate_v2",
                        "values": [
                            tsp.SigningCertificateV2({"certs": [{"cert_hash": hashlib.sha256(der).digest()}]})
                        ],
                    }
                ),
            ]
        )
        signature = self.key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256()))
        if broken:
            signature = self.key.sign(b"something else", ec.ECDSA(hashes.SHA256()))
        certificate = ax509.Certificate.load(der)
        sha256 = algos.DigestAlgorithm({"algorithm": "sha256"})
        signer = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier(
                    "issuer_and_serial_number",
                    cms.IssuerAndSerialNumber(
                        {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
                    ),
                ),
                "digest_algorithm": sha256,
                "signed_attrs": attributes,
                "signature_algorithm": {"algorithm": "sha256_ecdsa"},
                "signature": signature,
            }
        )
        return cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [sha256],
                "encap_content_info": {
                    "content_type": "tst_info",
                    "content": core.ParsableOctetString(content),
                },
                "certificates": [certificate],
                "signer_infos": [signer],
            }
        )


@pytest.fixture(scope="module")
def authority(make_ca) -> Authority:
    root = make_ca("TSA root")
    made = root.issue("TSA", usages=(TIME_STAMPING,), critical=True)  # RFC 3161, 2.3: critical, and alone
    leaf = x509.load_pem_x509_certificate(made.chain_pem)
    return Authority(root.pem, leaf, serialization.load_pem_private_key(made.key_pem, None))


@dataclass
class Service:
    """An HTTP server on the loopback address; `answer` makes what it sends, `seen` counts the requests."""

    url: str
    answer: Callable[[bytes], bytes] = lambda query: b""
    status: int = 200
    stall: threading.Event = field(default_factory=threading.Event)
    seen: int = 0
    headers: dict[str, str] = field(default_factory=dict)  # of the answer


@pytest.fixture
def service(authority: Authority, serve: Callable[..., str]) -> Service:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.seen += 1
            query = self.rfile.read(int(self.headers["Content-Length"]))
            if found.stall.is_set():
                time.sleep(2)
                return
            body = found.answer(query)
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    found = Service(f"{serve(Handler)}tsr?key=customer", authority.reply)
    return found


@pytest.fixture(scope="module")
def roomy(tmp_path_factory, plain, make_signer):
    """(signer, store) with room for a stamp, but none in it."""
    signer = make_signer()
    out = tmp_path_factory.mktemp("roomy") / "a.mp4"
    stamping = Stamping("http://127.0.0.1:9", policy="best_effort", timeout=5)
    with SigningSession(signer.identity, stamping=stamping) as session:
        done = session.sign(plain, out, MANIFEST)
    return signer, done.store


def test_a_stamp_is_signed_into_the_file_and_believed(tmp_path, plain, make_signer, service, authority):
    signer, out = make_signer(), tmp_path / "a.mp4"
    with SigningSession(signer.identity, stamping=Stamping(service.url, "required", 30)) as session:
        done = session.sign(plain, out, MANIFEST)
    assert (done.stamped, done.notes, service.seen) == (True, (), 1)
    assert done.store in out.read_bytes()
    found = read_credential(out, Trust(claims=(signer.root,), stamps=(authority.root_pem,))).provenance
    assert (found.state, found.problems) == ("trusted", [])


def test_without_an_authority_nothing_is_asked(tmp_path, plain, make_signer, service, monkeypatch):
    asked = []
    monkeypatch.setattr(socket.socket, "connect", lambda *a: asked.append(a))
    with SigningSession(make_signer().identity) as session:
        assert not session.sign(plain, tmp_path / "a.mp4", MANIFEST).stamped
    with SigningSession(make_signer().identity, stamping=Stamping(service.url, "off")) as session:
        assert not session.sign(plain, tmp_path / "b.mp4", MANIFEST).stamped
    assert (asked, service.seen) == ([], 0)


FAILURES = {
    "garbage": lambda authority: lambda query: b"<html>not a time stamp</html>",
    "empty": lambda authority: lambda query: b"",
    "huge": lambda authority: lambda query: bytes(1 << 20),
    "nonce": lambda authority: lambda query: authority.reply(query, nonce_shift=1),
    "refused": lambda authority: lambda query: authority.reply(query, status="rejection"),
    "signature": lambda authority: lambda query: authority.reply(query, broken=True),
    "other data": lambda authority: lambda query: authority.reply(swapped(query)),
}
WORDS = {
    "garbage": "no RFC 3161",
    "empty": "no RFC 3161",
    "huge": "64 KiB",
    "nonce": "nonce",
    "refused": "refused",
    "signature": "does not hold",
    "other data": "other data",
}


def swapped(query: bytes) -> bytes:
    asked = tsp.TimeStampReq.load(query)
    asked["message_imprint"]["hashed_message"] = bytes(32)
    return asked.dump(force=True)


@pytest.mark.parametrize("kind", FAILURES)
def test_a_bad_answer_is_no_stamp(roomy, service, authority, kind):
    service.answer = FAILURES[kind](authority)
    _, store = roomy
    kept, why = stamp_store(store, Stamping(service.url, "best_effort", 30))
    assert kept == store
    assert WORDS[kind] in str(why)
    assert "customer" not in str(why)  # the address may hold a key
    with pytest.raises(ProvenanceError, match="required"):
        stamp_store(store, Stamping(service.url, "required", 30))


def test_a_redirect_is_not_followed(roomy, service):
    service.status, service.headers = 302, {"Location": service.url}
    assert "HTTP 302" in str(stamp_store(roomy[1], Stamping(service.url, timeout=30))[1])
    assert service.seen == 1


def test_a_stalled_service_is_left_in_time(service):
    service.stall.set()
    start = time.monotonic()
    with pytest.raises(ProvenanceError, match="within 1"):
        ask(service.url, b"data", timeout=1)
    assert time.monotonic() - start < 2


def test_a_dripping_service_is_left_in_time(tmp_path):
    """One byte now and then keeps each single read short, not the whole."""
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            for _ in range(40):
                try:
                    connection.sendall(b"H")
                except OSError:
                    return
                time.sleep(0.05)

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    start = time.monotonic()
    with pytest.raises(ProvenanceError, match="within 1"):
        ask(f"http://127.0.0.1:{listener.getsockname()[1]}", b"data", timeout=1)
    assert time.monotonic() - start < 2
    thread.join()
    listener.close()


@pytest.mark.parametrize("policy", ["best_effort", "required"])
def test_the_policy_decides_what_a_dead_service_means(tmp_path, plain, make_signer, policy):
    signer, out = make_signer(), tmp_path / "a.mp4"
    stamping = Stamping("http://127.0.0.1:9/", policy, 30)
    with SigningSession(signer.identity, stamping=stamping) as session:
        if policy == "required":
            with pytest.raises(ProvenanceError, match="required"):
                session.sign(plain, out, MANIFEST)
            assert list(tmp_path.iterdir()) == []
            return
        done = session.sign(plain, out, MANIFEST)
    assert not done.stamped
    assert "127.0.0.1" in done.notes[0]
    assert read_credential(out, Trust(claims=(signer.root,))).provenance.state == "trusted"


@pytest.mark.parametrize(
    "url", ["ftp://a/b", "file:///etc/passwd", "tsa.example", "http://u:p@a/", "http://", "http://[::1"]
)
def test_addresses_that_are_none(url):
    with pytest.raises(UsageError):
        check_url(url)
    with pytest.raises(UsageError):
        Stamping(url)


@pytest.mark.parametrize("seconds", [0, -1, 301, float("nan")])
def test_times_that_cannot_be(seconds):
    with pytest.raises(UsageError, match="time for a time stamp"):
        Stamping("http://a/", timeout=seconds)
