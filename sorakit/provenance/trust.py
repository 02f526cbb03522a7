"""Whose signatures count: the trust anchors of this user and of one check.

In: settings, an optional list file, whether the development root counts. Out: a `Trust` for `verify`.
No list is shipped: which roots to believe is the user's decision. Time-stamping roots are kept apart from
claim-signing roots, since a root that may stamp times must not thereby be able to sign claims.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from pydantic import TypeAdapter

from sorakit.config import Settings
from sorakit.errors import UsageError
from sorakit.provenance.keys import dev_anchor

__all__ = ["Trust", "load_trust"]

MAX_BYTES = 8 << 20
MAX_ANCHORS = 2000


@dataclass(frozen=True, slots=True)
class Trust:
    """Trust anchors in PEM. `claims`: roots of claim signers; `stamps`: roots of time-stamping services only.

    `development`: the development roots among `claims`.
    """

    claims: tuple[str, ...] = ()
    stamps: tuple[str, ...] = ()
    development: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, for the child process that reads foreign files."""
        result: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return result

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Trust":
        """Raises `pydantic.ValidationError` when `data` is not what `to_json` makes."""
        return _ADAPTER.validate_python(data)


_ADAPTER = TypeAdapter(Trust)


def load_trust(settings: Settings, *, extra: Path | None = None, dev: bool = False) -> Trust:
    """Anchors from `settings.trust_dir` (`*.pem`), from the file `extra`, with `dev` also the dev root.

    A file in the trust folder whose name contains "tsa" holds time-stamping roots alone. The roots of
    `extra` may do both. Raises `UsageError` when a file cannot be read as PEM certificates, or when `dev`
    is asked for and there is no development identity.

    >>> load_trust(Settings(home=Path("/nonexistent"))).claims
    ()
    """
    claims: dict[str, None] = {}  # ordered, without doubles
    stamps: dict[str, None] = {}
    folder = settings.trust_dir
    for path in sorted(folder.glob("*.pem")) if folder.is_dir() else []:
        (stamps if "tsa" in path.name.lower() else claims).update(dict.fromkeys(_anchors(path)))
    if extra is not None:
        claims.update(dict.fromkeys(_anchors(extra)))
    development: tuple[str, ...] = ()
    if dev:
        anchor = dev_anchor(settings.keys_dir)
        if anchor is None:
            raise UsageError(
                f"`--trust dev` needs a development identity and there is none in {settings.keys_dir}; "
                "create it with: sorakit keys dev"
            )
        development = (anchor.decode(),)
        claims.update(dict.fromkeys(development))
    # A root that is in both lists is named by the first that the reader happens to look at: keep one.
    return Trust(tuple(claims), tuple(s for s in stamps if s not in claims), development)


def _anchors(path: Path) -> list[str]:
    try:
        with path.open("rb") as f:
            data = f.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"over {MAX_BYTES} bytes")
        certificates = x509.load_pem_x509_certificates(data)
        if len(certificates) > MAX_ANCHORS:
            raise ValueError(f"over {MAX_ANCHORS} certificates")
    except (OSError, ValueError) as e:
        raise UsageError(f"cannot read trust anchors from {path}: {e}; a list is a PEM file of roots") from e
    return [c.public_bytes(serialization.Encoding.PEM).decode() for c in certificates]
