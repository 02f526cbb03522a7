"""Features of labelled clips, computed once: one small file a clip and variant.

In: items and variants. Out: a table `(n, variants, d)`, with NaN rows for clips that cannot be read. Files
are named by the clip's hash, the variant and the version of the features; a guarded child writes them.
"""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detectors.dataset import Item
from detectors.describe import VERSION, names
from detectors.reading import Bounds, Job, read_clips
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
    items: Sequence[Item],
    variants: Sequence[str],
    cache: Path,
    report: Report | None = None,
    bounds: Bounds | None = None,
) -> Table:
    """Features of all items in all variants, from the cache or computed in a guarded child.

    Clips that cannot be read, or that end their reader, are left out and named. `bounds`: what one may cost.
    Raises `InputError` when not one clip, or none of a label, can be read.
    """
    cache.mkdir(parents=True, exist_ok=True)
    values = np.full((len(items), len(variants), len(names())), np.nan, np.float32)
    jobs: list[Job] = []
    for i, item in enumerate(items):
        files = [path_of(cache, item.sha256, v).absolute() for v in variants]
        lacks = [j for j, file in enumerate(files) if not _load(file, values[i, j])]
        if lacks:
            jobs.append(Job(str(item.path), item.sha256, {variants[j]: str(files[j]) for j in lacks}))

    def tell(i: int) -> None:
        if report is not None:
            report(f"features of {Path(jobs[i].path).name}", i / len(jobs))

    failed = read_clips(jobs, bounds or Bounds(), tell)
    files_of = {job.path: job.files for job in jobs}
    for i, item in enumerate(items):
        for variant, file in files_of.get(str(item.path), {}).items():
            if str(item.path) not in failed:
                _load(Path(file), values[i, variants.index(variant)])
    whole = np.array([bool(np.isfinite(row).all()) for row in values])
    if not whole.any():
        raise InputError(f"none of {len(items)} clips can be read: {next(iter(failed.values()), 'no clips')}")
    kept = [item for item, ok in zip(items, whole.tolist(), strict=True) if ok]
    if lost := sorted({i.label for i in items} - {i.label for i in kept}):
        why = next(iter(failed.values()), "no features")
        raise InputError(f"none of the clips labelled {', '.join(lost)} can be read: {why}")
    return Table(kept, tuple(variants), values[whole], failed)


def path_of(cache: Path, sha256: str, variant: str) -> Path:
    """Where the features of a clip in a variant lie."""
    return cache / f"{sha256[:32]}.{variant}.v{VERSION}.npz"


def _load(path: Path, row: npt.NDArray[np.float32]) -> bool:
    """Fill `row` `(d,)` from a file; False where it is missing, damaged or of another width."""
    try:
        with np.load(path) as file:
            values = file["values"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return False
    if values.shape != row.shape:
        return False
    row[:] = values
    return True
