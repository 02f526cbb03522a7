"""The secret watermark keys of this user: made, kept, retired, and never shown.

In: the key folder. Out: keys, newest first. A public mark can be read by any platform, and so also written
or erased by anyone; under a secret key only by who holds it (Cox et al., Digital Watermarking and
Steganography, 2008, ch. 10). Each key is one JSON file of mode 0600 in `KEYS/watermark`. Marking uses the
newest key that is not retired; reading tries all, retired ones too, so that what was marked stays readable.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sorakit.config import Settings
from sorakit.errors import IdentityError, UsageError
from sorakit.private_files import private_dir, read_private, write_private
from sorakit.watermark.base import PUBLIC_KEY

__all__ = [
    "MAX_KEYS",
    "MarkKey",
    "delete_key",
    "export_key",
    "import_key",
    "load_ring",
    "marking_keys",
    "new_key",
    "retire_key",
    "secret_keys",
]

MAX_KEYS = 16
"""Keys that one ring may hold: each costs a reading of every checked file."""
KEY_BYTES = 32
_FORMAT = "sorakit-watermark-key-1"
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class MarkKey:
    """One secret key; its `repr` does not hold the secret. `id`: 16 hex digits of a hash of the secret."""

    id: str
    created: datetime
    retired: bool
    secret: bytes = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """What may be shown: everything but the secret."""
        return {"id": self.id, "created": self.created.isoformat(), "retired": self.retired}


def load_ring(keys_dir: Path) -> tuple[MarkKey, ...]:
    """All keys of `keys_dir`, newest first; empty where none was made.

    Raises `IdentityError` for a file that others may read, or that is no key.

    >>> load_ring(Path("nowhere"))
    ()
    """
    folder = _folder(keys_dir)
    if not folder.is_dir():
        return ()
    private_dir(folder)
    paths = sorted(folder.glob("*.json"))
    if len(paths) > MAX_KEYS:
        raise IdentityError(f"{folder} must hold at most {MAX_KEYS} keys, got {len(paths)}; {_DELETE}")
    keys = [_parse(read_private(path), path) for path in paths]
    return tuple(sorted(keys, key=lambda k: (k.created, k.id), reverse=True))


def new_key(keys_dir: Path) -> MarkKey:
    """Make a key of 256 random bits; from now on it is the one that marks.

    >>> new_key(Settings().keys_dir).retired  # doctest: +SKIP
    False
    """
    secret = secrets.token_bytes(KEY_BYTES)
    return _add(keys_dir, MarkKey(_id_of(secret), datetime.now(UTC), False, secret))


def import_key(keys_dir: Path, source: Path) -> MarkKey:
    """Take a key that `export_key` wrote; its date stays, so an older key does not become the one that marks.

    Raises `IdentityError` when `source` may be read by others, is no key, or is in the ring already.
    """
    return _add(keys_dir, _parse(read_private(source, follow=True), source))


def export_key(keys_dir: Path, key_id: str, target: Path) -> MarkKey:
    """Write a key to `target`, a new file of mode 0600: the only way in which a secret leaves the ring."""
    key = _find(keys_dir, key_id)
    try:
        write_private(target, _dump(key))
    except FileExistsError as e:
        raise UsageError(f"{target} exists; choose another name") from e
    except OSError as e:
        raise IdentityError(f"cannot write {target}: {e.strerror}; choose another folder") from e
    return key


def retire_key(keys_dir: Path, key_id: str) -> MarkKey:
    """Mark no more with a key; what carries it stays readable."""
    key = replace(_find(keys_dir, key_id), retired=True)
    write_private(_folder(keys_dir) / f"{key.id}.json", _dump(key), force=True)
    return key


def delete_key(keys_dir: Path, key_id: str) -> MarkKey:
    """Forget a key for good: what was marked with it can no longer be read under it."""
    key = _find(keys_dir, key_id)
    (_folder(keys_dir) / f"{key.id}.json").unlink()
    return key


def marking_keys(settings: Settings) -> tuple[bytes, ...]:
    """The pattern keys that `publish` marks with, as `settings.watermark_keys` says.

    "both" is the public key alone until a secret one exists. Raises `IdentityError` for "secret" without one.
    """
    if settings.watermark_keys == "public":
        return (PUBLIC_KEY,)
    newest = next((k for k in load_ring(settings.keys_dir) if not k.retired), None)
    if settings.watermark_keys == "secret":
        if newest is None:
            raise IdentityError(
                "`watermark_keys` is secret, but there is no secret watermark key that is not retired; "
                "make one with: sorakit keys watermark new"
            )
        return (newest.secret,)
    return (PUBLIC_KEY,) if newest is None else (PUBLIC_KEY, newest.secret)


def secret_keys(settings: Settings) -> list[dict[str, str]]:
    """All secret keys, newest first, as a guarded child takes them in its request: `id` and `key` in hex.

    The request travels through the child's standard input alone: on no command line and in no variable.
    """
    return [{"id": k.id, "key": k.secret.hex()} for k in load_ring(settings.keys_dir)]


_DELETE = "delete one with: sorakit keys watermark delete ID"


def _folder(keys_dir: Path) -> Path:
    return keys_dir / "watermark"


def _id_of(secret: bytes) -> str:
    return hashlib.sha256(b"io.github.sorakit.watermark-key-id" + secret).hexdigest()[:16]


def _add(keys_dir: Path, key: MarkKey) -> MarkKey:
    ring = load_ring(keys_dir)
    if len(ring) >= MAX_KEYS:
        raise IdentityError(f"the ring is full: it holds {MAX_KEYS} keys; {_DELETE}")
    private_dir(keys_dir)
    try:
        write_private(_folder(keys_dir) / f"{key.id}.json", _dump(key))
    except FileExistsError as e:
        raise IdentityError(f"the key {key.id} is in the ring already; nothing was changed") from e
    return key


def _find(keys_dir: Path, key_id: str) -> MarkKey:
    ring: Sequence[MarkKey] = load_ring(keys_dir)
    found = next((k for k in ring if k.id == key_id), None)
    if found is None:
        known = ", ".join(k.id for k in ring) or "none"
        raise UsageError(f"there is no watermark key {key_id[:32]!r}; the ring holds: {known}")
    return found


def _dump(key: MarkKey) -> bytes:
    body = {"format": _FORMAT} | key.to_json() | {"secret": key.secret.hex()}
    return json.dumps(body, indent=1).encode() + b"\n"


def _parse(data: bytes, path: Path) -> MarkKey:
    """A key file; its content is never quoted in an error."""
    wrong = IdentityError(f"{path} is no watermark key of the format {_FORMAT}; export one again")
    try:
        body = json.loads(data)
        secret = bytes.fromhex(body["secret"])
        key = MarkKey(body["id"], datetime.fromisoformat(body["created"]), body["retired"] is True, secret)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise wrong from None
    if body.get("format") != _FORMAT or len(secret) != KEY_BYTES or key.created.tzinfo is None:
        raise wrong
    if not _ID.fullmatch(str(key.id)) or key.id != _id_of(secret):
        raise wrong
    return key
