"""The registry: from a watermark's payload, a file's hash or a manifest's label to the stored manifest.

In: `Record`s. Out: `Record`s. Publishing goes: sign a temporary file, read it back, `add_pending` with the
final file's hash, rename the file into place, `confirm`. A crash before the rename leaves a pending row
that leads nowhere, one after it a pending row that recovers like any other; neither loses a published file.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from sqlalchemy import ColumnElement, Select, and_, delete, func, select, update
from sqlalchemy.orm import Session, selectinload

from sorakit.errors import RegistryError
from sorakit.registry import audit
from sorakit.registry.engine import database_exists, open_engine, reading, writing
from sorakit.registry.fingerprint import Fingerprint
from sorakit.registry.record import Printed, Record
from sorakit.registry.tables import AuditRow, BindingRow, FingerprintRow, ManifestRow

__all__ = ["Registry"]

MAX_FOUND = 100
Ids = list[str]
Prints = list[Printed]
Records = list[Record]


class Registry:
    """An open registry; use it as a context manager. Safe to open in several processes at once.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as d, Registry(f"sqlite:///{d}/r.db") as registry:
    ...     registry.add_pending(Record("urn:c2pa:1", b"store", "0" * 64, bindings=(("a.b.c", "0f"),)))
    ...     registry.confirm("urn:c2pa:1")
    ...     [r.state for r in registry.find_by_binding("a.b.c", "0f")]
    ['published']
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        """Open (and create or migrate, unless `read_only`) the database at `url`. Raises `RegistryError`."""
        self._engine = open_engine(url, read_only=read_only)

    @staticmethod
    def exists(url: str) -> bool:
        """Whether there is a registry to ask: a SQLite file that is there, or any server."""
        return database_exists(url)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add_pending(self, record: Record) -> None:
        """Store a manifest whose file is not in its place yet. Raises `RegistryError` if the id is taken."""
        record.check()
        with writing(self._engine) as connection, Session(connection) as session:
            if session.get(ManifestRow, record.manifest_id) is not None:
                raise RegistryError(f"manifest {record.manifest_id} is in the registry already")
            session.add(_row(record))
            session.flush()
            details = {"file_sha256": record.file_sha256, "store_sha256": record.store_sha256}
            audit.append(connection, "pending", record.manifest_id, details)

    def confirm(self, manifest_id: str) -> None:
        """The file stands in its place. Confirming twice changes nothing."""
        with writing(self._engine) as connection:
            changed = connection.execute(
                update(ManifestRow)
                .where(ManifestRow.id == manifest_id, ManifestRow.state == "pending")
                .values(state="published")
            )
            if changed.rowcount:
                audit.append(connection, "confirmed", manifest_id, {})
            elif connection.scalar(select(ManifestRow.id).where(ManifestRow.id == manifest_id)) is None:
                raise RegistryError(f"no manifest {manifest_id} in the registry; add it first")

    def discard(self, manifest_id: str) -> None:
        """Forget a pending manifest whose file was not published; a published one is refused."""
        with writing(self._engine) as connection:
            gone = connection.execute(
                delete(ManifestRow).where(ManifestRow.id == manifest_id, ManifestRow.state == "pending")
            )
            if not gone.rowcount:
                raise RegistryError(f"no pending manifest {manifest_id} in the registry")
            audit.append(connection, "discarded", manifest_id, {})

    def find_by_binding(self, algorithm: str, value: str) -> Records:
        """All manifests that carry this mark, newest first, at most 100; pending ones too."""
        marked = select(BindingRow.manifest_id).where(_carries(algorithm, value))
        query = select(ManifestRow).where(ManifestRow.id.in_(marked))
        return self._records(query, MAX_FOUND, 0)

    def ids_by_binding(self, algorithm: str, value: str, limit: int = MAX_FOUND) -> Ids:
        """Ids of the published manifests that carry this mark, newest first; reads no manifest."""
        query = (
            select(ManifestRow.id)
            .join(BindingRow, BindingRow.manifest_id == ManifestRow.id)
            .where(_carries(algorithm, value), ManifestRow.state == "published")
            .order_by(ManifestRow.created_ms.desc(), ManifestRow.id)
            .limit(limit)
        )
        with reading(self._engine) as connection:
            return list(dict.fromkeys(connection.scalars(query)))

    def prints_by_binding(self, algorithm: str, value: str) -> Prints:
        """The same rows as `find_by_binding`, in one query and without their manifests."""
        query = (
            select(
                ManifestRow.id,
                ManifestRow.state,
                ManifestRow.created_ms,
                FingerprintRow.version,
                FingerprintRow.blob,
            )
            .join(BindingRow, BindingRow.manifest_id == ManifestRow.id)
            .outerjoin(FingerprintRow, FingerprintRow.manifest_id == ManifestRow.id)
            .where(_carries(algorithm, value))
            .order_by(ManifestRow.created_ms.desc(), ManifestRow.id)
            .limit(MAX_FOUND)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        found = (
            Printed(i, state, _time(ms), None if blob is None else Fingerprint.from_bytes(version, blob))
            for i, state, ms, version, blob in rows
        )
        return list({p.manifest_id: p for p in found}.values())

    def pending(self, before: datetime, limit: int = 1000) -> Records:
        """Rows from before a moment whose file was never confirmed: what a kill left behind."""
        query = select(ManifestRow).where(
            ManifestRow.state == "pending", ManifestRow.created_ms < int(before.timestamp() * 1000)
        )
        return self._records(query, limit, 0)

    def get(self, manifest_id: str) -> Record | None:
        """The manifest with this label."""
        return self._first(select(ManifestRow).where(ManifestRow.id == manifest_id))

    def find_by_store_hash(self, sha256: str) -> Record | None:
        """The manifest whose store has this SHA-256 (hex)."""
        return self._first(select(ManifestRow).where(ManifestRow.store_sha256 == sha256.lower()))

    def find_by_file_hash(self, sha256: str) -> Record | None:
        """The manifest whose final file has this SHA-256 (hex)."""
        return self._first(select(ManifestRow).where(ManifestRow.file_sha256 == sha256.lower()))

    def export(self, manifest_id: str) -> dict[str, Any]:
        """Everything about one manifest in JSON types. Raises `RegistryError` when there is none."""
        record = self.get(manifest_id)
        if record is None:
            raise RegistryError(f"no manifest {manifest_id} in the registry; see: sorakit registry list")
        return record.to_json()

    def stats(self) -> dict[str, int]:
        """Row counts; `manifests` is published and pending together."""
        counts = {
            "manifests": select(func.count()).select_from(ManifestRow),
            "published": select(func.count()).where(ManifestRow.state == "published"),
            "pending": select(func.count()).where(ManifestRow.state == "pending"),
            "soft_bindings": select(func.count()).select_from(BindingRow),
            "fingerprints": select(func.count()).select_from(FingerprintRow),
            "audit_log": select(func.count()).select_from(AuditRow),
        }
        with reading(self._engine) as connection:
            return {name: int(connection.scalar(query) or 0) for name, query in counts.items()}

    def audit(self, event: str, subject: str, **details: Any) -> None:
        """Add an event to the append-only log; `details` must be plain JSON."""
        with writing(self._engine) as connection:
            audit.append(connection, event, subject, details)

    def verify_audit(self) -> int | None:
        """The number of the first audit row that was changed, or None when all hold."""
        with reading(self._engine) as connection:
            return audit.first_bad(connection)

    def audit_head(self) -> tuple[int, str]:
        """(number, digest) of the last audit row: noted elsewhere, it also shows a log cut off at its end."""
        with reading(self._engine) as connection:
            return audit.head(connection)

    def audit_events(self, limit: int = 100, offset: int = 0) -> Iterator[dict[str, Any]]:
        """Audit rows, newest first."""
        query = select(AuditRow).order_by(AuditRow.seq.desc()).limit(limit).offset(offset)
        with reading(self._engine) as connection, Session(connection) as session:
            rows = session.scalars(query).all()
        for r in rows:
            yield {"seq": r.seq, "time": _time(r.time_ms).isoformat(), "event": r.event} | {
                "subject": r.subject,
                "details": r.details,
                "digest": r.digest,
            }

    def list(self, limit: int = 100, offset: int = 0) -> Records:
        """Manifests, newest first."""
        return self._records(select(ManifestRow), limit, offset)

    def _first(self, query: Select[ManifestRow]) -> Record | None:
        return next(iter(self._records(query, 1, 0)), None)

    def _records(self, query: Select[ManifestRow], limit: int, offset: int) -> Records:
        query = (
            query.options(selectinload(ManifestRow.bindings), selectinload(ManifestRow.fingerprint))
            .order_by(ManifestRow.created_ms.desc(), ManifestRow.id)
            .limit(limit)
            .offset(offset)
        )
        with reading(self._engine) as connection, Session(connection) as session:
            return [_record(row) for row in session.scalars(query)]


def _carries(algorithm: str, value: str) -> ColumnElement[bool]:
    return and_(BindingRow.algorithm == algorithm, BindingRow.value == value.lower())


def _row(record: Record) -> ManifestRow:
    seen = record.fingerprint
    return ManifestRow(
        id=record.manifest_id,
        store=record.store,
        store_sha256=record.store_sha256,
        file_sha256=record.file_sha256,
        title=record.title,
        state="pending",
        created_ms=int(record.created.timestamp() * 1000),
        generation=record.generation,
        bindings=[BindingRow(algorithm=a, value=v.lower()) for a, v in record.bindings],
        fingerprint=FingerprintRow(version=seen.version, blob=seen.to_bytes()) if seen else None,
    )


def _record(row: ManifestRow) -> Record:
    stored = row.fingerprint
    return Record(
        manifest_id=row.id,
        store=row.store,
        file_sha256=row.file_sha256,
        bindings=tuple((b.algorithm, b.value) for b in row.bindings),
        fingerprint=Fingerprint.from_bytes(stored.version, stored.blob) if stored else None,
        generation=row.generation,
        title=row.title,
        state=row.state,
        created=_time(row.created_ms),
    )


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
