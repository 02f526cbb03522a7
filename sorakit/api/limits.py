"""What one request, and one caller, may cost: the first thing that every request meets.

In: an ASGI application and `Limits`. Out: the same application behind a token, and bounds on body, time,
requests at once and requests a minute. Pure ASGI (3.0), since a body has to be bounded while it arrives.
"""

import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import anyio
from fastapi import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HEALTH", "UPLOAD", "Guard", "Limits"]

HEALTH = "/health"
UPLOAD = "/matches/byContent"
MAX_CALLERS = 10_000
MAX_JSON = 64 << 10
"""Bytes of a body that is no upload."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`token`: what a caller must present, if anything. `upload_bytes`: of one file.

    `upload_seconds`: wall time for sending a file and reading it; `request_seconds`: for anything else.
    `uploads`, `requests`: at once. `per_minute`: requests of one address, with as many saved up at most.
    """

    token: str | None = None
    upload_bytes: int = 256 << 20
    upload_seconds: float = 120
    request_seconds: float = 15
    uploads: int = 2
    requests: int = 64
    per_minute: int = 240


class Guard:
    """The application behind its limits; refuses in JSON, and says when to come back."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits
        self._running = 0
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refuse(scope)
        if refused is not None:
            await _answer(send, *refused)
            return
        self._running += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self._running -= 1

    def _refuse(self, scope: Scope) -> tuple[int, str, list[tuple[str, str]]] | None:
        if scope["path"] != HEALTH:
            if not self._may_enter(scope):
                return 401, "a valid bearer token is needed", [("www-authenticate", "Bearer")]
            wait = self._wait(scope)
            if wait > 0:
                return 429, "too many requests from this address", [("retry-after", str(int(wait) + 1))]
        if self._running >= self._limits.requests:
            return 503, "too many requests at once", [("retry-after", "2")]
        length = _header(scope, b"content-length")
        if length.isdigit() and int(length) > self._most(scope):
            return 413, f"the body must have at most {self._most(scope)} bytes", [("connection", "close")]
        return None

    def _may_enter(self, scope: Scope) -> bool:
        if self._limits.token is None:
            return True
        kind, _, given = _header(scope, b"authorization").partition(b" ")
        return kind.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._limits.token.encode())

    def _wait(self, scope: Scope) -> float:
        """Seconds until this address may ask again (a token bucket); 0 counts the request."""
        caller, most, now = (scope.get("client") or ("", 0))[0], self._limits.per_minute, time.monotonic()
        left, then = self._buckets.pop(caller, (float(most), now))
        left = min(float(most), left + (now - then) * most / 60)
        allowed = left >= 1
        self._buckets[caller] = (left - allowed, now)
        while len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) * 60 / most

    def _most(self, scope: Scope) -> int:
        return self._limits.upload_bytes if scope["path"] == UPLOAD else MAX_JSON

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        most, got, arrived, begun = self._most(scope), 0, False, False

        async def bounded() -> Message:
            nonlocal got, arrived
            message = await receive()
            got += len(message.get("body", b""))
            arrived = not message.get("more_body", False)
            if got > most:
                raise HTTPException(413, f"the body must have at most {most} bytes")
            return message

        async def watched(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message.get("headers", []), *_SAFE]
            await send(message)

        limits = self._limits
        seconds = limits.upload_seconds if scope["path"] == UPLOAD else limits.request_seconds
        try:
            with anyio.fail_after(seconds):
                await self._app(scope, bounded, watched)
        except ClientDisconnect:
            return
        except TimeoutError:
            if not begun:
                late = (503, "the answer took too long") if arrived else (408, "the body took too long")
                await _answer(send, *late, [("retry-after", "30"), ("connection", "close")])


_SAFE = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


def _header(scope: Scope, name: bytes) -> bytes:
    return next((bytes(v) for k, v in scope["headers"] if k == name), b"")


async def _answer(send: Send, status: int, error: str, headers: Iterable[tuple[str, str]]) -> None:
    body = json.dumps({"error": error}).encode()
    named = [("content-type", "application/json"), ("content-length", str(len(body))), *headers]
    raw = [(k.encode(), v.encode()) for k, v in named]
    await send({"type": "http.response.start", "status": status, "headers": [*raw, *_SAFE]})
    await send({"type": "http.response.body", "body": body})
