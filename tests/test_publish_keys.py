"""Publishing and checking with a secret key beside the public one; the key stays where it belongs."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sorakit.cli.app import app
from sorakit.errors import IdentityError, SorakitError
from sorakit.types import Decision
from sorakit.video.guard import run_guarded
from sorakit.watermark.keyring import load_ring, new_key, retire_key

run = CliRunner()


def carry(way: Any, keys: str) -> Any:
    return way.settings.model_copy(update={"watermark_keys": keys})


@pytest.mark.parametrize("kind", ["clip", "file"])
def test_both_keys_read_a_published_video(way: Any, kind: str) -> None:
    key = new_key(way.settings.keys_dir)
    done = way.publish(way.source(kind))
    verdict = way.check(done.path)
    found = verdict.evidence.watermark
    assert (found.payload, found.keys, found.key_id) == (done.payload, ["public", "secret"], key.id)
    line = json.dumps(verdict.to_json())
    assert '"keys": ["public", "secret"]' in line
    everything = done.path.read_bytes() + line.encode() + json.dumps(done.to_json()).encode()
    assert key.secret not in everything
    assert key.secret.hex().encode() not in everything


def test_without_a_secret_key_nothing_changes(way: Any) -> None:
    done = way.publish(way.clip())
    assert way.check(done.path).evidence.watermark.keys == ["public"]


def test_a_retired_key_still_reads_and_no_longer_marks(way: Any) -> None:
    old = new_key(way.settings.keys_dir)
    first = way.publish(way.clip())
    new = new_key(way.settings.keys_dir)
    retire_key(way.settings.keys_dir, old.id)
    second = way.publish(way.clip(8), "b.mp4")
    assert way.check(first.path).evidence.watermark.key_id == old.id
    assert way.check(second.path).evidence.watermark.key_id == new.id


def test_a_secret_mark_alone_is_kept_when_marked_again(way: Any) -> None:
    new_key(way.settings.keys_dir)
    first = way.publish(way.clip(), settings=carry(way, "secret"))
    again = way.publish(first.path, "again.mp4")
    assert again.payload == first.payload
    assert way.check(again.path).evidence.watermark.keys == ["public", "secret"]


def test_an_overwritten_public_mark_is_told(way: Any) -> None:
    new_key(way.settings.keys_dir)
    first = way.publish(way.clip(), settings=carry(way, "secret"))
    stranger = way.settings.model_copy(update={"home": way.tmp / "stranger"})
    from sorakit.provenance.keys import create_dev_identity  # noqa: PLC0415

    create_dev_identity(stranger.keys_dir)
    over = way.publish(first.path, "over.mp4", settings=stranger)
    assert over.payload != first.payload
    verdict = way.check(over.path)
    assert verdict.evidence.watermark.payload == first.payload
    assert verdict.evidence.watermark.public_payload == over.payload
    assert any("overwritten" in r and over.payload in r and first.payload in r for r in verdict.reasons)
    assert verdict.decision is not Decision.NO_EVIDENCE


def test_secret_marking_without_a_key_leaves_nothing(way: Any) -> None:
    with pytest.raises(IdentityError, match="keys watermark new"):
        way.publish(way.file(), settings=carry(way, "secret"))
    way.assert_nothing_left()


def test_the_key_is_in_no_error_and_on_no_command_line(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    key = new_key(way.settings.keys_dir)
    commands: list[str] = []
    real = subprocess.Popen

    class Watched(real):  # type: ignore[misc,valid-type]
        def __init__(self, *args: Any, **options: Any) -> None:
            commands.append(repr(args) + repr(options.get("env", dict(os.environ))))
            super().__init__(*args, **options)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    way.publish(way.file())
    assert commands
    broken = way.tmp / "broken.mp4"
    broken.write_bytes(b"\0\0\0\x18ftypisom" + bytes(4000))
    texts = list(commands)
    asked = {"src": str(broken), "dst": "/nowhere/x.mp4", "payload": "zz", "psnr": "loud", "crf": 18,
             "preset": "ultrafast", "metadata": {}, "keys": [key.secret.hex()],
             "secret_keys": [{"id": key.id, "key": key.secret.hex()}]}  # fmt: skip
    for src in (str(broken), str(way.file(name="good.mp4"))):
        with pytest.raises(SorakitError) as caught:
            run_guarded("sorakit.watermark.apply:mark_file_task", asked | {"src": src}, timeout=60,
                        memory_bytes=2 << 30)  # fmt: skip
        texts += [str(caught.value), *getattr(caught.value, "__notes__", [])]
    assert not any(key.secret.hex() in t or repr(key.secret) in t for t in texts)


def test_the_commands_never_print_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORAKIT_HOME", str(tmp_path / "home"))
    keys_dir = tmp_path / "home" / "keys"
    shown = []

    def call(*words: str, code: int = 0) -> str:
        done = run.invoke(app, ["keys", "watermark", *words])
        shown.append(done.output)
        assert done.exit_code == code, done.output
        return done.output

    call("list")
    made = json.loads(call("new", "--json"))
    secret = load_ring(keys_dir)[0].secret.hex()
    assert json.loads(call("list", "--json")) == made | {"marks": True}
    safe = tmp_path / "safe"
    safe.mkdir(mode=0o700)
    call("export", made["id"], "-o", str(safe / "k.json"))
    call("retire", made["id"])
    call("delete", made["id"], code=1)
    assert len(load_ring(keys_dir)) == 1
    call("delete", made["id"], "--yes")
    assert load_ring(keys_dir) == ()
    call("import", str(safe / "k.json"))
    call("list")
    assert secret in (safe / "k.json").read_text()
    assert secret not in "".join(shown)
