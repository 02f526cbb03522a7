"""The HTTP application: routes, errors in fixed words, and a description of every status.

In: an open registry and limits. Out: an ASGI application. It only reads; no page of another origin may
read its answers (no CORS headers), and on a loopback address it answers to loopback names alone, so that no
web page reaches it through a name that resolves here.
"""

import logging
import re
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as BaseHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from sorakit import __version__
from sorakit.api.limits import HEALTH, Guard, Limits
from sorakit.api.softbinding import router
from sorakit.api.wire import Health, refusals
from sorakit.config import Settings
from sorakit.errors import RegistryError
from sorakit.registry.repo import Registry

__all__ = ["LOOPBACK", "create_app"]

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
log = logging.getLogger(__name__)


def create_app(
    registry: Registry,
    *,
    settings: Settings | None = None,
    limits: Limits | None = None,
    hosts: tuple[str, ...] = LOOPBACK,
) -> FastAPI:
    """The application over `registry`, best opened with `read_only`. `hosts`: names it answers to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as d, Registry(f"sqlite:///{d}/r.db") as registry:
    ...     sorted(create_app(registry).openapi()["paths"])[:2]
    ['/health', '/manifests/{manifestId}']
    """
    bounds = limits or Limits()
    app = FastAPI(
        title="sorakit: C2PA Soft Binding Resolution API",
        description="From an invisible watermark, or a video, to its C2PA manifest. Read-only.",
        version=__version__,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(router(registry, (settings or Settings()).limits, bounds))

    @app.get(HEALTH, responses=refusals(_HEALTH))
    def health() -> Health:
        """Whether the registry answers; needs no token."""
        try:
            registry.get("-")
        except RegistryError as e:
            raise HTTPException(503, "the registry does not answer") from e
        return Health(status="ok")

    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(BaseHTTPException, _refused)
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.add_middleware(Guard, limits=bounds)
    _describe(app, needs_token=bounds.token is not None)
    return app


_HEALTH = {
    400: "Not a name of this service",
    413: "Body too large",
    503: "The registry does not answer, or too many requests",
}


def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """400 with the parameter's name and what is wrong; never what was sent."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    said = "; ".join(
        f"{'.'.join(str(p) for p in e['loc'][1:]) or 'body'}: {e['msg'].removeprefix('Value error, ')}"
        for e in found[:5]
    )
    long = any(e["loc"] == ("query", "value") and e["type"] == "string_too_long" for e in found)
    return JSONResponse({"error": said or "invalid request"}, 414 if long else 400)


def _refused(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, BaseHTTPException):
        return _failed(request, error)
    headers = {k.lower(): v for k, v in (error.headers or {}).items()}
    if error.status_code == 405:
        headers["allow"] = ", ".join(_methods(request))
    return JSONResponse({"error": error.detail}, error.status_code, headers)


def _methods(request: Request) -> list[str]:
    """All methods of a path; the router itself names only those of the first route on it."""
    paths = request.app.openapi()["paths"]
    fits = (p for p in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", p), request.url.path))
    return sorted(method.upper() for p in fits for method in paths[p])


def _failed(_request: Request, error: Exception) -> JSONResponse:
    """What went wrong is for the log; a caller learns only that it did."""
    log.error("a request failed", exc_info=error)
    return JSONResponse({"error": "service failure"}, 500)


def _describe(app: FastAPI, *, needs_token: bool) -> None:
    """FastAPI describes invalid requests as 422; here they are 400, as C2PA has it."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        schema = plain()
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                operation["responses"].pop("422", None)
                if needs_token and path != HEALTH:
                    operation["security"] = [{"bearer": []}]
        parts = schema["components"]
        for unused in ("HTTPValidationError", "ValidationError"):
            parts["schemas"].pop(unused, None)
        if needs_token:
            parts["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        app.openapi_schema = schema
        return schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way
