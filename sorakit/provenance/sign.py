"""Sign a finished video: embed the C2PA manifest store, or leave nothing behind.

In: an MP4, MOV or M4V, a definition from `build_manifest`, an identity. Out: the signed file and the bytes
of its manifest store (for the registry). C2PA 2.4 through c2pa-python.
"""

import io
import json
import os
import secrets
from pathlib import Path
from typing import Any, BinaryIO

from c2pa import Builder, C2paError, C2paSignerInfo, Context, Reader, Signer

from sorakit.errors import OutputError, ProvenanceError, UsageError
from sorakit.provenance.context import safe_context
from sorakit.provenance.form import file_type_assertion
from sorakit.provenance.keys import Identity
from sorakit.provenance.media import sniff

__all__ = ["SIGNABLE", "sign"]

SIGNABLE = {".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/quicktime"}
MAX_THUMBNAIL = 1 << 20
THUMBNAIL = "thumbnail.jpg"


def sign(
    src: Path,
    dst: Path,
    manifest: dict[str, Any],
    identity: Identity,
    *,
    thumbnail: bytes | None = None,
    parent: Path | None = None,
) -> bytes:
    """Write `src` with its signed manifest to `dst` and return the manifest store.

    `thumbnail`: JPEG bytes. `parent`: the file that the definition's ingredient stands for (needed exactly
    when the definition has one). `dst` appears whole, after its content hash was read back, or not at all;
    an existing `dst` is replaced. Raises `UsageError` for arguments that cannot be used, `OutputError`
    when the file cannot be written, `ProvenanceError` when C2PA refuses.
    """
    if dst.suffix.lower() not in SIGNABLE:
        raise UsageError(f"`dst` must end in {', '.join(SIGNABLE)}, got {dst.name}")
    if dst.exists() and src.samefile(dst):
        raise UsageError(f"`src` and `dst` must be two files, got {src} twice")
    if sniff(src) not in SIGNABLE.values():
        raise UsageError(f"`src` must be an MP4 or MOV file, got {src.name}")
    ingredients = manifest.get("ingredients", [])
    if len(ingredients) != (parent is not None):
        raise UsageError(f"`parent` and the definition's {len(ingredients)} ingredient(s) must go together")
    part = dst.with_name(f".{dst.stem}.{secrets.token_hex(8)}{dst.suffix}")
    try:
        store = _write(src, part, manifest, identity, thumbnail=thumbnail, parent=parent)
        part.replace(dst)
    except OSError as e:
        raise OutputError(
            f"cannot write {dst}: {e.strerror or e}; check the folder and the free space"
        ) from e
    except C2paError as e:
        raise ProvenanceError(f"C2PA refused to sign {src.name}: {e}") from e
    finally:
        part.unlink(missing_ok=True)
    return store


def _write(
    src: Path,
    part: Path,
    manifest: dict[str, Any],
    identity: Identity,
    *,
    thumbnail: bytes | None,
    parent: Path | None,
) -> bytes:
    mime = SIGNABLE[part.suffix.lower()]
    definition = {k: v for k, v in manifest.items() if k != "ingredients"} | {"format": mime}
    definition["assertions"] = [*definition.get("assertions", []), file_type_assertion(src)]
    if thumbnail is not None:
        if not thumbnail.startswith(b"\xff\xd8\xff") or len(thumbnail) > MAX_THUMBNAIL:
            raise UsageError(f"`thumbnail` must be JPEG of at most 1 MiB, got {len(thumbnail)} bytes")
        definition["thumbnail"] = {"format": "image/jpeg", "identifier": THUMBNAIL}
    info = C2paSignerInfo(identity.algorithm.encode(), identity.chain_pem, identity.key_pem, None)
    handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    with (
        os.fdopen(handle, "w+b") as out,
        src.open("rb") as source,
        safe_context() as context,
        Signer.from_info(info) as signer,
        Builder(definition, context=context) as builder,
    ):
        if thumbnail is not None:
            builder.add_resource(THUMBNAIL, io.BytesIO(thumbnail))
        for ingredient in manifest.get("ingredients", []):
            if parent is not None:
                _add_parent(builder, context, ingredient, parent)
        try:
            store = bytes(builder.sign(signer, mime, source, out))
        except C2paError as e:
            # A full disk reaches us as C2PA's own I/O error: say what it is.
            if isinstance(e, C2paError.Io):
                raise OSError(0, str(e)) from e
            raise
        out.flush()
        os.fsync(out.fileno())
    return store


def _add_parent(builder: Builder, context: Context, ingredient: dict[str, Any], parent: Path) -> None:
    """Record the parent; its own manifest, if it has one, already says its source type."""
    mime = sniff(parent) or "application/octet-stream"
    with parent.open("rb") as stream:
        if _has_manifest(stream, mime, context):
            ingredient = {k: v for k, v in ingredient.items() if k != "digital_source_type"}
        stream.seek(0)
        builder.add_ingredient(json.dumps(ingredient), mime, stream)


def _has_manifest(stream: BinaryIO, mime: str, context: Context) -> bool:
    try:
        reader = Reader.try_create(mime, stream, context=context)
    except C2paError:
        return False  # a damaged store, or a container that carries none: nothing to take over
    if reader is None:
        return False
    reader.close()
    return True
