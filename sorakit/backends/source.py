"""Where a model lies and what it is: a local folder or a hub id in, a `Source` (folder, name, version) out.

Nothing is fetched unless `allow_download`: a hub id is looked up in Hugging Face's local cache alone. The
licence is what the model's own card or licence file says; where neither says, it is "unknown", not a guess.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sorakit.backends.vetting import INDEX, Index, read_index, vet_classes
from sorakit.errors import ModelError

__all__ = ["UNKNOWN", "Source", "find_source", "licence_of"]

UNKNOWN = "unknown"

_HUB_ID = re.compile(r"([A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95})(?:@([\w.-]{1,64}))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAX_TEXT = 1 << 20
_BLOCK = 1 << 20
_BLOCKS = 64


@dataclass(frozen=True, slots=True)
class Source:
    """`name`: the hub id, or the folder's name. `version`: the hub's commit, or `fingerprint-…`."""

    folder: Path
    name: str
    version: str


def find_source(source: str | Path, *, allow_download: bool = False) -> Source:
    """The folder that `source` means.

    `source`: a folder, or a hub id `owner/name`, also `owner/name@revision`. Raises `ModelError` when it is
    neither, or is not in the local cache and may not be fetched.
    """
    folder = Path(source)
    if folder.is_dir():
        return _local(folder)
    hub = _HUB_ID.fullmatch(source) if isinstance(source, str) else None
    if hub is None:
        raise ModelError(f"{source} is no folder here, nor a hub id like Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
    folder = _from_hub(hub[1], hub[2], allow_download=allow_download)
    return Source(folder, hub[1], folder.name)


def licence_of(folder: Path) -> str:
    """What the model card's front matter says, else the licence file's heading, else "unknown"."""
    return _from_card(folder / "README.md") or _from_licence_file(folder) or UNKNOWN


def _local(folder: Path) -> Source:
    real = folder.resolve()
    read_index(real)
    cached = real.parent.name == "snapshots" and real.parent.parent.name.startswith("models--")
    if cached and _COMMIT.fullmatch(real.name):  # a folder of Hugging Face's cache says what it is
        return Source(real, real.parent.parent.name.removeprefix("models--").replace("--", "/", 1), real.name)
    return Source(real, real.name[:96] or "model", _fingerprint(real))


def _fingerprint(folder: Path) -> str:
    """A digest of the index and of all parts; files over 64 MiB count with 64 blocks of 1 MiB and their size.

    Reading tens of gigabytes whole would take longer than loading them. Training changes all of a layer's
    weights, so the blocks tell models apart; they are no proof against someone who wants a collision.
    """
    digest = hashlib.sha256()
    for path in _weighty(folder):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        step = max(1, -(-size // _BLOCK) // _BLOCKS)
        with path.open("rb") as file:
            for block in range(0, -(-size // _BLOCK), step):
                file.seek(block * _BLOCK)
                digest.update(file.read(_BLOCK))
    return f"fingerprint-{digest.hexdigest()[:32]}"


def _weighty(folder: Path) -> Iterator[Path]:
    yield folder / INDEX
    for part in sorted(read_index(folder).parts, key=lambda p: p.name):
        files = (p for p in sorted((folder / part.name).glob("*")) if p.is_file())
        yield from (p for p in files if p.suffix in (".json", ".safetensors", ".txt", ".model"))


def _from_hub(repo: str, revision: str | None, *, allow_download: bool) -> Path:
    try:
        from huggingface_hub import hf_hub_download, snapshot_download  # noqa: PLC0415 - slow to import
        from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415
    except ImportError as error:
        raise ModelError(f"a hub id needs {error.name}: pip install sorakit[gen]") from error
    try:
        index = hf_hub_download(repo, INDEX, revision=revision, local_files_only=not allow_download)
        folder = Path(index).parent
        if allow_download:
            found = read_index(folder)
            vet_classes(found)  # before gigabytes are fetched for nothing
            snapshot_download(
                repo, revision=folder.name, allow_patterns=_wanted(found), ignore_patterns=_TWICE
            )
    except LocalEntryNotFoundError as error:
        why = (
            "and the hub did not answer"
            if allow_download
            else ("and nothing is fetched unasked; add --download (allow_download=True)")
        )
        raise ModelError(f"{repo} is not in the local cache, {why}") from error
    except ModelError:
        raise
    except Exception as error:  # the client raises its own, httpx's and the system's errors
        raise ModelError(f"{repo} could not be fetched: {str(error)[:300]}") from error
    return folder


_TWICE = ["*.fp16.*", "*.bf16.*", "*.fp16-*", "*.bf16-*", "*non_ema*"]
"""Second copies of the weights in another precision."""


def _wanted(index: Index) -> list[str]:
    """Patterns of what a load reads: no pickles, no code, no single-file checkpoints."""
    kinds = ("safetensors", "json", "txt", "model", "jinja")
    return [INDEX, "README.md", "LICENSE*", *(f"{p.name}/*.{k}" for p in index.parts for k in kinds)]


def _from_card(path: Path) -> str | None:
    if not path.is_file() or path.stat().st_size > _MAX_TEXT:
        return None
    try:
        from huggingface_hub.repocard import metadata_load  # noqa: PLC0415
        from yaml import YAMLError  # noqa: PLC0415
    except ImportError:
        return None
    try:
        card = metadata_load(path) or {}
    except (OSError, ValueError, RecursionError, YAMLError):
        return None
    licence, name = card.get("license"), card.get("license_name")
    if licence == "other" and isinstance(name, str):  # the hub's word for a licence it has no id for
        licence = name
    if isinstance(licence, list) and all(isinstance(x, str) for x in licence):
        licence = ", ".join(licence)
    return _clean(licence) if isinstance(licence, str) else None


def _from_licence_file(folder: Path) -> str | None:
    """The heading, with the line of its version: "Apache License" alone says too little."""
    for path in sorted(p for p in folder.glob("LICEN[CS]E*") if p.is_file()):
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(4096)
        lines = [line.strip("#*= \t") for line in text.splitlines() if line.strip("#*= \t")]
        if lines:
            more = f" {lines[1]}" if lines[1:] and lines[1].lower().startswith("version") else ""
            return _clean(lines[0] + more)
    return None


def _clean(text: str) -> str | None:
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:120] or None
