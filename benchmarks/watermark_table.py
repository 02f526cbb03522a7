"""The watermark's table: payload exact after attacks, quality, false decodes, on clips it was not tuned on.

    python benchmarks/watermark_table.py -o FOLDER [--clips 40] [--split held-out|dev] [--jobs 2] [--peers]

A thin face of `sorakit bench watermark`: clips of one half of the sources of a manifest (`--data`, default
../shared/data/clips; those of 3 to 5 s first), each marked at 45 dB, encoded at H.264 CRF 18 veryfast,
attacked and read. Beside each row of the kit's promises stand the target and whether it is reached.
Rows come attack by attack and stay in FOLDER, so that a run that is stopped goes on; `--attacks security`
measures averaging, copying, forging and marking again, `--attacks model` our own networks. Wrong keys: every
marked clip is also read with another key.
"""

import argparse
import json
import sys
from pathlib import Path

from common import ROOT, commit, table

from sorakit.robustness.bench import Bench, run
from sorakit.robustness.engine import load_rows
from sorakit.robustness.results import Results
from sorakit.video.read import read_luma
from sorakit.watermark.video import FRAMES_WANTED, VideoWatermark

TARGETS: dict[float, tuple[str, ...]] = {
    0.99: (
        "untouched", "h264_crf23", "h264_crf28", "h265_crf28", "av1_crf35", "vp9_crf40", "half_size",
        "brightness", "gamma", "contrast", "gray", "noise", "blur", "frame_drop", "retime_30", "trim_1s",
        "gif",
    ),
    0.98: (
        "crop_80", "rotate_5", "rotate_15", "mirror", "letterbox", "caption_bars", "social_upload",
        "scale_360p",
    ),
    0.97: ("h264_crf33",),
    0.95: ("screen_capture",),
    0.90: ("vertical_reframe", "crop_half", "inset", "scale_240p"),
    0.70: ("h264_crf40",),
}  # fmt: skip
WRONG_KEY = b"not the key that marked these"


def target_of(attack: str) -> float | None:
    """The share that the kit promises, or None."""
    return next((share for share, names in TARGETS.items() if attack in names), None)


def wrong_keys(folder: Path) -> tuple[int, int]:
    """(Decodes with a key that nobody used, clips) over the marked clips of a run."""
    marked = sorted((folder / "work" / "sorakit").glob("*.mp4"))
    mark = VideoWatermark()
    found = sum(
        mark.detect(read_luma(p, max_frames=FRAMES_WANTED, threads=1), key=WRONG_KEY).found for p in marked
    )
    return found, len(marked)


def rows_of(results: Results, scheme: str) -> list[list[object]]:
    """A row an attack: counts, interval, target, and whether it is reached."""
    out: list[list[object]] = []
    for attack in results.attacks:
        cell = results.cells.get((attack, scheme))
        if cell is None:
            continue
        low, high = cell.interval
        target = target_of(attack)
        verdict = "" if target is None else "yes" if cell.share >= target else "no"
        wanted = "" if target is None else f"{target:.0%}"
        count = f"{cell.exact}/{cell.n}"
        out.append([attack, count, f"{cell.share:.1%}", f"{low:.1%} – {high:.1%}", wanted, verdict])
    return out


def show(results: Results, args: argparse.Namespace) -> None:
    """The tables for people."""
    print(f"commit {commit()}, {results.clips} {args.split} clips, seed {args.seed}, {args.psnr:g} dB\n")
    print(table(["attack", "exact", "share", "95 %", "target", "reached"], rows_of(results, "sorakit")))
    print()
    for scheme in results.schemes:
        quality = {k: v for k, v in results.quality[scheme].items() if k != "failed"}
        print(f"{scheme}: mean exact {results.mean(scheme):.1%}; {json.dumps(quality)}")
        if scheme != "sorakit":
            print(table(["attack", "exact", "share", "95 %", "", ""], rows_of(results, scheme)), "\n")
    found, plain = results.false_found
    wrong, marked = wrong_keys(args.output)
    print(f"decodes of unmarked clips {found} of {plain}, with another key {wrong} of {marked}")
    print(f"{results.cpu:.0f} CPU-seconds")
    _, rows = load_rows(args.output)
    lost: dict[str, list[str]] = {}
    for row in rows:
        if row["kind"] == "attack" and row["scheme"] == "sorakit" and not row["exact"]:
            lost.setdefault(row["clip"], []).append(row["attack"])
    for clip, attacks in sorted(lost.items()):
        print(f"  lost: {Path(clip).name}: {', '.join(dict.fromkeys(attacks))}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "clips")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=("held-out", "dev"), default="held-out")
    parser.add_argument("--attacks", default="table")
    parser.add_argument("--psnr", type=float, default=45.0)
    parser.add_argument("--short-side", type=int, default=540)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--peers", action="store_true", help="also invisible-watermark's methods (slow)")
    parser.add_argument("--peer-frames", type=int, default=6)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Run and print."""
    args = arguments()
    if not (args.data / "manifest.csv").exists():
        sys.exit(f"no manifest.csv in {args.data}: pass --data FOLDER")
    attacks = tuple(args.attacks.split(","))
    bench = Bench(
        args.output, args.data, args.clips, args.seed, args.split, attacks, args.peers, {},
        args.peer_frames, args.psnr, args.short_side, args.seconds, args.jobs,
    )  # fmt: skip
    results, _ = run(bench)
    if args.json:
        found, plain = results.false_found
        summary = {
            "commit": commit(),
            "split": args.split,
            "seed": args.seed,
            "n": results.clips,
            "attacks": results.table(),
            "quality": results.quality,
            "false_unmarked": found,
            "unmarked": plain,
            "false_key": wrong_keys(args.output)[0],
        }
        print(json.dumps(summary))
    else:
        show(results, args)


if __name__ == "__main__":
    main()
