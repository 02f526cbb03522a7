"""How much faster do two processes scan than one, does a killed scan repeat a file, and are bad files named?

    python benchmarks/scan_speed.py [--n 24] [--runs 3] [--data DIR] [--detector NAME] [--json]

In: `n` different made clips of 3 s at 640×360, or copies of the first `n` videos below `--data`; then broken
ones beside them (cut, empty, text, zeros, flipped bytes in the index). Every run is the real program with a
home and an output folder of its own.

`speed`: wall seconds of the whole program with `--jobs 1` and `--jobs 2`, in turn; the target is a ratio of
1.7 or more. On a busy machine that says little: the processor seconds of both stand beside it. `resume`: the
scan is killed (SIGKILL) when a third of the files stand in its journal, and started again; no file may stand
there twice. `broken`: every whole file is done, every broken one named with its reason.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from common import ROOT, commit, table, wilson

KIT = [sys.executable, "-P", "-c", "from sorakit.cli import main; main()"]
SUFFIXES = {".mp4", ".mov", ".webm", ".mkv", ".gif", ".avi"}


def make_clip(path: Path, seed: int) -> None:
    """A textured picture that moves, with grain; 3 s of H.264."""
    rng = np.random.default_rng(seed)
    canvas = cv2.resize(
        rng.integers(0, 255, (60, 100, 3), np.uint8), (800, 480), interpolation=cv2.INTER_CUBIC
    )
    with av.open(str(path), "w") as box:
        video: Any = box.add_stream(
            "libx264", rate=Fraction(24), options={"preset": "ultrafast", "crf": "23"}
        )
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        for i in range(72):
            part = canvas[i : i + 360, 2 * i : 2 * i + 640].astype(np.int16)
            grain = rng.normal(0, 3, (360, 640, 1)).round().astype(np.int16)
            picture = np.clip(part + grain, 0, 255).astype(np.uint8)
            box.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        box.mux(video.encode(None))


def fill(folder: Path, n: int, data: Path | None) -> None:
    """`n` whole clips."""
    folder.mkdir()
    if data is None:
        for i in range(n):
            make_clip(folder / f"clip-{i:04d}.mp4", i)
        return
    found = sorted(p for p in data.rglob("*") if p.suffix.lower() in SUFFIXES)[:n]
    for i, path in enumerate(found):
        shutil.copyfile(path, folder / f"clip-{i:04d}{path.suffix.lower()}")


def break_some(folder: Path, share: float) -> list[str]:
    """Add broken files until they are `share` of all; returns their names."""
    whole = sorted(folder.iterdir())
    first = whole[0].read_bytes()
    kinds = [
        ("cut", first[: len(first) // 2] if b"moov" in first[len(first) // 2 :] else first[:200]),
        ("empty", b""),
        ("text", b"this is no video\n" * 50),
        ("zeros", bytes(5000)),
        ("index", first.replace(b"stbl", b"st\0l").replace(b"avcC", b"\0\0\0\0")),
    ]
    names = []
    for i in range(max(1, round(len(whole) * share / (1 - share)))):
        kind, content = kinds[i % len(kinds)]
        names.append(f"broken-{i:03d}-{kind}.mp4")
        (folder / names[-1]).write_bytes(content + (bytes([i]) if content else b""))
    return names


def command(folder: Path, out: Path, jobs: int) -> list[str]:
    """The program's command line."""
    return [*KIT, "scan", str(folder), "-o", str(out), "--jobs", str(jobs), "--json"]


def run(folder: Path, out: Path, jobs: int, env: dict[str, str]) -> dict[str, Any]:
    """One whole run: wall and processor seconds, and the summary."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command(folder, out, jobs), env=env, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1) or not done.stdout:
        raise SystemExit(f"the scan failed with exit code {done.returncode}: {done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu, "summary": json.loads(done.stdout)}


def speed(folder: Path, base: Path, runs: int, env: dict[str, str]) -> dict[str, Any]:
    """One process and two, in turn."""
    walls: dict[int, list[float]] = {1: [], 2: []}
    cpus: dict[int, list[float]] = {1: [], 2: []}
    for i in range(runs):
        for jobs in (1, 2):
            found = run(folder, base / f"speed-{i}-{jobs}", jobs, env)
            walls[jobs].append(found["wall"])
            cpus[jobs].append(found["cpu"])
    ratios = [one / two for one, two in zip(walls[1], walls[2], strict=True)]
    return {
        "runs": runs,
        "wall": {jobs: statistics.median(v) for jobs, v in walls.items()},
        "cpu": {jobs: statistics.median(v) for jobs, v in cpus.items()},
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
    }


def resume(folder: Path, out: Path, env: dict[str, str]) -> dict[str, Any]:
    """Kill at a third, start again, and count each file's entries in the journal."""
    files = len(list(folder.iterdir()))
    journal = out / "sorakit-scan.journal"
    with subprocess.Popen(command(folder, out, 2), env=env, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and lines(journal) < files / 3:
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
    reached = lines(journal)
    summary = run(folder, out, 2, env)["summary"]
    entries = [json.loads(line)["file"] for line in journal.read_bytes().splitlines()]
    counts = summary["counts"]
    return {
        "n": files,
        "reached": reached,
        "entries": len(entries),
        "twice": len(entries) - len(set(entries)),
        "all_done": counts["stopped"] == 0 and len(set(entries)) == files,
    }


def lines(path: Path) -> int:
    """Whole lines of a file that may not be there yet."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def broken(folder: Path, out: Path, names: list[str], env: dict[str, str]) -> dict[str, Any]:
    """All others done, each broken one named with a reason."""
    summary = run(folder, out, 2, env)["summary"]
    told = {f["file"]: f["error"] for f in summary["failed"]}
    whole = [p.name for p in folder.iterdir() if p.name not in names]
    done = [n for n in whole if n not in told]
    named = [n for n in names if told.get(n)]
    return {
        "whole": len(whole),
        "whole_done": len(done),
        "broken": len(names),
        "broken_named": len(named),
        "interval": wilson(len(done) + len(named), len(whole) + len(names)),
        "reasons": sorted(set(told.values())),
    }


def show(found: dict[str, Any], args: argparse.Namespace) -> str:
    """The table."""
    s, r, b = found["speed"], found["resume"], found["broken"]
    low, high = s["ratio_range"]
    rows = [
        ["2 processes over 1", f"{s['ratio']:.2f} ({low:.2f}–{high:.2f}, {s['runs']} runs)", "≥ 1.7"],
        ["wall s, 1 and 2", f"{s['wall'][1]:.1f}, {s['wall'][2]:.1f}", ""],
        ["processor s, 1 and 2", f"{s['cpu'][1]:.1f}, {s['cpu'][2]:.1f}", ""],
        ["killed at", f"{r['reached']} of {r['n']}", ""],
        ["done twice", r["twice"], "0"],
        ["all done afterwards", r["all_done"], "True"],
        ["whole files done", f"{b['whole_done']} of {b['whole']}", "all"],
        ["broken ones named", f"{b['broken_named']} of {b['broken']}", "all"],
        ["both, 95 % interval", f"{b['interval'][0]:.3f}–{b['interval'][1]:.3f}", ""],
    ]
    title = f"n = {args.n} clips, detector {args.detector}, {os.cpu_count()} cores, commit {commit()}"
    return f"{title}\n\n{table(['what', 'measured', 'target'], rows)}\n\n" + "\n".join(b["reasons"])


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=24)
    parser.add_argument("--runs", type=int, default=3, help="0 leaves the timing out")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--broken", type=float, default=0.05)
    parser.add_argument("--detector", default="default")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        home = {"SORAKIT_HOME": str(base / "home"), "SORAKIT_DETECTOR": args.detector}
        env = os.environ | home | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        folder = base / "in"
        fill(folder, args.n, args.data)
        found: dict[str, Any] = {"commit": commit(), "n": args.n}
        nothing = {"wall": {1: 0.0, 2: 0.0}, "cpu": {1: 0.0, 2: 0.0}, "ratio": 0.0, "ratio_range": [0.0, 0.0]}
        found["speed"] = speed(folder, base, args.runs, env) if args.runs else nothing | {"runs": 0}
        found["resume"] = resume(folder, base / "resumed", env)
        names = break_some(folder, args.broken)
        found["broken"] = broken(folder, base / "broken", names, env)
    print(json.dumps(found) if args.json else show(found, args))


if __name__ == "__main__":
    main()
