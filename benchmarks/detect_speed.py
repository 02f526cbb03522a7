"""How long it takes to read the watermark of a 60 s clip, and to find out that there is none.

    python benchmarks/detect_speed.py [--heights 720 1080] [--seconds 60] [--runs 5] [--json]

In: the clips of `mark_speed.py`, as they are and marked. `untouched`: the mark is read where it was put.
`none`: the whole search over scale, rotation, mirror and perspective, in vain. Times are those of
`sorakit.watermark.reading.read_file` with the public key, decoding included, on one core; the start of the
guarded child is not in them. Median (range). Run it on an idle machine.

Targets: untouched at most 1 s, in vain at most 3 s.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
from common import commit, table
from mark_speed import cached_source

from sorakit.config import Settings
from sorakit.provenance.keys import create_dev_identity
from sorakit.publish import publish
from sorakit.watermark.reading import read_file

WIDTHS = {360: 640, 480: 848, 720: 1280, 1080: 1920, 2160: 3840}


def marked_copy(source: Path) -> Path:
    """The clip as the kit publishes it, made once a commit."""
    path = source.with_suffix(f".{commit()}.marked.mp4")
    if not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            create_dev_identity(Path(folder) / "home" / "keys")
            settings = Settings(home=Path(folder) / "home", preset="veryfast")
            publish(source, Path(folder) / "out.mp4", settings=settings)
            (Path(folder) / "out.mp4").replace(path)
    return path


def measure(what: str, path: Path, seconds: float, runs: int) -> dict[str, Any]:
    """Wall times of reading one file."""
    walls: list[float] = []
    found: list[bool] = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        found.append(read_file(path, seconds).found)
        walls.append(time.perf_counter() - start)
    if found != [what == "untouched"] * len(found):
        raise SystemExit(f"{path} ({what}): found {found}")
    walls = walls[1:]  # the first loads libraries and tables
    return {"clip": what, "n": runs, "median": statistics.median(walls), "range": [min(walls), max(walls)]}


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--heights", type=int, nargs="+", choices=WIDTHS, default=[720, 1080])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results: list[dict[str, Any]] = []
    for height in args.heights:
        source = cached_source(WIDTHS[height], height, args.seconds)
        marked = marked_copy(source)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        cv2.setNumThreads(1)
        for what, path in (("untouched", marked), ("none", source)):
            results.append({"height": height, **measure(what, path, args.seconds, args.runs)})
    if args.json:
        print(json.dumps({"commit": commit(), "seconds": args.seconds, "rows": results}))
        return
    rows = [
        [r["height"], r["clip"], r["n"], f"{r['median']:.2f}", f"{r['range'][0]:.2f}–{r['range'][1]:.2f}"]
        for r in results
    ]
    print(f"{args.seconds:g} s, one core, commit {commit()}\n")
    print(table(["lines", "clip", "n", "median s", "range"], rows))


if __name__ == "__main__":
    main()
