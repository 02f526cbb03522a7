import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from sorakit.errors import InputError, RegistryError
from sorakit.registry.record import Record
from sorakit.registry.repo import Registry
from sorakit.registry.tidy import tidy

OLD = datetime.now(UTC) - timedelta(hours=2)


def pending(registry, name, data, when=OLD):
    registry.add_pending(
        Record(name, b"store", hashlib.sha256(data).hexdigest(), bindings=(("a.b.c", "0f"),), created=when)
    )


def test_files_that_stand_are_confirmed_whatever_their_name(registry, tmp_path):
    pending(registry, "urn:there", b"video")
    pending(registry, "urn:gone", b"never renamed")
    pending(registry, "urn:young", b"being published", datetime.now(UTC))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "renamed.MP4").write_bytes(b"video")
    (tmp_path / "other.mp4").write_bytes(b"other")
    (tmp_path / "note.txt").write_bytes(b"never renamed")
    settled = {s.manifest_id: s for s in tidy(registry, [tmp_path])}
    assert {k: s.outcome for k, s in settled.items()} == {"urn:there": "confirmed", "urn:gone": "pending"}
    assert settled["urn:there"].file == tmp_path / "deep" / "renamed.MP4"
    assert registry.get("urn:there").state == "published"
    assert registry.ids_by_binding("a.b.c", "0F") == ["urn:there"]  # pending rows are given to nobody
    assert len(registry.find_by_binding("a.b.c", "0f")) == 3  # and still recover here


def test_discarding_is_asked_for_and_written_down(registry, tmp_path):
    pending(registry, "urn:gone", b"x")
    assert [s.outcome for s in tidy(registry, [tmp_path])] == ["pending"]
    assert [s.outcome for s in tidy(registry, [tmp_path], discard=True)] == ["discarded"]
    assert registry.get("urn:gone") is None
    assert [e["event"] for e in registry.audit_events()] == ["discarded", "pending"]
    assert registry.verify_audit() is None


def test_a_folder_that_is_none(registry, tmp_path):
    pending(registry, "urn:gone", b"x")
    with pytest.raises(InputError, match="no folder"):
        tidy(registry, [tmp_path / "missing"], discard=True)
    assert registry.get("urn:gone") is not None


def test_a_file_that_cannot_be_read(registry, tmp_path, monkeypatch):
    pending(registry, "urn:gone", b"x")
    (tmp_path / "a.mp4").touch()

    def closed(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("sorakit.registry.tidy.file_sha256", closed)
    with pytest.raises(InputError, match="cannot read"):
        tidy(registry, [tmp_path], discard=True)
    assert registry.get("urn:gone") is not None


def test_a_registry_opened_to_read_takes_no_row(url):
    with pytest.raises(RegistryError):
        Registry(url, read_only=True)  # neither made nor migrated
    assert url.startswith("postgresql") or not Registry.exists(url)
    with Registry(url) as registry:
        pending(registry, "urn:a", b"a")
        registry.confirm("urn:a")
    with Registry(url, read_only=True) as registry:
        assert registry.ids_by_binding("a.b.c", "0f") == ["urn:a"]
        for write in (
            lambda: pending(registry, "urn:b", b"b"),
            lambda: registry.audit("event", "x"),
        ):
            with pytest.raises(RegistryError, match=r"read.?only"):
                write()


def test_the_command(run_python, tmp_path):
    home = tmp_path / "home"
    with Registry(f"sqlite:///{home}/registry.db") as registry:
        pending(registry, "urn:there", b"video")
    (tmp_path / "a.mp4").write_bytes(b"video")
    code = "import sys; from sorakit.cli import main; sys.argv[0] = 'sorakit'; main()"
    done = run_python(code, "registry", "tidy", tmp_path, "--json", home=home)
    assert done.returncode == 0, done.stderr
    (row,) = map(json.loads, done.stdout.splitlines())
    assert (row["outcome"], row["file"]) == ("confirmed", str(tmp_path / "a.mp4"))


def test_hours_beyond_the_calendar_are_a_usage_error(run_python, tmp_path):
    with Registry(f"sqlite:///{tmp_path}/home/registry.db"):
        pass
    code = "import sys; from sorakit.cli import main; sys.argv[0] = 'sorakit'; main()"
    done = run_python(code, "registry", "tidy", "--older", "1e9", home=tmp_path / "home")
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr


def test_a_title_is_shown_as_it_is(run_python, tmp_path):
    with Registry(f"sqlite:///{tmp_path}/home/registry.db") as registry:
        registry.add_pending(Record("urn:a", b"store", "0" * 64, title="[red]a\x1b[31m.mp4"))
    code = "import sys; from sorakit.cli import main; sys.argv[0] = 'sorakit'; main()"
    done = run_python(code, "registry", "list", home=tmp_path / "home")
    assert "[red]a [31m.mp4" in done.stderr and "\x1b" not in done.stderr
