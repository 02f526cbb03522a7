"""What the mark adds to the work of decoding and encoding a file, on one core.

    python benchmarks/embed_speed.py [--heights 720 1080] [--seconds 10] [--runs 5] [--preset medium] [--json]

In: the clips of `mark_speed.py`. `plain`: `sorakit.video.transcode` without a filter; `marked`: the same with
the watermark at 45 dB; one process on one core, in turn. The mark costs twice: the filter, and the bits that
the encoder spends on the pattern. `filter` says the first alone: CPU seconds inside the embedder over those
of the plain run. Median (range) of the ratios of CPU time and of wall time. Run it on an idle machine.

Targets: at most 1.15 at 720p, 1.2 at 1080p.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from common import commit, table
from detect_speed import WIDTHS
from mark_speed import cached_source

from sorakit.types import Luma, LumaFilter
from sorakit.video._encode import EncodeSettings
from sorakit.video.probe import VideoInfo
from sorakit.video.transcode import transcode
from sorakit.watermark.video import VideoWatermark


class Clocked:
    """Makes the kit's filter and sums the CPU seconds that its thread spends in it."""

    def __init__(self) -> None:
        self.spent = 0.0

    def __call__(self, info: VideoInfo) -> LumaFilter:
        """The filter for one video."""
        mark = VideoWatermark().embedder(info.geometry, 0x1234567890ABCDEF)

        def clocked(luma: Luma) -> Luma:
            start = time.thread_time()
            marked = mark(luma)
            self.spent += time.thread_time() - start
            return marked

        return clocked


def once(source: Path, crf: int, preset: str, make: Callable[[VideoInfo], LumaFilter] | None) -> list[float]:
    """CPU and wall seconds of one transcode."""
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        settings = EncodeSettings(crf=crf, preset=preset)
        transcode(source, Path(folder) / "out.mp4", make_luma=make, settings=settings)
        return [time.process_time() - cpu, time.perf_counter() - wall]


def measure(height: int, args: argparse.Namespace) -> dict[str, Any]:
    """All runs at one size."""
    source = cached_source(WIDTHS[height], height, args.seconds)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    once(source, args.crf, args.preset, Clocked())  # loads codecs and tables
    rows: list[list[float]] = []
    for _ in range(args.runs):
        plain, clock = once(source, args.crf, args.preset, None), Clocked()
        marked = once(source, args.crf, args.preset, clock)
        rows.append([marked[0] / plain[0], marked[1] / plain[1], clock.spent / plain[0], *plain, *marked])
    cpu, wall, part, *_ = ([r[i] for r in rows] for i in range(3))
    return {
        "height": height,
        "n": args.runs,
        "cpu": [statistics.median(cpu), min(cpu), max(cpu)],
        "wall": [statistics.median(wall), min(wall), max(wall)],
        "filter": [statistics.median(part), min(part), max(part)],
        "plain_s": statistics.median(r[4] for r in rows),
        "marked_s": statistics.median(r[6] for r in rows),
    }


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--heights", type=int, nargs="+", choices=WIDTHS, default=[720, 1080])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--crf", type=int, default=18)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    results = [measure(height, args) for height in args.heights]
    if args.json:
        print(json.dumps({"commit": commit(), "preset": args.preset, "crf": args.crf, "rows": results}))
        return
    spans = [
        [f"{m:.2f} ({a:.2f}–{b:.2f})" for m, a, b in (r["cpu"], r["wall"], r["filter"])] for r in results
    ]
    rows = [
        [r["height"], r["n"], f"{r['plain_s']:.1f}", f"{r['marked_s']:.1f}", *span]
        for r, span in zip(results, spans, strict=True)
    ]
    print(f"x264 {args.preset} CRF {args.crf}, {args.seconds:g} s, one core, commit {commit()}\n")
    print(table(["lines", "n", "plain s", "marked s", "CPU ratio", "wall ratio", "filter alone"], rows))


if __name__ == "__main__":
    main()
