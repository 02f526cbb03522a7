"""Ask a certificate's issuer whether it was revoked; only when the user wants that.

In: the chain of a signer who is trusted already. Out: `{"status", "source", ...}`. RFC 6960 (OCSP), RFC 5019
(the request's form). This is the one place in checking that goes to the network. The address stands in the
certificate, so it is believed only below a trusted root, and only `http` (answers are signed) or `https` is
followed, never a redirection. Run `ask_task` in a guarded child: that bounds the whole of it in time, look-up
of the name included, however slowly a server drips its answer.
"""

from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from sorakit.provenance.usages import extension_of
from sorakit.types import Progress

__all__ = ["ask", "ask_task", "read_answer", "read_stapled"]

MAX_ANSWER = 64 << 10
MAX_STAPLED = 8
SKEW = timedelta(minutes=5)
OLDEST = timedelta(days=10)
"""How old an answer may be that does not say when the next one comes."""


def ask_task(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """For the guarded child: `chain` and `anchors` in PEM, `seconds`; returns what `ask` returns."""
    progress("revocation", 0.0)
    chain = [x509.load_pem_x509_certificate(c.encode()) for c in request["chain"]]
    anchors = [x509.load_pem_x509_certificate(c.encode()) for c in request["anchors"]]
    return ask(chain, anchors, seconds=float(request["seconds"]))


def ask(chain: list[x509.Certificate], anchors: list[x509.Certificate], *, seconds: float) -> dict[str, Any]:
    """What the issuer says of `chain[0]`: `status` good, revoked, unknown or unavailable, with a reason.

    `anchors`: where the issuer is looked for when it is not in the chain. `seconds`: for each step of the
    network; the caller bounds the whole.
    """
    leaf = chain[0]
    issuer = _find_issuer(chain, anchors)
    url = _responder(leaf)
    if issuer is None:
        return _unavailable("the issuer's certificate is not at hand")
    if url is None:
        return _unavailable("the certificate names no OCSP server")
    query = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, hashes.SHA1()).build()  # noqa: S303 - RFC 5019
    try:
        data = _post(url, query.public_bytes(serialization.Encoding.DER), seconds)
    except (OSError, ValueError, HTTPException) as e:  # URLError is an OSError
        return _unavailable(f"the OCSP server did not answer: {type(e).__name__}")
    return read_answer(data, leaf, issuer)


def read_answer(
    data: bytes, leaf: x509.Certificate, issuer: x509.Certificate, now: datetime | None = None
) -> dict[str, Any]:
    """Check an answer's signature, subject and date; what fails makes it `unavailable`, never good."""
    now = now or datetime.now(UTC)
    try:
        answer = ocsp.load_der_ocsp_response(data)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return _unavailable(f"the OCSP server refused: {answer.response_status.name}")
        if answer.serial_number != leaf.serial_number or answer.issuer_key_hash != _key_hash(answer, issuer):
            return _unavailable("the OCSP answer is about another certificate")
        if not _signed(answer, issuer, now):
            return _unavailable("the OCSP answer is not signed by the certificate's issuer")
        ends = answer.next_update_utc or answer.this_update_utc + OLDEST
        if answer.this_update_utc > now + SKEW or ends < now - SKEW:
            return _unavailable("the OCSP answer is out of date")
        status = {ocsp.OCSPCertStatus.GOOD: "good", ocsp.OCSPCertStatus.REVOKED: "revoked"}
        found = {"status": status.get(answer.certificate_status, "unknown"), "source": "asked"}
        if answer.revocation_time_utc is not None:
            found["revoked_at"] = answer.revocation_time_utc.isoformat()
        return found | {"answered_at": answer.this_update_utc.isoformat()}
    except (ValueError, TypeError, UnsupportedAlgorithm) as e:
        return _unavailable(f"the OCSP answer cannot be read: {type(e).__name__}")


def read_stapled(
    answers: list[bytes], chain: list[x509.Certificate], anchors: list[x509.Certificate]
) -> dict[str, Any] | None:
    """The first sound one of the answers that a signer put beside the signature, as of its date, or None."""
    issuer = _find_issuer(chain, anchors) if answers and chain else None
    if issuer is None:
        return None
    for data in answers[:MAX_STAPLED]:
        try:
            made = ocsp.load_der_ocsp_response(data[:MAX_ANSWER]).this_update_utc
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        said = read_answer(data, chain[0], issuer, now=made)
        if said["status"] != "unavailable":
            return said | {"source": "stapled"}
    return None


def _find_issuer(chain: list[x509.Certificate], anchors: list[x509.Certificate]) -> x509.Certificate | None:
    """The certificate, in the chain or among the anchors, whose key signed `chain[0]`."""
    return next((c for c in [*chain[1:], *anchors] if _issued(c, chain[0])), None)


def _unavailable(reason: str) -> dict[str, Any]:
    return {"status": "unavailable", "source": "asked", "reason": reason}


def _responder(leaf: x509.Certificate) -> str | None:
    try:
        access = extension_of(leaf, x509.AuthorityInformationAccess)
    except ValueError:
        return None
    for entry in access or ():
        place = entry.access_location
        if entry.access_method == AuthorityInformationAccessOID.OCSP and isinstance(
            place, x509.UniformResourceIdentifier
        ):
            parts = urlsplit(place.value)
            if parts.scheme in ("http", "https") and parts.hostname and not parts.username:
                return place.value
    return None


def _post(url: str, query: bytes, seconds: float) -> bytes:
    import urllib.request  # noqa: PLC0415 - most checks ask nobody

    opener = urllib.request.OpenerDirector()  # bare: no redirections, proxies or cookies
    for handler in (urllib.request.HTTPHandler(), urllib.request.HTTPSHandler()):
        opener.add_handler(handler)
    kind = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
    request = urllib.request.Request(url, data=query, headers=kind, method="POST")  # noqa: S310 - scheme checked
    with opener.open(request, timeout=seconds) as reply:
        if reply.status != 200:
            raise ValueError(f"status {reply.status}")
        data: bytes = reply.read(MAX_ANSWER + 1)
    if len(data) > MAX_ANSWER:
        raise ValueError("too long")
    return data


def _key_hash(answer: ocsp.OCSPResponse, issuer: x509.Certificate) -> bytes:
    """Over the bits of the issuer's key, without their wrapping (RFC 6960, 4.1.1)."""
    fresh = ocsp.OCSPRequestBuilder().add_certificate(issuer, issuer, answer.hash_algorithm).build()
    return fresh.issuer_key_hash


def _signed(answer: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> bool:
    """By the issuer itself, or by a certificate that it issued for this alone (RFC 6960, 4.2.2.2)."""
    for signer in [issuer, *answer.certificates[:4]]:
        if signer is not issuer and not _delegate(signer, issuer, now):
            continue
        if _fits(signer, answer):
            return True
    return False


def _delegate(signer: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bool:
    try:
        usages = extension_of(signer, x509.ExtendedKeyUsage)
    except ValueError:
        return False
    timely = signer.not_valid_before_utc <= now <= signer.not_valid_after_utc
    return timely and ExtendedKeyUsageOID.OCSP_SIGNING in (usages or ()) and _issued(issuer, signer)


def _fits(signer: x509.Certificate, answer: ocsp.OCSPResponse) -> bool:
    key, algorithm = signer.public_key(), answer.signature_hash_algorithm
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), algorithm)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _issued(above: x509.Certificate, below: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
