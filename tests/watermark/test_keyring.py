"""Secret watermark keys: private files, rotation, and what is never shown."""

import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sorakit.config import Settings
from sorakit.errors import IdentityError, UsageError
from sorakit.watermark import keyring
from sorakit.watermark.base import PUBLIC_KEY
from sorakit.watermark.keyring import (
    MAX_KEYS,
    delete_key,
    export_key,
    import_key,
    load_ring,
    marking_keys,
    new_key,
    retire_key,
    secret_keys,
)


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def test_a_key_is_a_private_file_and_its_repr_hides_it(home: Settings) -> None:
    key = new_key(home.keys_dir)
    (path,) = (home.keys_dir / "watermark").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_ring(home.keys_dir) == (key,)
    assert key.secret.hex() not in repr(key) + json.dumps(key.to_json())
    assert key.secret[:8].hex() != key.id, "an id must not be a piece of the secret"


def test_marking_takes_the_newest_that_is_not_retired(home: Settings) -> None:
    assert marking_keys(home) == (PUBLIC_KEY,)
    first, second = new_key(home.keys_dir), new_key(home.keys_dir)
    assert marking_keys(home) == (PUBLIC_KEY, second.secret)
    assert [k["id"] for k in secret_keys(home)] == [second.id, first.id]
    retire_key(home.keys_dir, second.id)
    assert marking_keys(home) == (PUBLIC_KEY, first.secret)
    assert [k["id"] for k in secret_keys(home)] == [second.id, first.id], "retired keys are still read"
    assert marking_keys(home.model_copy(update={"watermark_keys": "public"})) == (PUBLIC_KEY,)
    assert marking_keys(home.model_copy(update={"watermark_keys": "secret"})) == (first.secret,)


def test_only_a_secret_mark_needs_a_key(home: Settings) -> None:
    key = new_key(home.keys_dir)
    retire_key(home.keys_dir, key.id)
    assert marking_keys(home) == (PUBLIC_KEY,)
    with pytest.raises(IdentityError, match="keys watermark new"):
        marking_keys(home.model_copy(update={"watermark_keys": "secret"}))


def test_a_key_moves_by_an_explicit_private_file(home: Settings, tmp_path: Path) -> None:
    old, new = new_key(home.keys_dir), new_key(home.keys_dir)
    target = tmp_path / "safe"
    target.mkdir(mode=0o700)
    export_key(home.keys_dir, old.id, target / "key.json")
    assert stat.S_IMODE((target / "key.json").stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="exists"):
        export_key(home.keys_dir, new.id, target / "key.json")
    with pytest.raises(IdentityError, match="already"):
        import_key(home.keys_dir, target / "key.json")
    delete_key(home.keys_dir, old.id)
    assert import_key(home.keys_dir, target / "key.json") == old
    assert [k.id for k in load_ring(home.keys_dir)] == [new.id, old.id], "an older key stays older"
    (target / "key.json").chmod(0o644)
    with pytest.raises(IdentityError, match="0600"):
        import_key(home.keys_dir, target / "key.json")


def test_the_ring_is_bounded(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "MAX_KEYS", 2)
    first = new_key(home.keys_dir)
    new_key(home.keys_dir)
    with pytest.raises(IdentityError, match="full"):
        new_key(home.keys_dir)
    delete_key(home.keys_dir, first.id)
    assert new_key(home.keys_dir).created <= datetime.now(UTC)
    assert MAX_KEYS == 16


@pytest.mark.parametrize(
    ("field", "value"),
    [("secret", "00" * 31), ("secret", 7), ("id", "0" * 16), ("id", 5), ("created", "2026-01-01"),
     ("format", "other"), ("created", None)],
)  # fmt: skip
def test_a_damaged_key_is_named_and_never_quoted(home: Settings, field: str, value: object) -> None:
    key = new_key(home.keys_dir)
    path = home.keys_dir / "watermark" / f"{key.id}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(IdentityError, match="no watermark key") as caught:
        load_ring(home.keys_dir)
    assert key.secret.hex() not in str(caught.value)
    path.write_text(key.secret.hex())
    with pytest.raises(IdentityError) as caught:
        load_ring(home.keys_dir)
    assert key.secret.hex() not in "".join(map(str, (caught.value, caught.value.__cause__)))


def test_an_unknown_id_lists_the_known_ones(home: Settings) -> None:
    key = new_key(home.keys_dir)
    for act in (retire_key, delete_key):
        with pytest.raises(UsageError, match=key.id):
            act(home.keys_dir, "../../etc/passwd")
