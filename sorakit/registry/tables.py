"""The registry's tables: manifests, what leads to them, and an append-only audit log.

SQLAlchemy 2.1 typed ORM with types that SQLite and PostgreSQL both have. Times are milliseconds since 1970
UTC as integers: SQLite has no time-zone-aware type. Change a table only together with a new migration.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

__all__ = ["AuditRow", "Base", "BindingRow", "FingerprintRow", "ManifestRow"]


class Base(DeclarativeBase):
    """Declarative base; `metadata` is what a migration test compares the migrations with."""


class ManifestRow(Base):
    """The manifest store of one published (or pending) video. `id` is the active manifest's label."""

    __tablename__ = "manifests"

    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    store: Mapped[bytes] = mapped_column(LargeBinary)
    store_sha256: Mapped[str] = mapped_column(String(64), index=True)
    file_sha256: Mapped[str] = mapped_column(String(64), index=True)
    title: Mapped[str | None] = mapped_column(String(255))
    state: Mapped[str] = mapped_column(String(16))
    created_ms: Mapped[int] = mapped_column(BigInteger, index=True)
    generation: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))

    bindings: Mapped[list["BindingRow"]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True, order_by="BindingRow.id"
    )
    fingerprint: Mapped["FingerprintRow | None"] = relationship(
        cascade="all, delete-orphan", passive_deletes=True
    )


class BindingRow(Base):
    """A soft binding: many manifests may share one (a mark that was copied, a second signature)."""

    __tablename__ = "soft_bindings"
    __table_args__ = (Index("ix_soft_bindings_algorithm_value", "algorithm", "value"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    manifest_id: Mapped[str] = mapped_column(
        String(255), ForeignKey("manifests.id", ondelete="CASCADE"), index=True
    )
    algorithm: Mapped[str] = mapped_column(String(255))
    value: Mapped[str] = mapped_column(String(255))


class FingerprintRow(Base):
    """The perceptual fingerprint of a manifest's video."""

    __tablename__ = "fingerprints"

    manifest_id: Mapped[str] = mapped_column(
        String(255), ForeignKey("manifests.id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column()
    blob: Mapped[bytes] = mapped_column(LargeBinary)


class AuditRow(Base):
    """One event; `digest` covers the row and the digest before it. Triggers refuse changes and deletions."""

    __tablename__ = "audit_log"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    time_ms: Mapped[int] = mapped_column(BigInteger)
    event: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(255))
    details: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str] = mapped_column(String(64))
