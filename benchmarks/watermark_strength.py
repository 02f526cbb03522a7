"""How strong an attack must be before the watermark is lost.

    python benchmarks/watermark_strength.py FOLDER [--attack autoencoder regenerate] [--clips 8]

In: the marked clips that `watermark_table.py -o FOLDER` left (`work/sorakit/*.mp4`), cut to their first
seconds, since a network on a CPU takes seconds a frame. Each attack runs at a ladder of strengths over its
whole range. Out: how often the payload was exact at each, luma PSNR of what the attack left against what it
was given, and the first strength at which fewer than half of the clips were read.
"""

import argparse
import json
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from common import commit, table, wilson

from sorakit.regenerate import install
from sorakit.robustness.schemes import decibels
from sorakit.video.read import read_luma
from sorakit.watermark.attacks import ATTACKS, apply
from sorakit.watermark.attacks.base import Job
from sorakit.watermark.attacks.stream import Stream, encode, read
from sorakit.watermark.video import VideoWatermark

LADDERS: dict[str, list[float]] = {
    "autoencoder": [1, 2, 4],
    "regenerate": [0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8],
}
STEPS = 6


def ladder(name: str) -> list[float]:
    """Strengths of an attack: chosen ones, or steps over its range."""
    strength = ATTACKS[name].strength if name in ATTACKS else None
    if strength is None:
        raise SystemExit(f"{name} is no attack with a strength")
    low, high = sorted((strength.low, strength.high))
    return LADDERS.get(name) or [float(x) for x in np.linspace(low, high, STEPS)]


def shortened(clip: Path, seconds: float, folder: Path) -> Path:
    """The start of a clip, hardly compressed."""
    out = folder / clip.name
    stream = read(clip)
    count = max(2, round(seconds * float(stream.rate)))
    encode(Stream(islice(stream.frames, count), stream.rate), Job("cut", clip, out), 14)
    return out


def payload(clip: Path) -> str | None:
    """What the mark says."""
    return VideoWatermark().detect(read_luma(clip, threads=1)).payload


def likeness(before: Path, after: Path) -> float:
    """Luma PSNR between two files of equal size."""
    errors = []
    for (_, a), (_, b) in zip(read_luma(before, threads=1), read_luma(after, threads=1), strict=False):
        if a.shape == b.shape:
            errors.append(float(np.mean((a.astype(np.float32) - b) ** 2)))
    return decibels(float(np.mean(errors))) if errors else float("nan")


def measure(name: str, clips: dict[Path, str], seed: int) -> list[dict[str, Any]]:
    """One row a strength."""
    rows = []
    for strength in ladder(name):
        exact, quality = 0, []
        for clip, wanted in clips.items():
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "attacked.mp4"
                apply(name, clip, out, strength, seed)
                exact += payload(out) == wanted
                quality.append(likeness(clip, out))
        row = {"attack": name, "strength": strength, "exact": exact, "n": len(clips)}
        rows.append(row | {"psnr": float(np.median(quality))})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--attack", nargs="+", default=list(LADDERS))
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--seed", type=int, default=0, help="of the attacks")
    args = parser.parse_args()
    install()
    cv2.setNumThreads(1)
    found = sorted((args.folder / "work" / "sorakit").glob("[!.]*.mp4"))[: args.clips]
    if not found:
        raise SystemExit(f"no marked clips in {args.folder}: run watermark_table.py -o {args.folder} first")
    with tempfile.TemporaryDirectory() as folder:
        cut = [shortened(clip, args.seconds, Path(folder)) for clip in found]
        clips = {clip: said for clip in cut if (said := payload(clip))}
        rows = [row for name in args.attack for row in measure(name, clips, args.seed)]
    cells = [
        [
            r["attack"],
            f"{r['strength']:g}",
            f"{r['exact']}/{r['n']}",
            "{:.0%}–{:.0%}".format(*wilson(r["exact"], r["n"])),
            f"{r['psnr']:.1f}",
        ]
        for r in rows
    ]
    print(f"\ncommit {commit()}, first {args.seconds:g} s of each clip\n")
    print(table(["attack", "strength", "exact", "95 %", "PSNR dB"], cells))
    for name in args.attack:
        lost = [r["strength"] for r in rows if r["attack"] == name and 2 * r["exact"] < r["n"]]
        print(f"{name}: lost from {lost[0]:g}" if lost else f"{name}: not lost")


if __name__ == "__main__":
    main()
