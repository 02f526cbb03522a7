"""Open the registry's database and bring its tables up to date, safely under several processes at once.

In: a SQLAlchemy URL (SQLite file, or PostgreSQL through psycopg). Out: an engine whose tables are at `HEAD`.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from sorakit.errors import RegistryError

__all__ = ["HEAD", "database_exists", "migrate", "open_engine", "reading", "writing"]

HEAD = "0001"
"""The newest revision: known here so that an up-to-date registry opens without importing alembic."""

BUSY_MS = 30_000
LOCK = 0x5052_4B49
"""PostgreSQL advisory lock under which migrations and audit rows are written."""


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """An engine for `url` with the tables at `HEAD`; a SQLite file and its folder are created private.

    With `read_only` the database itself refuses writes, and nothing is created or migrated.
    Raises `RegistryError` when the URL cannot be used or the database cannot be opened or migrated.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql" and parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise RegistryError(f"the registry needs SQLite or PostgreSQL, got {parsed.get_backend_name()}")
        if not read_only:
            _create_file(parsed)
        elif not database_exists(url):
            raise RegistryError("there is no registry yet; the first `sorakit mark` makes one")
        engine = create_engine(parsed, execution_options={"postgresql_readonly": True} if read_only else {})
    except (ArgumentError, NoSuchModuleError, ImportError, ValueError) as e:
        raise RegistryError(f"cannot use the registry URL: {e}; see `pip install sorakit[serve]`") from e
    except OSError as e:
        raise RegistryError(f"cannot create the registry file: {e}") from e
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
        if read_only:
            event.listen(engine, "connect", _refuse_writes)
    try:
        _require_head(engine) if read_only else migrate(engine)
    except RegistryError:
        engine.dispose()
        raise
    return engine


def database_exists(url: str) -> bool:
    """Whether `open_engine` would find a database rather than make one; a server counts as found."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as e:  # a port that is no number
        raise RegistryError(f"cannot use the registry URL: {e}") from e
    if parsed.get_backend_name() != "sqlite":
        return True
    return bool(parsed.database) and Path(str(parsed.database)).is_file()


def migrate(engine: Engine) -> None:
    """Bring the tables to `HEAD`; the second of two processes waits for the first and finds nothing to do."""
    with reading(engine) as connection:
        if _revision(connection) == HEAD:
            return
    with writing(engine) as connection:
        current = _revision(connection)
        if current == HEAD:
            return
        _upgrade(connection, current)


def _require_head(engine: Engine) -> None:
    with reading(engine) as connection:
        current = _revision(connection)
    if current != HEAD:
        raise RegistryError(
            f"the registry is at revision {current}, this version reads {HEAD}; "
            "run `sorakit registry list` once to bring it up to date, or update sorakit"
        )


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction that only reads; database errors come out as `RegistryError`."""
    with _translated(engine), engine.begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A connection that holds the write lock from its start until it commits, or rolls back on an error."""
    with (
        _translated(engine),
        engine.connect().execution_options(sorakit_write=True) as connection,
        connection.begin(),
    ):
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        yield connection


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as e:
        where = engine.url.render_as_string(hide_password=True)
        cause = getattr(e, "orig", None) or e
        raise RegistryError(f"the registry at {where} failed: {cause}") from e


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _upgrade(connection: Connection, current: str | None) -> None:
    from alembic import command  # noqa: PLC0415  slow to import, needed once in a registry's life
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    try:
        command.upgrade(config, "head")
    except CommandError as e:
        raise RegistryError(
            f"the registry is at revision {current}, which this version (up to {HEAD}) does not know; "
            "update sorakit"
        ) from e


def _create_file(url: URL) -> None:
    """The file and its folder, closed to others: SQLite gives its journal files the same mode."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return
    path = Path(url.database)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, in `_on_begin`
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    try:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as e:
        # Changing the mode does not wait for another process that is doing just that: theirs counts.
        if "locked" not in str(e):
            raise


def _refuse_writes(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA query_only = ON")


def _on_begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("sorakit_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
