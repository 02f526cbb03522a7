"""Lists of trust anchors: read from the formats in which they are published, kept with their date.

In: a PEM bundle (the public C2PA and TSA lists come so, with text between certificates) or JSON that holds
certificates as PEM or as base64 DER; a kind: `claims` (signers of C2PA claims), `tsa` (time stamps) or `cawg`
(identities). Out: a `TrustList`, kept as one JSON file in the trust folder.

An anchor must be a CA, and one whose extended key usage rules the list's kind out is left out: a
time-stamping root that stands in a claims list by mistake signs no claims (C2PA 2.4, sections 14.4, 14.5).
"""

import base64
import binascii
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from pydantic import TypeAdapter, ValidationError

from sorakit.errors import OutputError, UsageError
from sorakit.provenance.usages import CLAIM_EKUS, extension_of

__all__ = [
    "Kind",
    "TrustList",
    "age_days",
    "anchor_facts",
    "days_since",
    "import_list",
    "read_list",
    "remove_list",
    "stored_lists",
    "validity",
]

Kind = Literal["claims", "tsa", "cawg"]

MAX_BYTES = 8 << 20
MAX_ANCHORS = 2000
MAX_LISTS = 100
MAX_DEPTH = 16
SUFFIX = ".trust.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ALLOWED: dict[Kind, frozenset[str]] = {
    "claims": frozenset(CLAIM_EKUS),
    "tsa": frozenset({ExtendedKeyUsageOID.TIME_STAMPING.dotted_string}),
}


@dataclass(frozen=True, slots=True)
class TrustList:
    """One list. `imported`: ISO date and time, UTC, or None for a file given at the command line.

    `sha256`: of the file it came from. `anchors`: PEM. `left_out`: certificates that are no CA or whose
    usage does not fit.
    """

    name: str
    kind: Kind
    source: str | None = None
    imported: str | None = None
    sha256: str | None = None
    anchors: tuple[str, ...] = ()
    left_out: int = 0


_ADAPTER = TypeAdapter(TrustList)


def read_list(
    path: Path, *, kind: Kind | None = None, name: str | None = None, any_usage: bool = False
) -> TrustList:
    """Read a published list. Without `kind` the file's name and its certificates' usages tell it.

    With `any_usage` anchors stay whatever their extended key usage says (one file for both kinds of roots;
    a leaf's usage is still checked when it signs). Raises `UsageError` when there is no usable anchor.
    """
    try:
        with path.open("rb") as f:
            data = f.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"over {MAX_BYTES} bytes")
        certificates = _certificates(data)
        if len(certificates) > MAX_ANCHORS:
            raise ValueError(f"over {MAX_ANCHORS} certificates")
        kind = kind or _guess(path.name, certificates)
        allowed = None if any_usage else _ALLOWED.get(kind)
        fit = [c for c in certificates if _is_ca(c) and _may(c, allowed)]
        if not fit:
            raise ValueError(
                f"none of its {len(certificates)} certificates may be an anchor of kind `{kind}`"
            )
    except (OSError, ValueError, RecursionError, x509.InvalidVersion) as e:
        raise UsageError(f"cannot read trust anchors from {path}: {e}; a list is a PEM file of roots") from e
    anchors = dict.fromkeys(c.public_bytes(serialization.Encoding.PEM).decode() for c in fit)
    return TrustList(
        name=_name_of_file(path.stem, data) if name is None else _name(name),
        kind=kind,
        source=path.name,
        sha256=hashlib.sha256(data).hexdigest(),
        anchors=tuple(anchors),
        left_out=len(certificates) - len(fit),
    )


def import_list(folder: Path, path: Path, *, kind: Kind | None = None, name: str | None = None) -> TrustList:
    """Read a published list and keep it in the trust folder under its name, in place of an older one.

    Raises `UsageError` when it cannot be read, `OutputError` when it cannot be kept.
    """
    found = replace(read_list(path, kind=kind, name=name), imported=_now())
    part = folder / f".{found.name}.{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("x") as f:
            json.dump({"format": 1} | asdict(found), f)
            f.flush()
            os.fsync(f.fileno())
        part.replace(folder / (found.name + SUFFIX))
    except OSError as e:
        raise OutputError(f"cannot keep the list in {folder}: {e.strerror or e}; check the folder") from e
    finally:
        part.unlink(missing_ok=True)
    return found


def stored_lists(folder: Path) -> list[TrustList]:
    """All lists of the trust folder by name: the imported ones, then PEM files that were put there by hand.

    Raises `UsageError` when one cannot be read.
    """
    if not folder.is_dir():
        return []
    lists = [_load(path) for path in sorted(folder.glob("*" + SUFFIX))[:MAX_LISTS]]
    for path in sorted(folder.glob("*.pem"))[:MAX_LISTS]:
        date = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        low = path.name.lower()
        kind: Kind = "tsa" if "tsa" in low else "cawg" if "cawg" in low else "claims"
        lists.append(replace(read_list(path, kind=kind), imported=date.isoformat(timespec="seconds")))
    return lists


def remove_list(folder: Path, name: str) -> Path:
    """Remove the list `name` (imported, or a PEM file put there by hand); raises `UsageError` without one."""
    for path in (folder / (_name(name) + SUFFIX), *folder.glob("*.pem")):
        own = path.name.endswith(SUFFIX)
        if path.is_file() and (own or _name_of_file(path.stem, path.read_bytes()) == _name(name)):
            path.unlink()
            return path
    raise UsageError(f"there is no trust list `{name}` in {folder}; see: sorakit trust list")


def validity(entry: TrustList, now: datetime | None = None) -> dict[str, Any]:
    """How many anchors there are, which have expired (subjects), and when the next one does (ISO date)."""
    now = now or datetime.now(UTC)
    found = [x509.load_pem_x509_certificate(a.encode()) for a in entry.anchors]
    ends = sorted(c.not_valid_after_utc for c in found if c.not_valid_after_utc >= now)
    return {
        "anchors": len(found),
        "expired": [subject(c) for c in found if c.not_valid_after_utc < now],
        "not_yet_valid": sum(c.not_valid_before_utc > now for c in found),
        "next_expiry": ends[0].date().isoformat() if ends else None,
    }


def anchor_facts(entry: TrustList) -> list[dict[str, str]]:
    """Subject, first and last day, and SHA-256 of each anchor."""
    found = [x509.load_pem_x509_certificate(a.encode()) for a in entry.anchors]
    return [
        {
            "subject": subject(c),
            "not_before": c.not_valid_before_utc.date().isoformat(),
            "not_after": c.not_valid_after_utc.date().isoformat(),
            "sha256": c.fingerprint(hashes.SHA256()).hex(),
        }
        for c in found
    ]


def age_days(entry: TrustList, now: datetime | None = None) -> int | None:
    """Whole days since the list was imported, or None where no date is known."""
    return None if entry.imported is None else days_since(entry.imported, now)


def days_since(date: str, now: datetime | None = None) -> int:
    """Whole days since an ISO date and time; 0 for one that is still to come.

    >>> days_since("2026-01-01T00:00:00+00:00", datetime(2026, 1, 3, 12, tzinfo=UTC))
    2
    """
    return max(0, ((now or datetime.now(UTC)) - datetime.fromisoformat(date)).days)


def subject(certificate: x509.Certificate) -> str:
    """The subject on one printable line."""
    return "".join(c for c in certificate.subject.rfc4514_string()[:200] if c.isprintable())


def _load(path: Path) -> TrustList:
    try:
        with path.open("rb") as f:
            data = json.loads(f.read(4 * MAX_BYTES))
        found = _ADAPTER.validate_python({k: v for k, v in data.items() if k != "format"})
        for anchor in found.anchors:
            x509.load_pem_x509_certificate(anchor.encode())
        if data.get("format") != 1 or found.name != path.name.removesuffix(SUFFIX):
            raise ValueError("not a list of this program")
        if found.imported is not None and datetime.fromisoformat(found.imported).tzinfo is None:
            raise ValueError("the date of its import names no time zone")
    except (OSError, ValueError, AttributeError, ValidationError, RecursionError) as e:
        what = str(e).splitlines()[0]
        raise UsageError(
            f"cannot read trust anchors from {path}: {what}; remove the file and import the list again"
        ) from e
    return found


def _certificates(data: bytes) -> list[x509.Certificate]:
    if data.lstrip()[:1] not in (b"{", b"["):
        return x509.load_pem_x509_certificates(data)
    found: list[x509.Certificate] = []
    for text in _texts(json.loads(data), 0):
        if "-----BEGIN CERTIFICATE-----" in text:
            found += x509.load_pem_x509_certificates(text.encode())
        elif text.startswith("MII"):  # a DER sequence of more than 127 bytes, in base64
            try:
                found.append(
                    x509.load_der_x509_certificate(base64.b64decode("".join(text.split()), validate=True))
                )
            except (ValueError, binascii.Error):
                continue  # a bare key or signature beside the certificates
    return found


def _texts(value: Any, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner, depth + 1)


def _guess(file_name: str, certificates: list[x509.Certificate]) -> Kind:
    usages = [u for c in certificates if (u := _usages(c))]
    if usages and all(_ALLOWED["tsa"] & u and not _ALLOWED["claims"] & u for u in usages):
        return "tsa"
    low = file_name.lower()
    return "cawg" if "cawg" in low else "tsa" if "tsa" in low and not usages else "claims"


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        found = extension_of(certificate, x509.BasicConstraints)
    except ValueError:
        return False
    return found is not None and found.ca


def _usages(certificate: x509.Certificate) -> frozenset[str]:
    try:
        found = extension_of(certificate, x509.ExtendedKeyUsage)
    except ValueError:
        return frozenset()
    return frozenset(u.dotted_string for u in found or ())


def _may(certificate: x509.Certificate, allowed: frozenset[str] | None) -> bool:
    """Whether a CA's extended key usage, where it has one, leaves room for `allowed` (None: anything)."""
    usages = _usages(certificate)
    any_usage = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string
    return allowed is None or not usages or any_usage in usages or bool(usages & allowed)


def _name(text: str) -> str:
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-.")[:64]
    if not _NAME.fullmatch(name):
        raise UsageError(f"a list's name must have letters or digits, got {text!r}; give one with --name")
    return name


def _name_of_file(stem: str, data: bytes) -> str:
    """After the file, or after what is in it where the file's name is of other letters than a list's."""
    known = re.search("[a-z0-9]", stem.lower())
    return _name(stem if known else f"list-{hashlib.sha256(data).hexdigest()[:12]}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
