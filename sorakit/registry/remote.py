"""Recover a credential through other people's resolvers, believing none of them.

In: the mark and fingerprint of a video, and resolvers that the user named. Out: `RecoveryEvidence`. A
resolver is only a way to get bytes. A manifest counts when its signature holds, it has the id it was asked
for by, it names this very mark, and it carries a fingerprint that this picture matches: all from the signed
bytes, none from the resolver's word (its similarity score is not even read).

What a hostile resolver can still do: give nothing; give an older manifest of the same video; give a manifest
of its own making, signed by itself, if it knows the video. The last one names a signer that is not on the
user's trust list, and such a find never contradicts a credential in the file. What it cannot do: speak for
another signer, or lend the manifest of one video to another.
"""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from sorakit.config import Settings
from sorakit.errors import SorakitError, UsageError
from sorakit.private_files import read_private
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import Credential
from sorakit.registry.address import parse_url
from sorakit.registry.fingerprint import Fingerprint
from sorakit.registry.match import MATCH_THRESHOLD, similarity
from sorakit.registry.stored import open_stored
from sorakit.types import RecoveryEvidence
from sorakit.video.guard import run_guarded

__all__ = ["Found", "ask_resolvers"]

MAX_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Found:
    """An accepted manifest. `store_sha256`: of the whole store, lower-case hex."""

    credential: Credential
    similarity: float
    resolver: str
    store_sha256: str


def ask_resolvers(
    mark: tuple[str, str], seen: Fingerprint, resolvers: Sequence[str], trust: Trust, settings: Settings
) -> tuple[Found | None, RecoveryEvidence]:
    """The best manifest that any resolver has for this mark and picture, and what else is to be told.

    One from a trusted signer comes before others, then the more alike. A resolver that fails is a problem
    in the evidence, no error. Raises `UsageError` for an address that cannot be one.
    """
    problems: list[str] = []
    found: list[Found] = []
    best = 0.0
    for url in dict.fromkeys(resolvers):
        try:
            for manifest_id, store in _fetch(url, mark, settings):
                credential = open_stored(store, trust, settings.limits)
                score, problem = _judge(credential, manifest_id, mark, seen)
                best = max(best, score)
                if problem is None:
                    found.append(Found(credential, score, url, hashlib.sha256(store).hexdigest()))
                else:
                    problems.append(f"{url} gave a manifest that does not count: {problem}")
        except UsageError:
            raise
        except SorakitError as e:
            problems.append(str(e))
    told = problems[:MAX_PROBLEMS]
    if not found:
        if best:
            return None, RecoveryEvidence("no_match", similarity=best, problems=told)
        return None, RecoveryEvidence("unavailable", problems=told)
    first = max(found, key=lambda f: (f.credential.provenance.state == "trusted", f.similarity))
    return first, RecoveryEvidence("recovered", problems=told)


def _judge(
    credential: Credential, manifest_id: str, mark: tuple[str, str], seen: Fingerprint
) -> tuple[float, str | None]:
    """(similarity, why the manifest does not count); the reason is None when it does."""
    said = credential.provenance
    if said.state not in ("trusted", "valid_untrusted"):
        return 0.0, "its signature or its parts do not hold"
    if said.manifest_id != manifest_id:
        return 0.0, "it is another one than was asked for"
    if mark not in credential.soft_bindings:
        return 0.0, "it does not name this mark"
    carried = [f for b in credential.soft_bindings if (f := Fingerprint.from_binding(*b)) is not None]
    if not carried:
        return 0.0, "it carries no fingerprint that the picture could be compared with"
    try:
        score = max(similarity(f, seen) for f in carried[:4])
    except SorakitError:
        return 0.0, "its fingerprint is malformed"
    return score, None if score >= MATCH_THRESHOLD else "it belongs to another picture"


def _fetch(url: str, mark: tuple[str, str], settings: Settings) -> Iterator[tuple[str, bytes]]:
    if find_spec("httpx2") is None:
        raise UsageError("resolvers need one more package: pip install 'sorakit[resolve]'")
    place = parse_url(url)
    answer = run_guarded(
        "sorakit.registry.resolver:fetch_task",
        {
            "url": url,
            "algorithm": mark[0],
            "payload": mark[1],
            "token": _token(settings.home / "resolvers", f"{place.host}_{place.port}.token"),
            "private": settings.resolver_private,
            "seconds": settings.resolver_seconds,
        },
        timeout=settings.resolver_seconds + 3,  # the child's start
        memory_bytes=settings.limits.memory_bytes,
    )
    for m in answer["manifests"]:
        yield str(m["id"]), base64.b64decode(m["store"], validate=True)


def _token(folder: Path, name: str) -> str | None:
    """The token for this resolver alone, where the user put one."""
    path = folder / name
    return read_private(path).decode("ascii", "replace").strip() if path.exists() else None
