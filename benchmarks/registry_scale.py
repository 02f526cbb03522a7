"""How long a look-up takes as the registry grows: 1,000 to 1,000,000 bindings.

    python benchmarks/registry_scale.py [--rows 1000 10000 100000 1000000] [--lookups 500] [--url URL]

One SQLite file in a temporary folder (or an empty PostgreSQL database, `--url`) grows from size to size; rows
are put in by the thousand, past the API, with fingerprints of the usual length. Four look-ups, of
marks that are there and drawn by a seed: the fingerprint that `check` compares, the whole record with its
manifest, the ids that `serve` answers, and a mark that nobody has. For each: median with its interval, the
95th percentile, and CPU time. Last: the growth from the smallest to the largest registry beside that of
log n.
"""

import argparse
import json
import math
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import commit, median_interval, table
from sqlalchemy import insert

from sorakit.registry.engine import open_engine, writing
from sorakit.registry.fingerprint import fingerprint
from sorakit.registry.repo import Registry
from sorakit.registry.tables import BindingRow, FingerprintRow, ManifestRow

MARK = "io.github.sorakit.lattice.1"
STORE_BYTES = 2048
"""Less than a real store (30 KB and more): rows hold it out of line, and a disk of 30 GB helps nobody."""

BATCH = 5000


def payload(number: int) -> str:
    """The 64-bit payload of row `number`: spread like random ones, the same in every run."""
    return f"{(number * 0x9E3779B97F4A7C15) % 2**64:016x}"


def grow(url: str, first: int, last: int, blob: bytes) -> float:
    """Put rows `first` to `last` in; seconds that took."""
    start, engine = time.perf_counter(), open_engine(url)
    store = random.Random(0).randbytes(STORE_BYTES)  # noqa: S311  filler
    for low in range(first, last, BATCH):
        numbers = range(low, min(low + BATCH, last))
        ids = {n: f"urn:c2pa:{n:032x}" for n in numbers}
        with writing(engine) as connection:
            connection.execute(
                insert(ManifestRow),
                [
                    {
                        "id": ids[n],
                        "store": store,
                        "store_sha256": f"{n:064x}",
                        "file_sha256": f"{n:064x}",
                        "title": "clip.mp4",
                        "state": "published",
                        "created_ms": 1_700_000_000_000 + n,
                        "generation": None,
                    }
                    for n in numbers
                ],
            )
            connection.execute(
                insert(BindingRow),
                [{"manifest_id": ids[n], "algorithm": MARK, "value": payload(n)} for n in numbers],
            )
            connection.execute(
                insert(FingerprintRow), [{"manifest_id": ids[n], "version": 1, "blob": blob} for n in numbers]
            )
    engine.dispose()
    return time.perf_counter() - start


def timed(look: Callable[[str], Any], values: list[str], found: int) -> dict[str, float]:
    """Milliseconds of one look-up; `found` answers are expected of each."""
    walls, cpu = [], time.process_time()
    for value in values:
        start = time.perf_counter()
        answers = look(value)
        walls.append(1000 * (time.perf_counter() - start))
        if len(answers) != found:
            raise SystemExit(f"the look-up of {value} gave {len(answers)} answers, expected {found}")
    cpu = 1000 * (time.process_time() - cpu) / len(values)
    median, low, high = median_interval(walls)
    return {"median": median, "low": low, "high": high, "p95": float(np.percentile(walls, 95)), "cpu": cpu}


def measure(url: str, sizes: list[int], lookups: int, seed: int) -> list[dict[str, Any]]:
    """A line for each size and kind of look-up."""
    rng, rows, before = random.Random(seed), [], 0  # noqa: S311  a draw of rows
    pictures = np.random.default_rng(0).integers(0, 256, (24, 90, 160), np.uint8)
    blob = fingerprint((i / 10, p) for i, p in enumerate(pictures)).to_bytes()
    for size in sorted(sizes):
        filled = grow(url, before, size, blob)
        sys.stderr.write(f"{size} rows, the last {size - before} in {filled:.0f} s\n")
        before = size
        there = [payload(rng.randrange(size)) for _ in range(lookups)]
        absent = [payload(10**9 + k) for k in range(lookups)]
        with Registry(url, read_only=True) as registry:
            kinds: dict[str, tuple[Callable[[str], Any], list[str], int]] = {
                "fingerprint (check)": (lambda v, r=registry: r.prints_by_binding(MARK, v), there, 1),
                "whole record": (lambda v, r=registry: r.find_by_binding(MARK, v), there, 1),
                "ids (serve)": (lambda v, r=registry: r.ids_by_binding(MARK, v), there, 1),
                "absent": (lambda v, r=registry: r.prints_by_binding(MARK, v), absent, 0),
            }
            for kind, (look, values, found) in kinds.items():
                timed(look, values[:20], found)  # warm: the statement is compiled once in a process
                rows.append({"rows": size, "look-up": kind} | timed(look, values, found))
    return rows


def growth(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each kind: how much slower the largest is than the smallest, and how much log n grew."""
    out = []
    for kind in dict.fromkeys(r["look-up"] for r in rows):
        some = [r for r in rows if r["look-up"] == kind]
        first, last = some[0], some[-1]
        out.append(
            {
                "look-up": kind,
                "wall": last["median"] / first["median"],
                "cpu": last["cpu"] / first["cpu"],
                "log n": math.log(last["rows"]) / math.log(first["rows"]),
            }
        )
    return out


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--lookups", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--url", help="an empty database instead of a temporary SQLite file")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    os.nice(5)
    folder = Path(tempfile.mkdtemp(prefix="sorakit-scale-"))
    try:
        url = args.url or f"sqlite:///{folder / 'registry.db'}"
        rows = measure(url, args.rows, args.lookups, args.seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    grown = growth(rows)
    if args.json:
        print(json.dumps({"commit": commit(), "lookups": args.lookups, "rows": rows, "growth": grown}))
        return 0
    print(f"registry look-ups, ms, n = {args.lookups} each, commit {commit()}")
    cells = [
        [
            r["rows"],
            r["look-up"],
            f"{r['median']:.2f} ({r['low']:.2f} - {r['high']:.2f})",
            f"{r['p95']:.2f}",
            f"{r['cpu']:.2f}",
        ]
        for r in rows
    ]
    print(table(["bindings", "look-up", "median (95 % interval)", "p95", "CPU"], cells))
    for g in grown:
        print(f"{g['look-up']}: median × {g['wall']:.2f}, CPU × {g['cpu']:.2f}; log n × {g['log n']:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
