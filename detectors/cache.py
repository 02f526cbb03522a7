"""Features of labelled clips, computed once: one small file a clip and variant.

In: items and variants. Out: a table `(n, variants, d)`, with NaN rows for clips that cannot be read. Files
are named by the clip's hash, the variant and the version of the features, written whole or not at all.
"""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detectors.clip import unpack
from detectors.dataset import Item
from detectors.describe import VERSION, describe, names
from detectors.variants import make_variant
from sorakit.errors import InputError

__all__ = ["Table", "gather", "path_of"]

Report = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """`values` `(n, v, d)` float32 of `items` in `variants`; `failed`: why clips were left out."""

    items: list[Item]
    variants: tuple[str, ...]
    values: npt.NDArray[np.float32]
    failed: dict[str, str]

    def of(self, variant: str) -> npt.NDArray[np.float64]:
        """The rows of one variant `(n, d)`."""
        rows: npt.NDArray[np.float64] = self.values[:, self.variants.index(variant)].astype(np.float64)
        return rows

    def where(self, chosen: Sequence[bool] | npt.NDArray[np.bool_]) -> "Table":
        """The same for some of the items."""
        mask = np.asarray(chosen, bool)
        items = [i for i, keep in zip(self.items, mask, strict=True) if keep]
        return Table(items, self.variants, self.values[mask], self.failed)


def gather(
    items: Sequence[Item], variants: Sequence[str], cache: Path, report: Report | None = None
) -> Table:
    """Features of all items in all variants, from the cache or computed; unreadable clips are left out.

    Raises `InputError` when not one clip can be read.
    """
    cache.mkdir(parents=True, exist_ok=True)
    width = len(names())
    values = np.full((len(items), len(variants), width), np.nan, np.float32)
    failed: dict[str, str] = {}
    steps = len(items) * len(variants)
    for i, item in enumerate(items):
        for j, variant in enumerate(variants):
            if report is not None:
                report(f"features of {item.path.name}", (i * len(variants) + j) / steps)
            try:
                values[i, j] = _one(item, variant, cache, width)
            except InputError as error:
                failed[str(item.path)] = str(error)
                break
    whole = np.array([bool(np.isfinite(row).all()) for row in values])
    if not whole.any():
        raise InputError(f"none of {len(items)} clips can be read: {next(iter(failed.values()), 'no clips')}")
    kept = [item for item, ok in zip(items, whole.tolist(), strict=True) if ok]
    return Table(kept, tuple(variants), values[whole], failed)


def path_of(cache: Path, sha256: str, variant: str) -> Path:
    """Where the features of a clip in a variant lie."""
    return cache / f"{sha256[:32]}.{variant}.v{VERSION}.npz"


def _one(item: Item, variant: str, cache: Path, width: int) -> npt.NDArray[np.float32]:
    path = path_of(cache, item.sha256, variant)
    try:
        with np.load(path) as file:
            known: npt.NDArray[np.float32] = file["values"]
        if known.shape == (width,):
            return known
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        pass  # not there, or damaged: made again
    values = describe(unpack(make_variant(item.path, item.sha256, variant))).values
    part = path.with_name(f".{path.stem}.part.npz")
    np.savez(part, values=values)
    part.replace(path)
    return values
