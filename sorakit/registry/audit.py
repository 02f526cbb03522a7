"""The audit log's chain: each row's digest covers the row and the digest before it.

In: a connection that holds the write lock. Out: one more row, or the first row that does not fit. Changed,
inserted and removed rows show; a log cut off at its end shows only against a head digest noted elsewhere.
"""

import hashlib
import json
import time
from typing import Any

from sqlalchemy import Connection, insert, select

from sorakit.errors import RegistryError
from sorakit.registry.tables import AuditRow

__all__ = ["append", "first_bad", "head"]

START = "0" * 64
MAX_DETAILS = 64_000


def append(connection: Connection, event: str, subject: str, details: dict[str, Any]) -> None:
    """Add an event; needs `engine.writing`, so that no other process takes the same number."""
    try:
        text = json.dumps(details, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as e:
        raise RegistryError(f"audit details must be plain JSON: {e}") from e
    if len(text) > MAX_DETAILS or not 0 < len(event) <= 64 or len(subject) > 255:
        raise RegistryError("an audit event is too long: event 64, subject 255, details 64,000 characters")
    seq, previous = head(connection)
    row = (seq + 1, time.time_ns() // 1_000_000, event, subject, text)
    names = ("seq", "time_ms", "event", "subject", "details")
    values = dict(zip(names, row, strict=True))
    connection.execute(insert(AuditRow).values(**values, previous=previous, digest=_digest(previous, row)))


def head(connection: Connection) -> tuple[int, str]:
    """(number, digest) of the last row; (0, 64 zeros) for an empty log."""
    last = connection.execute(
        select(AuditRow.seq, AuditRow.digest).order_by(AuditRow.seq.desc()).limit(1)
    ).first()
    return (last.seq, last.digest) if last else (0, START)


def first_bad(connection: Connection) -> int | None:
    """The number of the first row that is changed, missing or out of place; None when the chain holds."""
    expected, previous = 1, START
    query = select(
        AuditRow.seq,
        AuditRow.time_ms,
        AuditRow.event,
        AuditRow.subject,
        AuditRow.details,
        AuditRow.previous,
        AuditRow.digest,
    ).order_by(AuditRow.seq)
    with connection.execute(query, execution_options={"yield_per": 1000}) as rows:
        for *row, before, digest in rows:
            if row[0] != expected or before != previous or digest != _digest(previous, tuple(row)):
                return expected
            expected, previous = expected + 1, digest
    return None


def _digest(previous: str, row: tuple[Any, ...]) -> str:
    return hashlib.sha256(json.dumps([previous, *row], separators=(",", ":")).encode()).hexdigest()
