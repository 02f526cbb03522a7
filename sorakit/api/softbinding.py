"""The C2PA Soft Binding Resolution API over this registry.

In: HTTP requests. Out: ids of published manifests and their bytes, nothing else of a row: no file hash, no
time, no local note. A manifest's title is the file's name; it stands in the signed manifest of the published
file itself, so it is as public as the file. C2PA 2.2, Soft Binding Resolution API 1.0.0.
"""

from typing import Annotated, Any

import anyio
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi import Path as InPath
from fastapi import Query as InQuery

from sorakit.api.limits import UPLOAD
from sorakit.api.limits import Limits as Bounds
from sorakit.api.upload import look_at
from sorakit.api.wire import (
    MAX_RESULTS,
    AlgorithmName,
    Algorithms,
    Flag,
    ManifestId,
    Match,
    Matches,
    MaxResults,
    Query,
    Value,
    Watermark,
    payload_of,
    refusals,
)
from sorakit.config import Limits
from sorakit.registry.cut import single_manifest
from sorakit.registry.repo import Registry
from sorakit.registry.resolve import by_content
from sorakit.watermark.video import VideoWatermark

__all__ = ["MARK", "router"]

MARK = VideoWatermark.name
"""Name of the watermark that manifests are looked up by."""

C2PA = "application/c2pa"
READABLE = ("video/", "image/", "application/")

_ALG = (
    "Name of the soft-binding algorithm; another than those of /services/supportedAlgorithms has no matches."
)
_VALUE = "Base64 of the watermark's 8 payload bytes."
_MOST = f"At most so many ids, newest first; more than {MAX_RESULTS} counts as {MAX_RESULTS}."

_COMMON = {
    400: "Invalid query value",
    401: "No valid bearer token, where one is asked for",
    408: "The request took too long to arrive",
    413: "Body too large",
    429: "Too many requests from this address",
    500: "Service failure",
    503: "Too many requests at once, or no answer in time",
}
"""What any operation may answer besides 200; all but 400 and 500 can come before a route is reached."""


def router(registry: Registry, limits: Limits, bounds: Bounds) -> APIRouter:
    """The API's five operations over an open registry."""
    api = APIRouter(tags=["soft bindings"])
    uploads = anyio.Semaphore(bounds.uploads)

    def matches(alg: str, value: str, most: int) -> Matches:
        payload = payload_of(value) if alg == MARK else None
        ids = registry.ids_by_binding(alg, payload, min(most, MAX_RESULTS)) if payload else []
        return Matches(matches=[Match(manifestId=i) for i in ids])

    @api.get(
        "/matches/byBinding",
        operation_id="queryByBinding",
        responses=refusals(_COMMON | {414: "Query too long, use POST instead"}),
        response_model_exclude_none=True,
    )
    def by_binding(
        value: Annotated[Value, InQuery(description=_VALUE)],
        alg: Annotated[AlgorithmName, InQuery(description=_ALG)],
        maxResults: Annotated[MaxResults, InQuery(description=_MOST)] = 10,
    ) -> Matches:
        """Ids of the manifests that carry a mark."""
        return matches(alg, value, maxResults)

    @api.post(
        "/matches/byBinding",
        operation_id="queryByLargeBinding",
        responses=refusals(_COMMON),
        response_model_exclude_none=True,
    )
    def by_large_binding(
        query: Query, maxResults: Annotated[MaxResults, InQuery(description=_MOST)] = 10
    ) -> Matches:
        """The same with the query in the body."""
        return matches(query.alg, query.value, maxResults)

    @api.post(
        UPLOAD,
        operation_id="uploadFile",
        responses=refusals(_COMMON | {415: "No video that can be read"}),
        response_model_exclude_none=True,
        openapi_extra=_BODY,
    )
    async def content(
        request: Request,
        alg: Annotated[AlgorithmName | None, InQuery(description=_ALG)] = None,
        maxResults: Annotated[MaxResults, InQuery(description=_MOST)] = 10,
        hintAlg: Annotated[AlgorithmName | None, InQuery(description="Algorithm of a known mark.")] = None,
        hintValue: Annotated[Value | None, InQuery(description=_VALUE)] = None,
    ) -> Matches:
        """Ids of the manifests of an uploaded video: its mark leads there and its picture fits."""
        if not request.headers.get("content-type", "").lower().startswith(READABLE):
            raise HTTPException(415, "the body must be a video")
        try:
            uploads.acquire_nowait()
        except anyio.WouldBlock as e:
            raise HTTPException(503, "too many uploads at once", {"retry-after": "30"}) from e
        try:
            seen = await look_at(request.stream(), limits, bounds.upload_seconds)
        finally:
            uploads.release()
        hint = payload_of(hintValue) if hintValue and hintAlg == MARK else None
        marks = [m for m in (seen.mark, (MARK, hint) if hint else None) if m and alg in (None, m[0])]
        if not marks or seen.fingerprint is None:
            return Matches()
        found = await anyio.to_thread.run_sync(by_content, registry, marks, seen.fingerprint)
        return Matches(
            matches=[
                Match(manifestId=c.manifest_id, similarityScore=round(100 * c.similarity))
                for c in found[: min(maxResults, MAX_RESULTS)]
            ]
        )

    @api.get(
        "/manifests/{manifestId}",
        operation_id="getManifestById",
        response_class=Response,
        responses=refusals(_COMMON | {404: "C2PA Manifest Id not found"})
        | {200: {"description": "The manifest store", "content": {C2PA: _BINARY}}},
    )
    def manifest(
        manifestId: Annotated[ManifestId, InPath(description="The active manifest's label.")],
        returnActiveManifest: Annotated[
            Flag, InQuery(description="Without the manifests of ingredients.")
        ] = False,
    ) -> Response:
        """The manifest store as it was published, or the active manifest alone."""
        row = registry.get(manifestId)
        if row is None or row.state != "published":
            raise HTTPException(404, "no manifest with this id")
        store = single_manifest(row.store, manifestId) if returnActiveManifest else row.store
        if store is None:
            raise HTTPException(500, "the stored manifest cannot be taken apart")
        return Response(store, media_type=C2PA)

    @api.get(
        "/services/supportedAlgorithms",
        operation_id="getSupportedBindings",
        responses=refusals(_COMMON),
    )
    def supported() -> Algorithms:
        """The soft-binding algorithms that can be asked for."""
        return Algorithms(watermarks=[Watermark(alg=MARK)])

    return api


_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_BODY = {"requestBody": {"required": True, "content": {f"{kind}*": _BINARY for kind in READABLE}}}
