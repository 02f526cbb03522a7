"""Clips with labels: from a manifest, or from two folders.

In: a folder with `manifest.csv` (columns path, label, generator_or_source; optional repo, parent, sha256,
fps, codec, container, width, height, duration), or with folders `real/` and `ai/` (and `cg/`), in which each
folder one level down is a source. Out: `Item`s, each with the group that no split may cut through.
"""

import csv
import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast

from sorakit.errors import InputError, UsageError

__all__ = ["FAMILY", "Item", "Label", "read_dataset"]

Label = Literal["ai", "real", "cg"]

_VIDEO = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".gif"})
_LABELS = ("ai", "real", "cg")
_MAX_CLIPS = 200_000
_NUMBERS = ("fps", "width", "height", "duration")
_FACTS = (*_NUMBERS, "codec", "container")
_HEX = re.compile(r"[0-9a-fA-F]+")

FAMILY = {
    "CausVid": "Wan",
    "Wan2.1": "Wan",
    "Open-Sora-1.x": "Open-Sora",
    "Open-Sora+AdaCache": "Open-Sora",
    "Pika-0.x": "Pika",
    "Pika-1.0": "Pika",
    "SVD-XT": "SVD",
    "SVD-keyframe-interp": "SVD",
    "SparseCtrl": "AnimateDiff",
    "mdn-interactive": "mdn-learning-area",
}
"""Generators built on one model, and sources that share footage: one group each. A name in brackets after a
generator, `Stand-In(Wan)`, says the same in the manifest itself."""


@dataclass(frozen=True, slots=True)
class Item:
    """A clip. `source`: its generator, or where a real one comes from; `group`: what folds keep together.

    `facts`: what the container says, for the shortcut probes alone; no detector sees them.
    """

    path: Path
    label: Label
    source: str
    sha256: str
    group: str = ""
    page: str = ""
    parent: str = ""
    notes: str = ""
    facts: dict[str, str] = field(default_factory=dict)


def read_dataset(folder: Path) -> list[Item]:
    """All clips of a manifest or of two folders, sorted by path, each with its group.

    Raises `InputError` for a manifest with other columns, `UsageError` without clips of both classes.

    >>> read_dataset(Path("clips"))[0].label  # doctest: +SKIP
    'ai'
    """
    manifest = folder / "manifest.csv"
    items = _from_manifest(manifest) if manifest.is_file() else _from_folders(folder)
    if {"ai", "real"} - {i.label for i in items}:
        raise UsageError(
            f"{folder} must hold clips of both classes, got {len(items)} clips of "
            f"{sorted({i.label for i in items})}; give a manifest.csv, or folders real/ and ai/"
        )
    return _grouped(sorted(items, key=lambda i: str(i.path)))


def _from_manifest(manifest: Path) -> list[Item]:
    items = []
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                if row["label"] not in _LABELS:
                    raise ValueError(f"`label` must be one of {', '.join(_LABELS)}, got {row['label']!r}")
                _check(row)
                path = manifest.parent / row["path"]
                items.append(
                    Item(
                        path=path,
                        label=cast(Label, row["label"]),
                        source=row["generator_or_source"],
                        sha256=row.get("sha256") or _hash(path),
                        page=row.get("repo") or "",
                        parent=row.get("parent") or "",
                        notes=row.get("notes") or "",
                        facts={k: row[k] for k in _FACTS if row.get(k)},
                    )
                )
                if len(items) > _MAX_CLIPS:
                    raise ValueError(f"more than {_MAX_CLIPS} clips; split the manifest")
    except (OSError, KeyError, ValueError, UnicodeError, csv.Error) as error:
        raise InputError(f"{manifest} is no manifest of clips: {error}") from error
    return items


def _check(row: dict[str, str]) -> None:
    """Raise `ValueError` for a row that would end, or mislead, what comes after reading."""
    if not row["generator_or_source"]:
        raise ValueError(f"`generator_or_source` is missing for {row['path']}")
    if row.get("sha256") and not _HEX.fullmatch(row["sha256"]):  # files of features are named by it
        raise ValueError(f"`sha256` must be hexadecimal, got {row['sha256']!r}")
    for name in _NUMBERS:
        value = row.get(name)
        if value and not math.isfinite(float(value)):
            raise ValueError(f"`{name}` must be a number, got {value}")


def _from_folders(folder: Path) -> list[Item]:
    items = []
    for label in _LABELS:
        base = folder / label
        for path in sorted(base.rglob("*")) if base.is_dir() else ():
            if path.suffix.lower() in _VIDEO and path.is_file():
                parts = path.relative_to(base).parts
                source = parts[0] if len(parts) > 1 else path.stem
                items.append(Item(path, cast(Label, label), source, _hash(path)))
    return items


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the manifest's paths") from error


def _family(item: Item) -> str:
    name = item.source
    if item.label == "ai" and name.endswith(")") and "(" in name:
        name = name[name.index("(") + 1 : -1]
    return FAMILY.get(name, name)


def _grouped(items: Sequence[Item]) -> list[Item]:
    """Join what belongs together: one family, one parent file, the same bytes, a page of both classes."""
    both = defaultdict(set)
    for item in items:
        both[item.page].add(item.label)
    keys = []
    for item in items:
        own = [f"family:{_family(item)}", f"same:{item.sha256}"]
        if item.parent:
            own.append(f"parent:{item.parent}")
        if item.page and {"ai", "real"} <= both[item.page]:
            own.append(f"page:{item.page}")
        keys.append(own)
    roots = _components(keys)
    return [replace(item, group=roots[own[0]]) for item, own in zip(items, keys, strict=True)]


def _components(keys: Iterable[Sequence[str]]) -> dict[str, str]:
    """For each key the first key, in alphabetical order, of those that it is joined to."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for own in keys:
        for key in own:
            a, b = sorted((root(own[0]), root(key)))
            parent[b] = a
    return {key: root(key).partition(":")[2] for key in list(parent)}
