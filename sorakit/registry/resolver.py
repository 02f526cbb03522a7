"""Fetch manifests from a Soft Binding Resolution API: the only code of `check` that opens a connection.

In: a resolver's address and a mark. Out: manifest stores as bytes, unread. C2PA 2.2, Soft Binding Resolution
API 1.0.0. Runs in a child process, so that nothing a server does outlasts the deadline. What leaves this
machine is the mark's algorithm and payload; never the video, its hash or its fingerprint.

A server gets nothing beyond that one exchange: HTTPS with its certificate checked (plain HTTP to this
machine alone), to an address that was vetted before and is kept, no redirects, no proxies or credentials from
the environment, no other endpoint that an answer may name, no compressed bodies, all sizes bounded.
"""

import base64
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2

from sorakit.errors import RegistryError
from sorakit.registry.address import Place, parse_url, vetted
from sorakit.types import Progress

__all__ = ["fetch_task"]

MAX_JSON = 256 << 10
MAX_STORE = 16 << 20
MAX_MANIFESTS = 5
STEP_SECONDS = 5.0
"""Wall time of one connect or read."""

_ID = re.compile(r"[\x21-\x2e\x30-\x7e]{1,255}")


def fetch_task(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """`{"url", "algorithm", "payload", "token", "private", "seconds"}` to `{"manifests": [{"id", "store"}]}`.

    Stores in base64. Raises `RegistryError` when the resolver cannot be reached or answers otherwise than
    C2PA's file says.
    """
    place = parse_url(request["url"])
    progress("resolver", 0.0)
    try:
        with _connected(place, request.get("token"), private=bool(request["private"])) as (client, base):
            asked = _Conversation(client, base, place, time.monotonic() + float(request["seconds"]))
            ids = asked.ids(request["algorithm"], bytes.fromhex(request["payload"]))
            stores = [(i, asked.manifest(i)) for i in ids]
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as e:
        raise RegistryError(f"the resolver {place.url} cannot be asked: {e or type(e).__name__}") from e
    return {"manifests": [{"id": i, "store": base64.b64encode(s).decode()} for i, s in stores if s]}


@contextmanager
def _connected(place: Place, token: str | None, *, private: bool) -> Iterator[tuple[httpx2.Client, str]]:
    """A client, and the base URL with the vetted address in place of the name."""
    address = vetted(place, private=private)
    literal = f"[{address}]" if ":" in address else address
    headers = {"host": place.name, "accept-encoding": "identity", "user-agent": "sorakit"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    with httpx2.Client(
        headers=headers, timeout=STEP_SECONDS, follow_redirects=False, trust_env=False
    ) as client:
        yield client, f"{'https' if place.secure else 'http'}://{literal}:{place.port}{place.path}"


@dataclass(frozen=True, slots=True)
class _Conversation:
    """Questions to one resolver, until `deadline` (monotonic seconds)."""

    client: httpx2.Client
    base: str
    place: Place
    deadline: float

    def ids(self, algorithm: str, payload: bytes) -> list[str]:
        """At most `MAX_MANIFESTS` ids that the resolver keeps itself."""
        params = {
            "alg": algorithm,
            "value": base64.b64encode(payload).decode(),
            "maxResults": str(MAX_MANIFESTS),
        }
        status, body = self._get("/matches/byBinding", params, MAX_JSON)
        if status != 200:
            raise self._wrong(f"status {status}")
        try:
            matches = json.loads(body)["matches"]
            # a match with an `endpoint` lies elsewhere: whoever wants to ask there names it
            named = [str(m["manifestId"]) for m in matches if m.get("endpoint") in (None, self.place.url)]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            raise self._wrong("an answer that is not as C2PA has it") from e
        return [i for i in dict.fromkeys(named) if _ID.fullmatch(i)][:MAX_MANIFESTS]

    def manifest(self, manifest_id: str) -> bytes | None:
        """The store's bytes, or None when the resolver does not have it after all."""
        status, body = self._get(f"/manifests/{quote(manifest_id, safe='')}", {}, MAX_STORE)
        if status == 404:
            return None
        if status != 200:
            raise self._wrong(f"status {status}")
        return body

    def _get(self, path: str, params: dict[str, str], most: int) -> tuple[int, bytes]:
        body = bytearray()
        request = self.client.build_request(
            "GET", self.base + path, params=params, extensions={"sni_hostname": self.place.host}
        )
        response = self.client.send(request, stream=True)
        try:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise self._wrong("a compressed answer")
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > most:
                    raise self._wrong(f"more than {most} bytes")
                if time.monotonic() > self.deadline:
                    raise self._wrong("nothing whole in time")
        finally:
            response.close()
        return response.status_code, bytes(body)

    def _wrong(self, what: str) -> RegistryError:
        return RegistryError(f"the resolver {self.place.url} gave {what}")
