import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sorakit.registry.repo import Registry


def _server_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return found[-1].parent if found else None


@pytest.fixture(scope="session")
def postgres(tmp_path_factory) -> Iterator[str]:
    """A PostgreSQL server of our own on a socket in a temporary folder; skips where Debian's is missing."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    programs = _server_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server programs on this machine")
    # pg_ctl refuses root, and sockets need a short path
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    as_user = []
    if os.geteuid() == 0:
        if shutil.which("runuser") is None:
            pytest.skip("PostgreSQL does not run as root and there is no runuser")
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
    try:
        run([*as_user, programs / "initdb", "-D", folder / "db", "-U", "sora", "-A", "trust", "-E", "UTF8"])
        control = [*as_user, programs / "pg_ctl", "-D", folder / "db"]
        run([*control, "-l", folder / "log", "-o", options, "-w", "start"])
        try:
            yield f"postgresql://sora@/postgres?host={folder}"
        finally:
            run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(command) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'home' / 'registry.db'}"
    server = request.getfixturevalue("postgres")
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return str(server)


@pytest.fixture
def registry(url) -> Iterator[Registry]:
    with Registry(url) as opened:
        yield opened
