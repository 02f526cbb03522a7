"""Does anything decode where nothing was written, and does the statistic keep its proven bound?

    python benchmarks/watermark_false_positives.py [--windows 1000] [--keys 10] [--thorough 100] [--json]

Windows are short stretches of clips (`--data`, both halves of the sources), whole or cropped at random. Each
is transformed once and read with many wrong keys: the carriers move with the key, the transform does not.
Reported: decodes above the gate (should be 0); the share of readings in which one code word fixed beforehand
fits so well that its bound is below 10^-x (should be at most 10^-x, for every x); and files that the whole
detection, search included, takes for marked (should be 0).
"""

import argparse
import csv
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from common import ROOT, commit, wilson

from sorakit.errors import SorakitError
from sorakit.video.read import read_luma
from sorakit.watermark.detect import DIHEDRAL, Average, agreement, read, sync
from sorakit.watermark.gate import MAX_LOG10_P, log10_chernoff
from sorakit.watermark.pattern import carriers
from sorakit.watermark.payload import new_payload
from sorakit.watermark.video import VideoWatermark

FRAMES, PER_CLIP, LIST_SIZE = 16, 4, 256
TAILS = (1, 2, 3, 4, 5)


def clips(data: Path, seed: int) -> list[Path]:
    """All clips of at most 720p, in random order."""
    with (data / "manifest.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if int(r["width"]) * int(r["height"]) <= 1280 * 720]
    paths = [data / row["path"] for row in rows]
    random.Random(seed).shuffle(paths)  # noqa: S311  a sample of clips
    return paths


def windows(paths: list[Path], n: int, rng: random.Random) -> Iterator[list[tuple[float, Any]]]:
    """`n` windows of 4 to 8 frames, each second one cropped to 55–95 % a side."""
    made = 0
    while made < n:
        for path in paths:
            try:
                frames = list(read_luma(path, max_frames=FRAMES, threads=1))
            except SorakitError:
                continue
            for index in range(PER_CLIP):
                start = rng.randrange(max(1, len(frames) - 4))
                part = frames[start : start + rng.randint(4, 8)]
                h, w = part[0][1].shape
                share = rng.uniform(0.55, 0.95) if index % 2 else 1.0
                ch, cw = max(16, int(h * share)), max(16, int(w * share))
                y, x = rng.randint(0, h - ch), rng.randint(0, w - cw)
                yield [
                    (t, np.ascontiguousarray(f[y : y + ch, x : x + cw])) for t, f in part if f.shape == (h, w)
                ]
                made += 1
                if made == n:
                    return


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All readings."""
    rng = random.Random(args.seed)  # noqa: S311  windows that a rerun repeats
    keys = [f"wrong key {i}".encode() for i in range(args.keys)]
    fixed = new_payload()
    found = whole = tested = 0
    values: list[float] = []
    for number, window in enumerate(windows(clips(args.data, args.seed), args.windows, rng)):
        average = Average()
        for seconds, luma in window:
            average.add(seconds, luma)
        picture = average.spectrum()
        for key in keys:
            lattice = carriers(key)
            place = max(sync(picture, lattice, DIHEDRAL), key=lambda p: p.score)
            decode = read([(picture, place)], lattice, rank=1, list_size=LIST_SIZE)
            found += decode is not None and decode.log10_p <= MAX_LOG10_P
            values.append(log10_chernoff(agreement(picture, lattice, place, fixed)))
        if number < args.thorough:
            tested += 1
            whole += VideoWatermark().detect(window, key=keys[0]).found
    n = len(values)
    tails = {x: {"k": sum(v <= -x for v in values), "bound": 10.0**-x} for x in TAILS}
    result: dict[str, Any] = {"commit": commit(), "seed": args.seed, "n": n, "windows": args.windows}
    result |= {"keys": args.keys, "decodes": found, "decodes_ci": wilson(found, n)}
    return result | {"tails": tails, "thorough": tested, "thorough_found": whole}


def show(result: dict[str, Any]) -> None:
    """For people."""
    n = result["n"]
    print(f"commit {result['commit']}, seed {result['seed']}")
    print(f"{result['windows']} windows × {result['keys']} keys")
    low, high = result["decodes_ci"]
    print(f"decodes above the gate: {result['decodes']} of {n} (95 %: {low:.2%} – {high:.2%})")
    print(f"whole detections that found a mark: {result['thorough_found']} of {result['thorough']}")
    print("one fixed code word: share of readings with a bound below 10^-x, and that bound")
    for x, cell in result["tails"].items():
        print(f"  x = {x}: {cell['k']:>6} of {n} = {cell['k'] / n:.2e}   bound {cell['bound']:.0e}")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "clips")
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--keys", type=int, default=10)
    parser.add_argument("--thorough", type=int, default=100, help="windows that also get the whole detection")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    if not (args.data / "manifest.csv").exists():
        sys.exit(f"no manifest.csv in {args.data}: pass --data FOLDER")
    result = measure(args)
    print(json.dumps(result)) if args.json else show(result)


if __name__ == "__main__":
    main()
