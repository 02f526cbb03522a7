"""What the registry keeps of one published video.

In and out of `Registry`; no private data: of the file's path only its name, of the prompt only its digest.
"""

import base64
import hashlib
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sorakit.errors import RegistryError
from sorakit.registry.fingerprint import Fingerprint

__all__ = ["Printed", "Record", "file_sha256"]

MAX_STORE = 64 << 20


@dataclass(frozen=True, slots=True)
class Printed:
    """What it takes to compare pictures: a row without its manifest, which may be large."""

    manifest_id: str
    state: str
    created: datetime
    fingerprint: Fingerprint | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """One manifest and what leads to it.

    `manifest_id`: the active manifest's label. `store`: the manifest store's bytes. `file_sha256`: of the
    final file. `title`: the file's name when it was published, without folders. `bindings`: soft bindings as
    (algorithm, value in lower-case hex). `state`: pending until the file stands in its place.
    """

    manifest_id: str
    store: bytes = field(repr=False)
    file_sha256: str
    title: str | None = None
    bindings: tuple[tuple[str, str], ...] = ()
    fingerprint: Fingerprint | None = field(default=None, repr=False)
    generation: dict[str, Any] | None = None
    state: str = "pending"
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def store_sha256(self) -> str:
        """Lower-case hex."""
        return hashlib.sha256(self.store).hexdigest()

    def check(self) -> None:
        """Raise `RegistryError` when a field would not fit the tables."""
        texts = [self.manifest_id, *(part for pair in self.bindings for part in pair)]
        if any(not 0 < len(t) <= 255 for t in texts):
            raise RegistryError("ids, algorithms and values must have 1 to 255 characters")
        if self.title is not None and ("/" in self.title or not 0 < len(self.title) <= 255):
            raise RegistryError(f"`title` must be a file name without folders, got {self.title!r:.300}")
        if len(self.file_sha256) != 64 or set(self.file_sha256) - set("0123456789abcdef"):
            raise RegistryError(
                f"`file_sha256` must be 64 lower-case hex digits, got {self.file_sha256!r:.80}"
            )
        if not 0 < len(self.store) <= MAX_STORE:
            raise RegistryError(f"`store` must have 1 to {MAX_STORE} bytes, got {len(self.store)}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; bytes in base64."""
        return {
            "manifest_id": self.manifest_id,
            "state": self.state,
            "created": self.created.astimezone(UTC).isoformat(timespec="milliseconds"),
            "title": self.title,
            "file_sha256": self.file_sha256,
            "store_sha256": self.store_sha256,
            "store": base64.b64encode(self.store).decode(),
            "soft_bindings": [{"algorithm": a, "value": v} for a, v in self.bindings],
            "fingerprint": asdict(self.fingerprint) if self.fingerprint else None,
            "generation": self.generation,
        }


def file_sha256(path: Path) -> str:
    """Lower-case hex digest of a file's bytes, as `Record.file_sha256` has it. Raises `OSError`."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
