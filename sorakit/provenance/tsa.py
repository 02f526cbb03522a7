"""Ask a time-stamping authority for a token over some bytes, with a hard end to the wait.

In: a URL and the bytes. Out: the token (DER). RFC 3161 over HTTP or HTTPS (section 3.4). The whole exchange,
name look-up included, runs in a child process that is ended when the time is up; the answer is bounded and is
taken apart in the child. No redirect is followed. C2PA's own request has no time limit, so it is not used.

Whether the token's signature holds is for the reader of the signed file to say (`stamps` looks).
"""

import base64
import hashlib
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from sorakit.errors import LimitError, ProvenanceError, SorakitError, UsageError
from sorakit.types import Progress

__all__ = ["ask", "ask_task", "check_url"]

MAX_ANSWER = 64 << 10
_MEMORY = 1 << 30
_GRANTED = (0, 1)
"""Status `granted` and `grantedWithMods` (RFC 3161, section 2.4.2)."""


def check_url(url: str) -> str:
    """`url`, if it is an HTTP or HTTPS address without a password; else `UsageError`."""
    try:
        parts = urlsplit(url)
    except ValueError as e:
        raise UsageError(f"the time-stamping service must be a URL, got {url!r:.200}: {e}") from e
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"the time-stamping service must be an http:// or https:// address, got {url!r}")
    if parts.username or parts.password:
        raise UsageError("the address of the time-stamping service must not hold a user name or password")
    return url


def ask(url: str, data: bytes, *, timeout: float) -> bytes:
    """A time-stamp token over `data` from the service at `url`, within `timeout` seconds in all.

    Raises `ProvenanceError` when the service is away, stalls, refuses or answers with something else.
    """
    # Only here, as it loads the video package, which most of this package's users do without.
    from sorakit.video.isolate import run_guarded  # noqa: PLC0415

    request = {"url": check_url(url), "data": base64.b64encode(data).decode(), "timeout": timeout}
    try:
        answer = run_guarded(
            "sorakit.provenance.tsa:ask_task", request, timeout=timeout, memory_bytes=_MEMORY
        )
    except LimitError as e:
        raise ProvenanceError(f"no time stamp from {_host(url)} within {timeout:g} s") from e
    except ProvenanceError:
        raise
    except SorakitError as e:
        raise ProvenanceError(f"the answer of {_host(url)} is no time stamp: {e}") from e
    return base64.b64decode(answer["token"])


def ask_task(request: dict[str, Any], _progress: Progress) -> dict[str, Any]:
    """The child's part of `ask`: one exchange, then a look at the answer."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder  # noqa: PLC0415

    url, data = str(request["url"]), base64.b64decode(request["data"])
    builder = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256)
    query = builder.nonce(nonce=True).cert_request(cert_request=True).build()
    answer = _post(url, query.as_bytes(), float(request["timeout"]))
    return {"token": base64.b64encode(_token(answer, query, data, _host(url))).decode()}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing: the user named one address."""
        return


def _post(url: str, body: bytes, timeout: float) -> bytes:
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    # check_url has refused every scheme but HTTP and HTTPS
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=timeout) as response:
            answer: bytes = response.read(MAX_ANSWER + 1)
    except urllib.error.HTTPError as e:
        raise ProvenanceError(f"{_host(url)} answered HTTP {e.code} to a request for a time stamp") from e
    except (OSError, ValueError, EOFError) as e:
        reason = getattr(e, "reason", None) or e
        raise ProvenanceError(f"no time stamp from {_host(url)}: {reason}") from e
    except Exception as e:  # http.client has errors of its own (`HTTPException`) for a broken answer
        raise ProvenanceError(f"no time stamp from {_host(url)}: {type(e).__name__}") from e
    if len(answer) > MAX_ANSWER:
        raise ProvenanceError(f"the answer of {_host(url)} must be at most {MAX_ANSWER >> 10} KiB")
    return answer


def _token(answer: bytes, query: Any, data: bytes, host: str) -> bytes:
    from rfc3161_client import decode_timestamp_response  # noqa: PLC0415

    try:
        reply = decode_timestamp_response(answer)
        status = int(reply.status)
        if status not in _GRANTED:
            raise ProvenanceError(f"{host} refused to make a time stamp (status {status})")
        info = reply.tst_info
        nonce, imprint = info.nonce, bytes(info.message_imprint.message)
        token = bytes(reply.time_stamp_token())
    except (ValueError, TypeError) as e:
        raise ProvenanceError(f"the answer of {host} is no RFC 3161 time stamp") from e
    if nonce != query.nonce:
        raise ProvenanceError(f"the time stamp from {host} answers another request (its nonce differs)")
    if imprint != hashlib.sha256(data).digest():
        raise ProvenanceError(f"the time stamp from {host} is of other data")
    return token


def _host(url: str) -> str:
    """How a service is named in messages: without path and query, which may hold a customer's key."""
    return urlsplit(url).hostname or "the time-stamping service"
