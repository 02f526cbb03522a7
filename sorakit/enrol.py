"""Register a signed file and move it into place, so that neither is there without the other.

In: a signed file that has been read back, and where it shall stand. Out: a published registry row and the
file under its name; after a failure neither.
"""

from pathlib import Path
from typing import Any

from sorakit.config import Settings
from sorakit.errors import ProvenanceError
from sorakit.hold import hold_signals
from sorakit.place import in_place, move
from sorakit.provenance.manifest import ManifestSpec
from sorakit.provenance.verify import Credential
from sorakit.registry.fingerprint import Fingerprint
from sorakit.registry.record import Record, file_sha256
from sorakit.registry.repo import Registry
from sorakit.types import Progress

__all__ = ["record_of", "register_and_move"]


def record_of(
    spec: ManifestSpec, credential: Credential, store: bytes, seen: Fingerprint, signed: Path
) -> Record:
    """What the registry keeps of a signed file that has been read back."""
    digest = file_sha256(signed)
    manifest_id = credential.provenance.manifest_id
    if manifest_id is None:
        raise ProvenanceError("the signed file names no active manifest; nothing was written")
    return Record(
        manifest_id=manifest_id,
        store=store,
        file_sha256=digest,
        title=spec.title,
        bindings=((str(spec.algorithm), str(spec.payload_hex)),),
        fingerprint=seen,
        generation=credential.generation,
    )


def register_and_move(
    record: Record,
    signed: Path,
    output: Path,
    settings: Settings,
    report: Progress,
    *,
    labels: dict[str, Any] | None,
    overwrite: bool,
    sidecar: Path | None = None,
) -> None:
    """The row first, then the rename; a rename that fails takes the row back. `labels` go into the log.

    Ctrl-C and SIGTERM wait for either step, so that none comes between a row and the note that it is there.
    """
    report("register", 0.0)
    with Registry(settings.database_url) as registry:
        pending = False
        try:
            with hold_signals():
                registry.add_pending(record)
                pending = True
            if labels is not None:
                registry.audit("labelled", record.manifest_id, **labels)
            report("rename", 0.0)
            with hold_signals():
                move(signed, output, overwrite=overwrite, sidecar=sidecar)
                report("confirm", 0.0)
                registry.confirm(record.manifest_id)
        except BaseException:
            with hold_signals():
                if pending and not in_place(signed, output):
                    registry.discard(record.manifest_id)
            raise
    report("confirm", 1.0)
