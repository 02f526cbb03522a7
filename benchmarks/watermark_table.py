"""The watermark's table: payload exact after attacks, PSNR, false decodes, on clips that it was not tuned on.

    python benchmarks/watermark_table.py [--clips 30] [--seed 0] [--split held-out|dev] [--peers] [--json]

Clips come from a folder with a manifest (`--data`, default ../shared/data/clips), split by source so that no
source is in both halves. Each goes through the real way out (decode, mark the luma plane, x264 at the default
settings), then each attack, then detection. Columns: payload exact with a 95 % Wilson interval. Below:
luma PSNR of the mark, and decodes of the same clips unmarked and with another key, which should be 0.
"""

import argparse
import csv
import hashlib
import json
import random
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from common import ROOT, commit, wilson

from sorakit.config import Settings
from sorakit.types import WatermarkEvidence
from sorakit.video.read import read_clip, read_luma
from sorakit.video.transcode import transcode
from sorakit.video.write import EncodeSettings, write_clip
from sorakit.watermark.attacks import apply
from sorakit.watermark.imwatermark import METHODS, ImWatermark
from sorakit.watermark.payload import ID_BITS, VERSION
from sorakit.watermark.video import FRAMES_WANTED, VideoWatermark

REQUIRED = ("untouched", "h264_crf28", "half_size", "social_upload")
EXTRA = ("h264_crf33", "crop_80", "mirror", "rotate_5", "vertical_reframe", "trim_1s")
WRONG_KEY = b"not the key that marked these"
PEER_FRAMES = 12


def pick(data: Path, split: str, n: int, seed: int) -> list[Path]:
    """`n` clips of at most 720p, at least 256 px, 1 to 6 s, of one half of the sources."""
    wanted = []
    with (data / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            w, h = int(row["width"]), int(row["height"])
            source = hashlib.md5(row["generator_or_source"].encode(), usedforsecurity=False).digest()
            fits = w * h <= 1280 * 720 and min(w, h) >= 256 and 1 <= float(row["duration"]) <= 6
            if fits and (source[0] % 2 == 0) == (split == "dev"):
                wanted.append(data / row["path"])
    return sorted(random.Random(seed).sample(wanted, min(n, len(wanted))))  # noqa: S311  a sample of clips


def detect(path: Path, key: bytes | None = None) -> WatermarkEvidence:
    """The mark in a file, as `check` reads it."""
    frames = read_luma(path, max_frames=FRAMES_WANTED, threads=1)
    return VideoWatermark().detect(frames) if key is None else VideoWatermark().detect(frames, key=key)


def measure(job: tuple[Path, int, bool]) -> dict[str, Any]:
    """All figures of one clip."""
    clip, payload, peers = job
    cv2.setNumThreads(1)
    settings = Settings()
    result: dict[str, Any] = {"clip": f"{clip.parent.name}/{clip.name}"}
    with tempfile.TemporaryDirectory() as folder:
        marked, attacked = Path(folder, "marked.mp4"), Path(folder, "attacked.mp4")
        report = transcode(
            clip,
            marked,
            make_luma=lambda info: VideoWatermark().embedder(info.geometry, payload, psnr=settings.psnr),
            settings=EncodeSettings(crf=settings.crf, preset=settings.preset),
        )
        result |= {"psnr": report.luma_psnr, "frames": report.frames, "seconds": report.duration}
        result["false_unmarked"] = detect(clip).found
        result["false_key"] = detect(marked, WRONG_KEY).found
        for name in REQUIRED + EXTRA:
            apply(name, marked, attacked)
            evidence = detect(attacked)
            result[name] = evidence.payload == f"{payload:016x}"
            result[f"{name}_log10_p"] = evidence.log10_p
            result["wrong"] = result.get("wrong", 0) + (evidence.found and not result[name])
        if peers:
            result["peers"] = {
                method: peer(method, clip, payload & 0xFFFFFFFF, Path(folder)) for method in METHODS
            }
    return result


def peer(method: Any, clip: Path, payload: int, folder: Path) -> dict[str, Any]:
    """The same for a method of invisible-watermark on a few frames, at about the same PSNR (of RGB)."""
    source = read_clip(clip, max_frames=PEER_FRAMES)
    low, high, frames, psnr = 4.0, 120.0, source.frames, float("inf")
    for _ in range(1 if method == "rivaGan" else 5):
        step = 36.0 if method == "rivaGan" else (low * high) ** 0.5
        scheme = ImWatermark(method, strength=step)
        mark = scheme.embedder(payload)
        frames = np.stack([mark(rgb) for rgb in source.frames])
        error = float(np.mean((frames.astype(np.float32) - source.frames) ** 2))
        psnr = 10 * float(np.log10(255**2 / max(error, 1e-9)))
        low, high = (step, high) if psnr > Settings().psnr else (low, step)
    marked, attacked = folder / "peer.mp4", folder / "peer_attacked.mp4"
    clip_out = type(source)(frames, source.fps)
    write_clip(clip_out, marked, settings=EncodeSettings(crf=Settings().crf))
    result: dict[str, Any] = {"psnr": psnr}
    for name in REQUIRED:
        apply(name, marked, attacked)
        result[name] = scheme.detect(read_clip(attacked, max_frames=PEER_FRAMES).frames) == payload
    return result


def summarise(rows: list[dict[str, Any]], args: argparse.Namespace) -> dict[str, Any]:
    """Totals over clips."""
    n, psnr = len(rows), [row["psnr"] for row in rows]
    table = {}
    for name in REQUIRED + EXTRA:
        k = sum(row[name] for row in rows)
        table[name] = {"exact": k, "n": n, "share": k / n, "ci": wilson(k, n)}
    summary: dict[str, Any] = {
        "commit": commit(),
        "split": args.split,
        "seed": args.seed,
        "n": n,
    }
    summary |= {"psnr_min": min(psnr), "psnr_median": statistics.median(psnr), "attacks": table}
    summary |= {name: sum(row[name] for row in rows) for name in ("false_unmarked", "false_key", "wrong")}
    if args.peers:
        summary["peers"] = {
            method: {
                "psnr_median": statistics.median(row["peers"][method]["psnr"] for row in rows),
                **{name: sum(row["peers"][method][name] for row in rows) for name in REQUIRED},
            }
            for method in METHODS
        }
    return summary


def show(summary: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """The table for people."""
    print(f"commit {summary['commit']}, {summary['n']} {summary['split']} clips, seed {summary['seed']}")
    print(f"{'attack':<18}{'exact':>9}{'share':>9}   95 % interval   ", "  ".join(summary.get("peers", {})))
    for name, cell in summary["attacks"].items():
        low, high = cell["ci"]
        others = "  ".join(f"{p.get(name, '–'):>9}" for p in summary.get("peers", {}).values())
        count = f"{cell['exact']}/{cell['n']}"
        print(f"{name:<18}{count:>9}{cell['share']:>9.1%}   {low:6.1%} – {high:6.1%}   {others}")
    print(f"luma PSNR {summary['psnr_min']:.2f} dB at least, {summary['psnr_median']:.2f} median")
    print(f"decodes of unmarked clips {summary['false_unmarked']}, with another key {summary['false_key']}")
    print(f"wrong payloads on marked clips {summary['wrong']}")
    for row in rows:
        if lost := [name for name in REQUIRED + EXTRA if not row[name]]:
            print(f"  lost: {row['clip']} ({row['seconds']:.1f} s, {row['psnr']:.1f} dB): {', '.join(lost)}")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "clips")
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=("held-out", "dev"), default="held-out")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--peers", action="store_true", help="also invisible-watermark's three methods (slow)"
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not (args.data / "manifest.csv").exists():
        sys.exit(f"no manifest.csv in {args.data}: pass --data FOLDER")
    rng = random.Random(args.seed)  # noqa: S311  payloads that a rerun repeats
    clips = pick(args.data, args.split, args.clips, args.seed)
    jobs = [(clip, VERSION << ID_BITS | rng.getrandbits(ID_BITS), args.peers) for clip in clips]
    with ProcessPoolExecutor(args.jobs) as pool:
        rows = list(pool.map(measure, jobs))
    summary = summarise(rows, args)
    if args.json:
        print(json.dumps(summary | {"clips": rows}))
    else:
        show(summary, rows)


if __name__ == "__main__":
    main()
