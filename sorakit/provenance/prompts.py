"""Proof that a prompt was used without showing it: HMAC-SHA256 under a salt that stays with this user.

In: the key folder and a prompt. Out: a digest for the manifest. A plain SHA-256 of a prompt can be found by
guessing; without the salt this one cannot.
"""

import hashlib
import hmac
import secrets
from contextlib import suppress
from pathlib import Path

from sorakit.errors import IdentityError
from sorakit.private_files import read_private, write_private

__all__ = ["SALT_FILE", "prompt_digest"]

SALT_FILE = "prompt-salt"
SALT_BYTES = 32


def prompt_digest(keys_dir: Path, prompt: str) -> str:
    """`"hmac-sha256:" + hex` of the prompt (UTF-8); the salt is made on first use, mode 0600.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as d:
    ...     a, b = (prompt_digest(Path(d) / "keys", "a red ball") for _ in range(2))
    >>> a == b, len(a)
    (True, 76)
    """
    path = keys_dir / SALT_FILE
    if not path.exists():
        with suppress(FileExistsError):  # another process was first: use its salt
            write_private(path, secrets.token_bytes(SALT_BYTES))
    salt = read_private(path)
    if len(salt) != SALT_BYTES:
        raise IdentityError(
            f"{path} must hold {SALT_BYTES} bytes, got {len(salt)}; move it away for a new one"
        )
    return "hmac-sha256:" + hmac.new(salt, prompt.encode(), hashlib.sha256).hexdigest()
