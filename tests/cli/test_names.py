"""Names of files and folders reach the terminal as they are: no markup is read into them, no escapes pass."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sorakit.cli import app
from sorakit.config import Settings
from sorakit.registry.record import Record
from sorakit.registry.repo import Registry

runner = CliRunner()


def test_the_registry_lists_names_without_control_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SORAKIT_HOME", str(tmp_path))
    record = Record("urn:c2pa:1", b"store", "0" * 64, created=datetime.now(UTC), title="a[red]b\x1b[2J.mp4")
    with Registry(Settings().database_url) as registry:
        registry.add_pending(record)
    done = runner.invoke(app, ["registry", "list"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert "a[red]b [2J.mp4" in done.stderr
    assert "\x1b" not in done.stderr


def test_the_doctor_names_any_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORAKIT_HOME", str(tmp_path / "x[" / "]y"))
    done = runner.invoke(app, ["doctor"])
    assert done.exit_code == 0, done.exception
    assert str(tmp_path / "x[" / "]y") in "".join(done.stderr.split())  # in as many lines as it takes


def test_the_doctor_names_a_home_that_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").write_bytes(b"")
    monkeypatch.setenv("SORAKIT_HOME", str(tmp_path / "home"))
    done = runner.invoke(app, ["doctor"])
    assert f"{tmp_path / 'home'} is no folder".replace(" ", "") in "".join(done.output.split())
    assert done.exit_code == 1
