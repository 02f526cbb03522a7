import json
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from sorakit.errors import RegistryError
from sorakit.registry import engine
from sorakit.registry.audit import first_bad
from sorakit.registry.engine import HEAD, open_engine
from sorakit.registry.fingerprint import fingerprint
from sorakit.registry.record import Record
from sorakit.registry.repo import Registry
from sorakit.registry.tables import Base

HASH = "ab" * 32
ALGORITHM = "io.github.sorakit.lattice.1"
START = datetime(2026, 1, 1, tzinfo=UTC)


def record(number=1, value="0f", **changes):
    rng = np.random.default_rng(number)
    seen = fingerprint((i / 10, rng.integers(0, 256, (45, 80), np.uint8)) for i in range(5))
    fields = {
        "manifest_id": f"urn:c2pa:{number}",
        "store": bytes([number]) * 100,
        "file_sha256": f"{number:064x}",
        "title": "clip.mp4",
        "bindings": ((ALGORITHM, value),),
        "fingerprint": seen,
        "generation": {"model": "m", "seed": str(2**64), "deep": [1, None, {"x": 1.5}]},
        "created": START + timedelta(seconds=number),
    }
    return Record(**fields | changes)


def test_what_goes_in_comes_out(registry):
    registry.add_pending(record(7))
    assert registry.get("urn:c2pa:7") == record(7)
    assert registry.find_by_store_hash(record(7).store_sha256) == record(7)
    assert registry.find_by_file_hash(f"{7:064X}") == record(7)
    bare = Record("urn:c2pa:8", b"x", HASH, created=START)
    registry.add_pending(bare)
    assert registry.get("urn:c2pa:8") == bare
    assert registry.get("urn:c2pa:9") is None


def test_one_mark_may_lead_to_several_manifests_newest_first(registry):
    for n in (1, 2, 3):
        registry.add_pending(record(n, value="AA"))
    registry.add_pending(record(4, value="bb"))
    assert [r.manifest_id for r in registry.find_by_binding(ALGORITHM, "aa")] == [
        f"urn:c2pa:{n}" for n in (3, 2, 1)
    ]
    assert registry.find_by_binding("other.algorithm.1", "aa") == []
    assert [
        (p.manifest_id, p.state, p.created, p.fingerprint)
        for p in registry.prints_by_binding(ALGORITHM, "aA")
    ] == [
        (r.manifest_id, r.state, r.created, r.fingerprint) for r in registry.find_by_binding(ALGORITHM, "aa")
    ]
    registry.add_pending(record(5, value="cc", fingerprint=None))
    assert [p.fingerprint for p in registry.prints_by_binding(ALGORITHM, "cc")] == [None]
    assert [r.manifest_id for r in registry.list(limit=2, offset=2)] == ["urn:c2pa:3", "urn:c2pa:2"]


def test_publishing_in_order(registry):
    registry.add_pending(record())
    assert registry.find_by_binding(ALGORITHM, "0f")[0].state == "pending"  # after a crash it still recovers
    registry.confirm("urn:c2pa:1")
    registry.confirm("urn:c2pa:1")
    assert registry.get("urn:c2pa:1").state == "published"
    with pytest.raises(RegistryError, match="no pending"):
        registry.discard("urn:c2pa:1")
    assert [e["event"] for e in registry.audit_events()] == ["confirmed", "pending"]


def test_discarding_takes_everything_with_it(registry):
    registry.add_pending(record())
    registry.discard("urn:c2pa:1")
    stats = registry.stats()
    assert stats == {
        "manifests": 0, "published": 0, "pending": 0, "soft_bindings": 0, "fingerprints": 0, "audit_log": 2,
    }  # fmt: skip
    registry.add_pending(record())


def test_a_taken_id_changes_nothing(registry):
    registry.add_pending(record())
    with pytest.raises(RegistryError, match="already"):
        registry.add_pending(record(store=b"other"))
    assert registry.get("urn:c2pa:1") == record()
    assert registry.stats()["audit_log"] == 1


@pytest.mark.parametrize("call", ["confirm", "discard", "export"])
def test_unknown_ids(registry, call):
    with pytest.raises(RegistryError, match="urn:none"):
        getattr(registry, call)("urn:none")


@pytest.mark.parametrize(
    "changes",
    [
        {"manifest_id": ""},
        {"manifest_id": "x" * 256},
        {"file_sha256": "AB" * 32},
        {"title": "/home/user/clip.mp4"},
        {"store": b""},
        {"bindings": (("a.b.c", "f" * 256),)},
    ],
)
def test_records_that_do_not_fit_are_refused(registry, changes):
    with pytest.raises(RegistryError):
        registry.add_pending(record(**changes))
    assert registry.stats()["audit_log"] == 0


def test_export_is_json(registry):
    registry.add_pending(record())
    out = json.loads(json.dumps(registry.export("urn:c2pa:1")))
    assert out["soft_bindings"] == [{"algorithm": ALGORITHM, "value": "0f"}]
    assert out["created"].startswith("2026-01-01T00:00:01")


def test_audit_chain_holds_and_shows_edits(url):
    with Registry(url) as registry:
        for n in range(5):
            registry.audit("event", f"subject {n}", number=n)
        assert registry.verify_audit() is None
        assert registry.audit_head()[0] == 5
        with pytest.raises(RegistryError, match="plain JSON"):
            registry.audit("event", "x", bad=object())
    opened = open_engine(url)
    for statement, expected in (
        ("UPDATE audit_log SET subject = 'other' WHERE seq = 2", 2),
        ("DELETE FROM audit_log WHERE seq = 3", 3),
        ("UPDATE audit_log SET time_ms = 0 WHERE seq = 4", 4),
    ):
        # The triggers refuse; someone who may drop them still cannot hide the edit.
        with pytest.raises(Exception, match="append-only"), opened.begin() as connection:
            connection.execute(text(statement))
        with opened.connect() as connection:
            transaction = connection.begin()
            drop_triggers(connection)
            connection.execute(text(statement))
            assert first_bad(connection) == expected
            transaction.rollback()
        with opened.connect() as connection, connection.begin():
            assert first_bad(connection) is None
    opened.dispose()


def drop_triggers(connection):
    if connection.dialect.name == "postgresql":
        connection.execute(text("DROP TRIGGER audit_log_append_only ON audit_log"))
        return
    for verb in ("update", "delete"):
        connection.execute(text(f"DROP TRIGGER audit_log_no_{verb}"))


def test_migrations_make_what_the_tables_say_and_run_once(url):
    for _ in range(2):
        opened = open_engine(url)
        with opened.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, Base.metadata) == []
            assert context.get_current_revision() == HEAD
        opened.dispose()


def test_head_is_the_newest_revision():
    folder = Path(engine.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == HEAD


OPEN = """
import sys
from sorakit.registry.record import Record
from sorakit.registry.repo import Registry
url, name = sys.argv[1:]
sys.stdin.readline()
for k in range(8):
    with Registry(url) as r:
        r.add_pending(Record(f"urn:{name}:{k}", b"x", "0" * 64))
        r.confirm(f"urn:{name}:{k}")
"""


def test_processes_opening_an_empty_registry_at_once(url):
    command = [sys.executable, "-W", "error", "-c", OPEN, url]
    children = [
        subprocess.Popen([*command, f"p{n}"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for n in range(3)
    ]
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    errors = [child.communicate(timeout=120)[1] for child in children]
    assert [c.returncode for c in children] == [0, 0, 0], errors
    with Registry(url) as registry:
        assert registry.stats()["published"] == 24
        assert registry.stats()["audit_log"] == 48
        assert registry.verify_audit() is None


def test_a_crash_rolls_back_all_of_it(url):
    with Registry(url) as registry:
        script = (
            "import sys, os\nfrom sorakit.registry import repo\nfrom sorakit.registry.record import Record\n"
            "registry = repo.Registry(sys.argv[1])\n"
            "repo.audit.append = lambda *a: os._exit(9)\n"  # dies between the row and its commit
            "registry.add_pending(Record('urn:x', b'x', '0' * 64))\n"
        )
        done = subprocess.run([sys.executable, "-c", script, url], check=False, capture_output=True)
        assert done.returncode == 9, done.stderr
        assert registry.get("urn:x") is None
        registry.add_pending(record())


def test_sqlite_files_are_private_and_made_on_open_only(tmp_path):
    path = tmp_path / "home" / "registry.db"
    url = f"sqlite:///{path}"
    assert not Registry.exists(url)
    assert not path.parent.exists()
    with Registry(url) as registry:
        registry.add_pending(record())
        modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()}
        assert set(modes.values()) == {0o600} and "registry.db-wal" in modes
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert Registry.exists(url)


def test_a_registry_of_a_newer_version_is_left_alone(url):
    with Registry(url):
        pass
    opened = open_engine(url)
    with opened.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    opened.dispose()
    with pytest.raises(RegistryError, match="update sorakit"):
        Registry(url)


def test_files_that_are_no_database(tmp_path):
    (tmp_path / "r.db").write_text("hello, this is no database, it is only text" * 100)
    with pytest.raises(RegistryError, match="not a database"):
        Registry(f"sqlite:///{tmp_path / 'r.db'}")


@pytest.mark.parametrize(
    "bad",
    ["nonsense", "mysql://x/y", "oracle+none://x", "sqlite:////proc/none/r.db", "postgresql://h:port/x"],
)
def test_urls_that_cannot_be_used(bad):
    with pytest.raises(RegistryError):
        Registry(bad)


@pytest.mark.parametrize("bad", ["nonsense", "postgresql://h:port/x"])
def test_urls_that_cannot_be_looked_for(bad):
    with pytest.raises(RegistryError):
        Registry.exists(bad)


def test_passwords_stay_out_of_errors():
    pytest.importorskip("psycopg")
    with pytest.raises(RegistryError) as caught:
        Registry("postgresql://user:hunter2@127.0.0.1:1/none?connect_timeout=2")
    assert "hunter2" not in str(caught.value)


def test_foreign_keys_are_enforced(tmp_path):
    opened = open_engine(f"sqlite:///{tmp_path / 'r.db'}")
    with pytest.raises(Exception, match="FOREIGN KEY"), opened.begin() as connection:
        connection.execute(text("INSERT INTO fingerprints VALUES ('urn:none', 1, x'00')"))
    opened.dispose()
    assert sqlite3.connect(tmp_path / "r.db").execute("PRAGMA journal_mode").fetchone() == ("wal",)
