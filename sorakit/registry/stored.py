"""Open a kept or fetched manifest store, in a child process: its bytes may be a stranger's.

In: a store's bytes and a `Trust`. Out: a `Credential`. A store of ours is no exception: it may carry the
manifests of a parent that somebody else made.
"""

import base64
from typing import Any

from sorakit.config import Limits
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import Credential, read_store
from sorakit.types import Progress
from sorakit.video.guard import run_guarded

__all__ = ["open_stored", "read_stored"]


def open_stored(store: bytes, trust: Trust, limits: Limits) -> Credential:
    """What `store` says, read without its video. Raises `InputError` when it brings its reader down."""
    answer = run_guarded(
        "sorakit.registry.stored:read_stored",
        {"store": base64.b64encode(store).decode(), "trust": trust.to_json()},
        timeout=limits.probe_seconds,
        memory_bytes=limits.memory_bytes,
    )
    return Credential.from_json(answer)


def read_stored(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """The child's side of `open_stored`."""
    progress("stored credential", 0.0)
    store = base64.b64decode(request["store"], validate=True)
    return read_store(store, Trust.from_json(request["trust"])).to_json()
