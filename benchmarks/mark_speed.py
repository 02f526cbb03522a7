"""How much longer does marking a file take than only re-encoding it, and how much memory does it need?

    python benchmarks/mark_speed.py [--seconds 10 60] [--runs 3] [--preset medium] [--json]

In: made 1080p clips with AAC sound, kept in the temporary folder for the next time. Each run is a process of
its own, plain and marked in turn. `plain` is the shortest PyAV transcode with the same x264 settings and the
sound copied; `marked` is `sorakit.publish`, all of it: guard, mark, read back, sign, verify, register. Wall
times count from process start to end. Peak memory is the sum of the resident sets of a process and all its
children, sampled four times a second; pages that two of them share count twice. Run it on an idle machine.

Targets: ratio at most 1.3; peak at most 700 MB, and no more for 60 s than for 10 s; sound identical.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from common import commit, table

FPS, RATE = 30, 48_000
GRAIN = 2.75
"""Sensor noise that gives about 16 Mbit/s at 1080p, as phones record."""
PAGE = os.sysconf("SC_PAGESIZE")


def make_source(path: Path, width: int, height: int, seconds: float) -> None:
    """A camera moving over detail at many scales, with sensor noise and a tone; x264 `veryfast` CRF 18."""
    rng = np.random.default_rng(1)
    total = np.zeros((height + 400, width + 400, 3), np.float32)
    for octave in range(2, 9):
        n = 2**octave
        grid = rng.standard_normal((n, n, 3)).astype(np.float32)
        total += cv2.resize(grid, (width + 400, height + 400), interpolation=cv2.INTER_CUBIC) / n**0.7
    canvas = np.clip(120 + 45 * total / total.std(), 0, 255).astype(np.int16)
    noise = [rng.normal(0, GRAIN, (height, width, 1)).round().astype(np.int16) for _ in range(5)]
    with av.open(str(path), "w") as box:
        video: Any = box.add_stream("libx264", rate=FPS, options={"crf": "18", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound: Any = box.add_stream("aac", rate=RATE, layout="stereo")
        for i in range(round(seconds * FPS)):
            x, y = round(200 + 190 * np.sin(i / 60)), round(200 + 190 * np.cos(i / 47))
            picture = np.clip(canvas[y : y + height, x : x + width] + noise[i % 5], 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            box.mux(video.encode(frame))
            times = np.arange(i * RATE // FPS, (i + 1) * RATE // FPS)
            tone = 0.3 * np.sin(times * 0.05) + 0.02 * rng.standard_normal(len(times))
            part = av.AudioFrame.from_ndarray(np.stack([tone, -tone]).astype(np.float32), "fltp", "stereo")
            part.sample_rate, part.pts, part.time_base = RATE, int(times[0]), Fraction(1, RATE)
            box.mux(sound.encode(part))
        box.mux(video.encode(None))
        box.mux(sound.encode(None))


def cached_source(width: int, height: int, seconds: float) -> Path:
    """The clip of this size, made once."""
    folder = Path(tempfile.gettempdir()) / "sorakit-benchmark"
    folder.mkdir(exist_ok=True)
    path = folder / f"{width}x{height}-{seconds:g}s-2.mp4"
    if not path.exists():
        part = path.with_suffix(".part.mp4")
        make_source(part, width, height, seconds)
        part.replace(path)
    return path


def plain(source: Path, target: Path, crf: int, preset: str) -> None:
    """Decode, encode with x264, copy the sound."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        picture, sound = old.streams.video[0], old.streams.audio[0]
        picture.thread_type = "AUTO"
        options = {"crf": str(crf), "preset": preset}
        video: Any = new.add_stream("libx264", rate=picture.average_rate, options=options)
        video.width, video.height, video.pix_fmt = picture.width, picture.height, picture.pix_fmt
        video.codec_context.gop_size = 2 * FPS
        copied = new.add_stream_from_template(sound)
        for packet in old.demux(picture, sound):
            if packet.stream.type == "audio":
                if packet.dts is not None:
                    packet.stream = copied
                    new.mux(packet)
                continue
            for frame in packet.decode():
                frame.pict_type = 0  # type: ignore[union-attr]
                new.mux(video.encode(frame))
        new.mux(video.encode(None))


def marked(source: Path, target: Path, crf: int, preset: str) -> None:
    """The kit's whole way out."""
    from sorakit.config import Settings  # noqa: PLC0415 - not part of the plain run
    from sorakit.publish import publish  # noqa: PLC0415

    publish(source, target, settings=Settings(home=target.parent / "home", crf=crf, preset=preset))


def tree_memory(root: int) -> int:
    """Bytes resident in a process and all its descendants now."""
    parents: defaultdict[int, list[int]] = defaultdict(list)
    sizes: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents[int(fields[1])].append(int(entry.name))
        sizes[int(entry.name)] = int(fields[21]) * PAGE
    waiting, total = [root], 0
    while waiting:
        pid = waiting.pop()
        total += sizes.get(pid, 0)
        waiting += parents[pid]
    return total


def run(how: str, source: Path, target: Path, args: argparse.Namespace) -> dict[str, float]:
    """One run in a process of its own: wall seconds, peak MB, output kB."""
    command = [sys.executable, __file__, "--once", how, str(source), str(target), "--preset", args.preset]
    start, peak = time.perf_counter(), 0
    with subprocess.Popen([*command, "--crf", str(args.crf)], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, tree_memory(process.pid))
            time.sleep(0.25)
    wall = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"the {how} run failed with exit code {process.returncode}")
    return {"wall": wall, "mb": peak / 2**20, "kb": target.stat().st_size / 1000}


def sound_of(path: Path) -> list[bytes]:
    """The packets of sound."""
    with av.open(str(path)) as box:
        return [bytes(p) for p in box.demux(audio=0) if p.size]


def measure(seconds: float, args: argparse.Namespace) -> dict[str, Any]:
    """All runs on one clip."""
    from sorakit.provenance.keys import create_dev_identity  # noqa: PLC0415

    source = cached_source(args.width, args.height, seconds)
    runs: dict[str, list[dict[str, float]]] = {"plain": [], "marked": []}
    same_sound = True
    for _ in range(args.runs):
        for how, found in runs.items():
            with tempfile.TemporaryDirectory() as folder:
                create_dev_identity(Path(folder) / "home" / "keys")
                found.append(run(how, source, Path(folder) / "out.mp4", args))
                if how == "marked":
                    same_sound &= sound_of(source) == sound_of(Path(folder) / "out.mp4")
    ratios = [m["wall"] / p["wall"] for p, m in zip(runs["plain"], runs["marked"], strict=True)]
    return {
        "seconds": seconds,
        "n": args.runs,
        "plain_wall": statistics.median(r["wall"] for r in runs["plain"]),
        "marked_wall": statistics.median(r["wall"] for r in runs["marked"]),
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "plain_mb": max(r["mb"] for r in runs["plain"]),
        "marked_mb": max(r["mb"] for r in runs["marked"]),
        "size_ratio": runs["marked"][0]["kb"] / runs["plain"][0]["kb"],
        "same_sound": same_sound,
    }


def show(results: list[dict[str, Any]], args: argparse.Namespace) -> str:
    """The table."""
    head = ["clip", "n", "plain s", "marked s", "ratio (range)", "plain MB", "marked MB", "size", "sound"]
    rows = [
        [
            f"{r['seconds']:g} s",
            r["n"],
            f"{r['plain_wall']:.1f}",
            f"{r['marked_wall']:.1f}",
            f"{r['ratio']:.2f} ({r['ratio_range'][0]:.2f}–{r['ratio_range'][1]:.2f})",
            f"{r['plain_mb']:.0f}",
            f"{r['marked_mb']:.0f}",
            f"×{r['size_ratio']:.3f}",
            "identical" if r["same_sound"] else "CHANGED",
        ]
        for r in results
    ]
    title = f"{args.width}×{args.height}, x264 {args.preset} CRF {args.crf}, {os.cpu_count()} cores"
    return f"{title}, commit {commit()}\n\n{table(head, rows)}"


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--seconds", type=float, nargs="+", default=[10, 60])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--preset", default="medium")
    parser.add_argument("--crf", type=int, default=18)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--once", nargs=3, metavar=("HOW", "IN", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.once:
        how, source, target = args.once
        {"plain": plain, "marked": marked}[how](Path(source), Path(target), args.crf, args.preset)
        return
    results = [measure(seconds, args) for seconds in args.seconds]
    if args.json:
        print(json.dumps({"commit": commit(), "preset": args.preset, "crf": args.crf, "clips": results}))
    else:
        print(show(results, args))


if __name__ == "__main__":
    main()
