"""Take a manifest store apart into plain data, for the tree and the exercises.

In: the path of a file, foreign ones too. Out: JSON types, one dict a manifest. Boxes and values are read and
hashes of assertions compared with those in the claim; signatures and the picture are `check`'s affair.
ISO/IEC 19566-5 (JUMBF), C2PA 2.4, sections 8.4 and 11.1, RFC 9052 (COSE).
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cbor2
from cryptography import x509

from sorakit.errors import InputError
from sorakit.provenance.jumbf import boxes, description, superboxes
from sorakit.provenance.sidecar import read_sidecar
from sorakit.provenance.store import signer_chain
from sorakit.types import Progress
from sorakit.video.boxes import walk_boxes
from sorakit.video.chunks import WALKERS, Pieces
from sorakit.video.guard import sniff

__all__ = ["manifests_of", "manifests_task", "store_of"]

MAX_TEXT = 8192
MAX_HEX = 64
"""Bytes of a value that are shown; hashes and signatures fit."""
MAX_ITEMS = 5000
MAX_DEPTH = 16
MAX_MANIFESTS = 50
MAX_ASSERTIONS = 200

_ALGORITHMS = {-7: "ES256", -35: "ES384", -36: "ES512", -37: "PS256", -38: "PS384", -39: "PS512", -8: "EdDSA"}
_HASHES = ("sha256", "sha384", "sha512")


def manifests_task(request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """For `run_guarded`: `{"path", "max_boxes"}` to `{"bytes", "manifests"}`."""
    progress("manifest store", 0.0)
    store = store_of(Path(request["path"]), max_boxes=int(request["max_boxes"]))
    return {"bytes": len(store), "manifests": manifests_of(store)}


def store_of(path: Path, *, max_boxes: int = 20_000) -> bytes:
    """The manifest store in the file, or beside it; empty where there is none.

    Raises `InputError` for a file that cannot be read, `LimitError` for one built to stall readers.

    >>> store_of(Path("clip.mp4"))[4:8]  # doctest: +SKIP
    b'jumb'
    """
    try:
        with path.open("rb") as file:
            name = sniff(file.read(4096))
            size = path.stat().st_size
            if name == "mov":
                places = walk_boxes(file, size, max_boxes=max_boxes).stores
                if not places:
                    return b""
                file.seek(places[0][0])
                return _first_box(file.read(places[0][1] - places[0][0]))
            if name in WALKERS:
                pieces = Pieces(size, max_boxes, size)
                WALKERS[name](file, pieces)
                if pieces.store:
                    return _first_box(bytes(pieces.store))
        return read_sidecar(path) or b""
    except OSError as e:
        raise InputError(f"cannot read {path}: {e.strerror}; check its path") from e


def manifests_of(store: bytes) -> list[dict[str, Any]]:
    """All manifests of a store, the active one last, as in the store.

    Each is `{"id", "claim", "assertions", "signature"}`. An assertion: `label`, `bytes`, `hash` (hex SHA of
    its box), `fits` (whether the claim lists that hash; None where it lists none), `data`. Bytes inside of
    values become `{"hex", "bytes"}`; a part that cannot be read is None.
    """
    found: list[dict[str, Any]] = []
    for _, top in superboxes(memoryview(store)):
        for label, inner in superboxes(top):
            if len(found) < MAX_MANIFESTS:
                found.append(_manifest(store, label, inner))
    return found


def _manifest(store: bytes, label: str, inner: memoryview) -> dict[str, Any]:
    parts = dict(superboxes(inner))
    name = next((n for n in parts if n.startswith("c2pa.claim")), "")
    claim, raw = _content(parts[name]) if name else (None, b"")
    listed = _listed(_loads(raw))
    assertions = [
        _assertion(body, listed) for _, body in _bodies(parts.get("c2pa.assertions", memoryview(b"")))
    ]
    return {
        "id": _text(label),
        "claim": claim,
        "claim_bytes": len(raw),
        "assertions": assertions,
        "signature": _signature(store, label, parts.get("c2pa.signature")),
    }


def _bodies(inner: memoryview) -> Iterator[tuple[str, memoryview]]:
    """(label, body with its description) of each superbox: what the claim's hash is taken over."""
    for count, (kind, body) in enumerate(boxes(inner)):
        about = description(body) if kind == b"jumb" else None
        if about is not None and count < MAX_ASSERTIONS:
            yield about[2], body


def _assertion(body: memoryview, listed: Mapping[str, tuple[str, bytes]]) -> dict[str, Any]:
    about = description(body)
    label, start = (about[2], about[3]) if about else ("", 0)
    algorithm, wanted = listed.get(label, ("sha256", b""))
    digest = hashlib.new(algorithm, body).digest()
    data, _ = _content(body[start:])
    return {
        "label": _text(label),
        "bytes": len(body),
        "algorithm": algorithm,
        "hash": digest.hex(),
        "fits": digest == wanted if wanted else None,
        "data": data,
    }


def _listed(claim: Any) -> dict[str, tuple[str, bytes]]:
    """(algorithm, hash) that a claim lists for each assertion of its own, by label."""
    found: dict[str, tuple[str, bytes]] = {}
    if not isinstance(claim, Mapping):
        return found
    for key in ("assertions", "created_assertions", "gathered_assertions"):
        entries = claim.get(key)
        for entry in entries if isinstance(entries, list | tuple) else ():
            if not isinstance(entry, Mapping) or not isinstance(entry.get("hash"), bytes):
                continue
            algorithm = entry.get("alg") or claim.get("alg") or "sha256"
            if algorithm in _HASHES:
                found[str(entry.get("url")).rsplit("/", 1)[-1]] = (algorithm, entry["hash"])
    return found


def _content(inner: memoryview) -> tuple[Any, bytes]:
    """(value, raw bytes) of the first content box: CBOR, JSON, or the kind and size of a file."""
    for kind, body in boxes(inner):
        raw = bytes(body)
        if kind == b"cbor":
            return _plain(_loads(raw), _Budget(), 0), raw
        if kind == b"json":
            return _plain(_json(raw), _Budget(), 0), raw
        if kind == b"bfdb":  # describes the file in the box that follows
            kinds = raw[1:].split(b"\0", 1)[0].decode("utf-8", "replace")
            size = sum(len(b) for k, b in boxes(inner) if k == b"bidb")
            return {"type": _text(kinds), "bytes": size}, raw
    return None, b""


def _signature(store: bytes, manifest_id: str, inner: memoryview | None) -> dict[str, Any] | None:
    raw = b"" if inner is None else next((bytes(b) for k, b in boxes(inner) if k == b"cbor"), b"")
    message = _loads(raw)
    parts = message.value if isinstance(message, cbor2.CBORTag) else message
    if not isinstance(parts, list | tuple) or len(parts) != 4 or not isinstance(parts[3], bytes):
        return None
    protected = _loads(parts[0]) if isinstance(parts[0], bytes) else None
    code = protected.get(1) if isinstance(protected, Mapping) else None
    return {
        "algorithm": _ALGORITHMS.get(code, _text(str(code))) if isinstance(code, int) else "unknown",
        "value": parts[3][:1024].hex(),
        "bytes": len(raw),
        "certificates": [_certificate(c) for c in signer_chain(store, manifest_id)],
    }


def _certificate(certificate: x509.Certificate) -> dict[str, str]:
    return {
        "subject": _text(certificate.subject.rfc4514_string()),
        "issuer": _text(certificate.issuer.rfc4514_string()),
        "from": certificate.not_valid_before_utc.isoformat(),
        "until": certificate.not_valid_after_utc.isoformat(),
    }


class _Budget:
    """How many values of one part are still shown."""

    def __init__(self) -> None:
        self.left = MAX_ITEMS

    def one(self) -> bool:
        """Whether there is room for one more."""
        self.left -= 1
        return self.left >= 0


def _plain(value: Any, budget: _Budget, depth: int) -> Any:
    """`value` in JSON types, printable and bounded."""
    if depth > MAX_DEPTH:
        return "…"
    if isinstance(value, cbor2.CBORTag):
        return _plain(value.value, budget, depth + 1)
    if isinstance(value, Mapping):
        kept = [(k, v) for k, v in value.items() if budget.one()]
        return {_text(str(k))[:255]: _plain(v, budget, depth + 1) for k, v in kept}
    if isinstance(value, list | tuple):
        return [_plain(v, budget, depth + 1) for v in value if budget.one()]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value[:MAX_HEX].hex(), "bytes": len(value)}
    if value is None or isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    try:
        return _text(str(value))
    except ValueError:  # Python writes no integer of more than 4300 digits
        return "…"


def _text(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:MAX_TEXT])


def _loads(raw: bytes) -> Any:
    """A CBOR value, or None where it is broken: a tree shows what is left of a tampered file too."""
    try:
        return cbor2.loads(raw)
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError, cbor2.CBORDecodeError):
        return None


def _json(raw: bytes) -> Any:
    """A JSON value, or None where it is broken."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _first_box(data: bytes) -> bytes:
    """The store without the room behind it."""
    first = next(boxes(memoryview(data)), None)
    return data if first is None else data[: 8 + len(first[1])]
