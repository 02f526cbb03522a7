"""A real OCSP server on this machine: good, revoked, unknown, stalled, dripping, lying."""

import datetime as dt
import http.server
import threading
import time
from dataclasses import dataclass, field

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from sorakit.check import check
from sorakit.config import Settings
from sorakit.provenance.manifest import ManifestSpec, build_manifest
from sorakit.provenance.ocsp import ask, read_answer
from sorakit.provenance.sign import sign
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import read_store
from sorakit.standing import ask_revocation, notes
from sorakit.types import ProvenanceEvidence

NOW = dt.datetime.now(dt.UTC)
DER = serialization.Encoding.DER


@dataclass
class Responder:
    """`mode` says how it answers; `asked` counts requests."""

    url: str = ""
    mode: str = "good"
    ca: object = None
    asked: list[bytes] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


def answer(ca, request, mode, *, signer=None, made=None):
    issuer = x509.load_pem_x509_certificate(ca.pem.encode())
    made = made or NOW - dt.timedelta(minutes=1)
    revoked = mode == "revoked"
    status = {"revoked": ocsp.OCSPCertStatus.REVOKED, "unknown": ocsp.OCSPCertStatus.UNKNOWN}
    key, certificate = signer or (ca.key, issuer)
    serial = request.serial_number + (mode == "other")
    return (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            request.issuer_name_hash,
            request.issuer_key_hash,
            serial,
            request.hash_algorithm,
            status.get(mode, ocsp.OCSPCertStatus.GOOD),
            made,
            made + dt.timedelta(days=1),
            made - dt.timedelta(days=1) if revoked else None,
            x509.ReasonFlags.key_compromise if revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, certificate)
        .certificates([certificate])
        .sign(key, hashes.SHA256())
        .public_bytes(DER)
    )


@pytest.fixture
def responder(serve):
    state = Responder()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.asked.append(body)
            if state.mode == "stalled":
                state.stop.wait(60)
                return
            self.send_response(302 if state.mode == "elsewhere" else 200)
            if state.mode == "elsewhere":
                self.send_header("Location", state.url)
            self.end_headers()
            if state.mode == "drip":
                while not state.stop.wait(0.2):
                    self.wfile.write(b"\0")
            data = answer(state.ca, ocsp.load_der_ocsp_request(body), state.mode)
            if state.mode == "broken":
                end = data.index(ocsp.load_der_ocsp_response(data).signature) + 40
                data = data[:end] + bytes([data[end] ^ 1]) + data[end + 1 :]
            self.wfile.write(b"\0" * (1 << 20) if state.mode == "flood" else data)

        def log_message(self, *_):
            pass

    state.url = serve(Handler)
    yield state
    state.stop.set()


@pytest.fixture
def ca(make_ca, responder):
    responder.ca = make_ca("OCSP root")
    return responder.ca


def issue(ca, url):
    """A signer whose certificate names `url` as its OCSP server."""
    access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url))
    return ca.issue(extra=(x509.AuthorityInformationAccess([access]),))


def leaf_of(identity):
    return x509.load_pem_x509_certificate(identity.chain_pem)


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        ("good", "good"),
        ("revoked", "revoked"),
        ("unknown", "unknown"),
        ("other", "unavailable"),
        ("broken", "unavailable"),
        ("flood", "unavailable"),
        ("elsewhere", "unavailable"),
    ],
)
def test_what_a_server_says(responder, ca, mode, status):
    responder.mode = mode
    root = x509.load_pem_x509_certificate(ca.pem.encode())
    said = ask([leaf_of(issue(ca, responder.url))], [root], seconds=5)
    assert (said["status"], said["source"]) == (status, "asked")
    assert len(responder.asked) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://user@127.0.0.1/", "x"])
def test_only_plain_addresses_are_asked(ca, url):
    root = x509.load_pem_x509_certificate(ca.pem.encode())
    assert "names no OCSP server" in ask([leaf_of(issue(ca, url))], [root], seconds=1)["reason"]


@pytest.mark.parametrize("mode", ["stalled", "drip"])
def test_a_server_that_stalls_is_left_in_time(responder, ca, mode):
    responder.mode = mode
    settings = Settings(ocsp=True, ocsp_seconds=1)
    chain = [issue(ca, responder.url).chain_pem.decode()]
    started = time.monotonic()
    found = ask_revocation(ProvenanceEvidence("trusted"), chain, Trust(claims=(ca.pem,)), settings)
    assert time.monotonic() - started < 20
    assert found.state == "trusted"
    assert found.revocation is not None and found.revocation["status"] == "unavailable"
    assert "not known" in notes(found, settings)[0]


def test_an_answer_must_be_signed_by_the_issuer_or_for_this_alone(ca, make_ca):
    leaf, root = leaf_of(issue(ca, "http://127.0.0.1/")), x509.load_pem_x509_certificate(ca.pem.encode())
    request = ocsp.OCSPRequestBuilder().add_certificate(leaf, root, hashes.SHA1()).build()  # noqa: S303

    def delegate(usage, by=ca):
        identity = by.issue("Helper", usages=(usage,))
        return serialization.load_pem_private_key(identity.key_pem, None), leaf_of(identity)

    ok = read_answer(answer(ca, request, "good", signer=delegate("1.3.6.1.5.5.7.3.9")), leaf, root)
    assert ok["status"] == "good"
    stranger = make_ca("Stranger")
    for signer in (delegate("1.3.6.1.5.5.7.3.36"), delegate("1.3.6.1.5.5.7.3.9", by=stranger)):
        said = read_answer(answer(ca, request, "good", signer=signer), leaf, root)
        assert said["status"] == "unavailable" and "not signed" in said["reason"]
    late = read_answer(answer(ca, request, "good"), leaf, root, now=NOW + dt.timedelta(days=3))
    assert "out of date" in late["reason"]
    assert read_answer(b"junk", leaf, root)["status"] == "unavailable"


def test_check_asks_only_when_told_and_believes_a_revocation(tmp_path, plain, responder, ca):
    out = tmp_path / "a.mp4"
    sign(plain, out, build_manifest(ManifestSpec("a.mp4", "generated", "id")), issue(ca, responder.url))
    responder.mode, trust = "revoked", Trust(claims=(ca.pem,))
    verdict = check(out, trust=trust, settings=Settings(home=tmp_path))
    assert verdict.evidence.provenance.state == "trusted" and responder.asked == []
    verdict = check(out, trust=Trust(), settings=Settings(home=tmp_path, ocsp=True))
    assert responder.asked == []  # nobody vouches for the address
    verdict = check(out, trust=trust, settings=Settings(home=tmp_path, ocsp=True))
    found = verdict.evidence.provenance
    assert len(responder.asked) == 1
    assert found.state == "valid_untrusted" and "revoked" in found.problems[0]
    assert found.revocation is not None and found.revocation["status"] == "revoked"
    assert any("revoked" in r for r in verdict.reasons)


@pytest.mark.parametrize(("mode", "state"), [("good", "trusted"), ("revoked", "valid_untrusted")])
def test_an_answer_inside_the_credential_is_heeded_offline(tmp_path, plain, ca, mode, state):
    identity, root = ca.issue(), x509.load_pem_x509_certificate(ca.pem.encode())
    manifest = build_manifest(ManifestSpec("a.mp4", "generated", "id"))
    store = sign(plain, tmp_path / "a.mp4", manifest, identity)
    request = ocsp.OCSPRequestBuilder().add_certificate(leaf_of(identity), root, hashes.SHA1()).build()  # noqa: S303
    old = NOW - dt.timedelta(minutes=2)
    stapled = staple(store, answer(ca, request, mode, made=old))
    found = read_store(stapled, Trust(claims=(ca.pem,))).provenance
    assert found.state == state
    assert found.revocation is not None
    assert (found.revocation["status"], found.revocation["source"]) == (mode, "stapled")


def staple(store, data):
    """Put an OCSP answer into the unsigned part of the signature, in place of as much padding."""
    start = store.rindex(b"\xd2\x84")
    message = cbor2.loads(store[start:])
    whole = cbor2.dumps(message)
    room = len(message.value[1]["pad"])
    for pad in range(room, 0, -1):
        unsigned = {"rVals": {"ocspVals": [data]}, "pad": bytes(pad)}
        new = cbor2.dumps(cbor2.CBORTag(18, [message.value[0], unsigned, None, message.value[3]]))
        if len(new) == len(whole):
            return store[:start] + new + store[start + len(whole) :]
    raise AssertionError("no room")


def test_an_old_list_is_spoken_of():
    found = ProvenanceEvidence(
        "trusted", trust_list={"name": "c2pa", "imported": (NOW - dt.timedelta(91)).isoformat()}
    )
    assert "91 days old" in notes(found, Settings())[0]
    assert notes(found, Settings(trust_list_days=100)) == []
