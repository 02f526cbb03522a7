"""One signer at work: embed the C2PA manifest store or write it beside the video, or leave nothing behind.

In: an MP4, MOV, M4V, WebM or MKV, a definition from `build_manifest`, a signer. Out: the signed file and the
bytes of its manifest store (for the registry). C2PA 2.4 through c2pa-python; WebM and Matroska have no place
for a manifest store, so theirs stands in a `.c2pa` file (section 11.4, external manifests).
"""

import io
import os
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from c2pa import Builder, C2paError, C2paSignerInfo, C2paSigningAlg, Context
from c2pa import Signer as NativeSigner

from sorakit.errors import OutputError, ProvenanceError, UsageError
from sorakit.provenance.context import safe_context
from sorakit.provenance.early_sync import EarlySync
from sorakit.provenance.form import file_type_assertion
from sorakit.provenance.inputs import add_ingredients
from sorakit.provenance.keys import Identity
from sorakit.provenance.media import sniff
from sorakit.provenance.sidecar import SIDECAR_TYPES, sidecar_of
from sorakit.provenance.signers import Signer, sign_with
from sorakit.provenance.stamps import Stamping, stamp_store

__all__ = ["EMBEDS", "SIGNABLE", "SignedFile", "SigningSession", "from_signer"]

EMBEDS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime"}
SIGNABLE = EMBEDS | SIDECAR_TYPES
MAX_THUMBNAIL = 1 << 20
THUMBNAIL = "thumbnail.jpg"
_WINDOW = 1 << 20
_NOTE = "raised by the signer, not by sorakit"


@dataclass(frozen=True, slots=True)
class SignedFile:
    """What one signature made. `sidecar`: where the store stands, if not in the file."""

    path: Path
    store: bytes = field(repr=False)
    stamped: bool = False
    sidecar: Path | None = None
    notes: tuple[str, ...] = ()


class SigningSession:
    """One signer and one C2PA context for any number of files, from any number of threads.

    `stamping`: time stamps, if wanted. `check_hash`: read every signed file's content hash back at once;
    whoever reads the file back in another way may do without. Use as a context manager. A session may not
    cross a fork.

    >>> with SigningSession(identity) as session:  # doctest: +SKIP
    ...     session.sign(Path("a.mp4"), Path("signed.mp4"), manifest).stamped
    False
    """

    def __init__(self, signer: Signer, *, stamping: Stamping | None = None, check_hash: bool = True) -> None:
        self.signer = signer
        self.stamping = stamping if stamping is not None and stamping.policy != "off" else None
        self._raised = threading.local()
        self._pid = os.getpid()
        self._context: Context = safe_context(check_hash=check_hash)
        try:
            self._native = self._native_signer()
        except C2paError as e:
            self._context.close()
            raise ProvenanceError(f"C2PA refused the signer {signer.algorithm}: {e}") from e

    def __enter__(self) -> "SigningSession":
        """The session itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the signer and the context."""
        self._native.close()
        self._context.close()

    def sign(
        self,
        src: Path,
        dst: Path,
        manifest: dict[str, Any],
        *,
        thumbnail: bytes | None = None,
        ingredients: Sequence[Path] = (),
    ) -> SignedFile:
        """Write `src` with its signed manifest to `dst`.

        `thumbnail`: JPEG bytes. `ingredients`: the files that the definition's ingredients stand for, one
        each. `dst` appears whole or not at all; an existing `dst` is replaced. For WebM and MKV the store
        goes beside it as `dst` with `.c2pa` for its ending, put in place first. Raises `UsageError` for
        arguments that cannot be used, `OutputError` when the file cannot be written, `ProvenanceError` when
        C2PA refuses, and whatever a `CallbackSigner` raises.
        """
        if os.getpid() != self._pid:
            raise UsageError("a signing session may not be used in a forked process; open one there")
        mime = _check_paths(src, dst)
        if len(manifest.get("ingredients", [])) != len(ingredients):
            raise UsageError(
                f"the definition's ingredients and their files must go together, "
                f"got {len(manifest.get('ingredients', []))} and {len(ingredients)}"
            )
        part = dst.with_name(f".{secrets.token_hex(8)}{dst.suffix}")  # `dst` may be as long as names get
        side = sidecar_of(part) if dst.suffix.lower() in SIDECAR_TYPES else None
        try:
            store = self._write((src, part, mime), manifest, thumbnail, ingredients)
            store, reason = self._stamp(store, None if side else part)
            if side is not None:
                _write_new(side, store)
                side.replace(sidecar_of(dst))
            part.replace(dst)
        except OSError as e:
            if from_signer(e):
                raise
            raise OutputError(
                f"cannot write {dst}: {e.strerror or e}; check the folder and the free space"
            ) from e
        finally:
            part.unlink(missing_ok=True)
            if side is not None:
                side.unlink(missing_ok=True)
        notes = () if reason is None else (f"signed without a time stamp: {reason}",)
        stamped = self.stamping is not None and reason is None
        return SignedFile(dst, store, stamped, sidecar_of(dst) if side else None, notes)

    def _write(
        self,
        files: tuple[Path, Path, str],
        manifest: dict[str, Any],
        thumbnail: bytes | None,
        ingredients: Sequence[Path],
    ) -> bytes:
        src, part, mime = files
        definition = {k: v for k, v in manifest.items() if k != "ingredients"} | {"format": mime}
        if mime in EMBEDS.values():
            definition["assertions"] = [*definition.get("assertions", []), file_type_assertion(src)]
        if thumbnail is not None:
            if not thumbnail.startswith(b"\xff\xd8\xff") or len(thumbnail) > MAX_THUMBNAIL:
                raise UsageError(f"`thumbnail` must be JPEG of at most 1 MiB, got {len(thumbnail)} bytes")
            definition["thumbnail"] = {"format": "image/jpeg", "identifier": THUMBNAIL}
        self._raised.error = None
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with (
                EarlySync(handle) as out,
                src.open("rb") as source,
                Builder(definition, context=self._context) as builder,
            ):
                if thumbnail is not None:
                    builder.add_resource(THUMBNAIL, io.BytesIO(thumbnail))
                add_ingredients(builder, self._context, manifest.get("ingredients", []), ingredients)
                if mime in SIDECAR_TYPES.values():
                    builder.set_no_embed()
                store = bytes(builder.sign(self._native, mime, source, out))
                out.sync()
        except C2paError as e:
            raise self._explain(e, src) from e
        return store

    def _explain(self, error: C2paError, src: Path) -> BaseException:
        """The signer's own exception if it raised one; a full disk as that; else C2PA's words."""
        if (own := getattr(self._raised, "error", None)) is not None:
            self._raised.error = None
            return own  # type: ignore[no-any-return]  # what a callback raised
        if isinstance(error, C2paError.Io):
            return OSError(0, str(error))
        return ProvenanceError(f"C2PA refused to sign {src.name}: {error}")

    def _stamp(self, store: bytes, part: Path | None) -> tuple[bytes, str | None]:
        """The store with a time stamp, put into the file `part` too; or the store, and why it has none."""
        if self.stamping is None:
            return store, None
        made, reason = stamp_store(store, self.stamping)
        if reason is None and part is not None:
            with part.open("r+b") as f:
                f.seek(_find(f, store))
                f.write(made)
                f.flush()
                os.fsync(f.fileno())
        return made, reason

    def _native_signer(self) -> NativeSigner:
        signer = self.signer
        if isinstance(signer, Identity) and self.stamping is None:
            info = C2paSignerInfo(signer.algorithm.encode(), signer.chain_pem, signer.key_pem, None)
            return NativeSigner.from_info(info)
        # A callback's signature gets some 10 KB of room, enough for a time stamp.
        algorithm = C2paSigningAlg[signer.algorithm.upper()]
        return NativeSigner.from_callback(self._call, algorithm, signer.chain_pem.decode())

    def _call(self, data: bytes) -> bytes:
        """Called by C2PA, which would swallow an exception: it is kept for `_explain`."""
        try:
            return sign_with(self.signer, data)
        except BaseException as e:  # Ctrl-C too: it comes out of `sign`
            e.add_note(_NOTE)
            self._raised.error = e
            return b""


def from_signer(error: BaseException) -> bool:
    """Whether a `CallbackSigner` raised `error`: a key service can raise `OSError` as a disk does."""
    return _NOTE in getattr(error, "__notes__", ())


def _check_paths(src: Path, dst: Path) -> str:
    """The MIME type to sign as; `UsageError` unless both names fit each other and are two files."""
    mime = SIGNABLE.get(dst.suffix.lower())
    if mime is None:
        raise UsageError(f"`dst` must end in {', '.join(SIGNABLE)}, got {dst.name}")
    if dst.exists() and src.samefile(dst):
        raise UsageError(f"`src` and `dst` must be two files, got {src} twice")
    kind = sniff(src)
    if mime in EMBEDS.values() and kind not in EMBEDS.values():
        raise UsageError(f"`src` must be an MP4 or MOV file, got {src.name}")
    if mime in SIDECAR_TYPES.values() and kind not in SIDECAR_TYPES.values():
        raise UsageError(f"`src` must be a WebM or Matroska file, got {src.name}")
    return mime


def _find(file: BinaryIO, store: bytes) -> int:
    """Where `store` stands in `file`; it is near the start, and read in windows wherever it is."""
    head = store[:64]
    at = 0
    while True:
        file.seek(at)
        window = file.read(_WINDOW + len(head))
        if not window:
            raise ProvenanceError("the signed file does not hold the manifest store that was made for it")
        if (found := window.find(head)) >= 0:
            file.seek(at + found)
            if file.read(len(store)) == store:
                return at + found
            at += found + 1
        else:
            at += _WINDOW


def _write_new(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(handle, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
