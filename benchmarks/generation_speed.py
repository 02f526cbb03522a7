"""What does a clip cost? Seconds by number of evaluations, and time, FLOPs and memory by number of tokens.

    python benchmarks/generation_speed.py [--model FOLDER …] [--evaluations 4 8 16] [--runs 9] [--quick]

Each row is measured in a fresh process, on one thread unless `--threads` says more. Clips: median seconds
from prompt to frames after one warm-up, with the order statistics that hold the median at 95 % (the range,
under 6 runs). `evaluations` are solver steps; `passes` counts the clips that went through the network, those
of guidance included. Tokens: the network alone at several durations and aspects, so that their cost can be
told from the number of patches. FLOPs are 2 a multiply-add. Memory is the process's peak, PyTorch and the
model included, beside what it held before sampling. Run it on an idle machine.
"""

import argparse
import inspect
import json
import math
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common import commit, median_interval, table

from sorakit.generate import DEFAULT_MODEL, load_info, load_pipeline, seeded
from sorakit.model_info import model_folder
from sorakit.prompts import fresh_scenes
from sorakit.world.caption import caption

FACTORS = (
    (0.5, 1, 1), (1, 1, 1), (1.5, 1, 1), (1, 1, 1.5), (2, 1, 1), (1, 1.5, 1.5), (4, 1, 1), (1, 2, 2),
    (2, 2, 2),
)  # fmt: skip
"""Frames, height and width of the rows about tokens, in those of the model's usual clip."""


def once(job: dict[str, Any]) -> dict[str, Any]:
    """One row, in this process: a `clip` at some evaluations, or one `pass` of the network at some size."""
    import torch  # noqa: PLC0415 - the parent needs no torch

    torch.set_num_threads(job["threads"])
    folder = Path(job["model"])
    info, pipe = load_info(folder), load_pipeline(folder, device=job["device"], dtype=job["dtype"])
    network: Any = pipe.transformer
    whole = job["what"] == "clip"
    prompts = [caption(s) for s in fresh_scenes(info, job["batch"], 0)]
    how: dict[str, Any] = dict(zip(("num_frames", "height", "width"), job["size"] or (), strict=False))
    how |= {"num_inference_steps": job["evaluations"], "guidance_interval": (info.guidance_low, 1.0)}
    how["guidance_scale"] = info.guidance if whole else 1.0

    def clip() -> Any:
        return pipe(prompts, generator=[seeded(i) for i in range(len(prompts))], **how)

    before = peak_mb()
    calls: list[dict[str, Any]] = []
    names = inspect.signature(network.forward)
    hook = network.register_forward_pre_hook(
        lambda _, given, named: calls.append(names.bind(*given, **named).arguments), with_kwargs=True
    )
    frames = clip().frames
    hook.remove()
    noisy = calls[0]["hidden_states"]  # (B, C, T, H, W)
    words = calls[0]["tokens"].shape[1] if network.text_tokens is not None else 0
    sides = noisy.shape[2:]
    with torch.no_grad():
        times = timed(
            clip if whole else lambda: network(**calls[0]), job["runs"], job["device"], len(prompts)
        )
    return times | {
        "size": list(frames.shape[1:4]),
        "tokens": math.prod(s // p for s, p in zip(sides, network.patch, strict=True)),
        "words": words,
        "gflop": forward_gflop(network, sides, words),
        "passes": sum(len(c["hidden_states"]) for c in calls) / len(prompts),
        "mb_before": before,
        "mb_peak": peak_mb(),
    }


def timed(work: Callable[[], Any], runs: int, device: str, clips: int) -> dict[str, list[float]]:
    """Seconds and processor-seconds a clip of each run, after one run that warms up."""
    import torch  # noqa: PLC0415

    wall, cpu = [], []
    for i in range(runs + 1):
        start, used = time.perf_counter(), time.process_time()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        if i:
            wall.append((time.perf_counter() - start) / clips)
            cpu.append((time.process_time() - used) / clips)
    return {"wall_s": wall, "cpu_s": cpu}


def forward_gflop(network: Any, sides: Sequence[int], words: int) -> float:
    """Of one clip's pass; `sides` as the network sees them (pixels or latents)."""
    from sorakit.model.dit import forward_flops  # noqa: PLC0415

    frames, height, width = sides
    return forward_flops(network, frames, height, width, words=words) / 1e9


def peak_mb() -> float:
    """The most memory that this process has had, MiB."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def fresh(job: dict[str, Any]) -> dict[str, Any]:
    """`once` in a process of its own."""
    command = [sys.executable, __file__, "--once", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{job}: {done.stderr.strip().splitlines()[-1:]}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return job | row


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows, one process after another."""
    rows = []
    base = {k: getattr(args, k) for k in ("threads", "device", "dtype", "runs")}
    for model in args.model:
        job = base | {"model": str(model), "batch": args.batch, "what": "clip", "size": None}
        own = [fresh(job | {"evaluations": e}) for e in args.evaluations]
        rows += own
        job |= {"what": "pass", "batch": 1, "evaluations": 1}
        for factors in FACTORS[: 3 if args.quick else None]:
            size = [round(a * b) for a, b in zip(own[0]["size"], factors, strict=True)]
            rows.append(fresh(job | {"size": size}))
    return rows


def show_clips(rows: list[dict[str, Any]]) -> str:
    """Seconds by number of evaluations."""
    head = [
        "evaluations",
        "passes",
        "s a clip, median",
        "95 %",
        "CPU-s a clip",
        "clips a run",
        "MB before",
        "MB peak",
    ]
    body = [
        [
            r["evaluations"],
            f"{r['passes']:g}",
            *times(r, 1, 3),
            f"{statistics.median(r['cpu_s']):.3f}",
            r["batch"],
            f"{r['mb_before']:.0f}",
            f"{r['mb_peak']:.0f}",
        ]
        for r in rows
    ]
    return table(head, body)


def show_sizes(rows: list[dict[str, Any]]) -> str:
    """Cost by number of tokens."""
    head = ["frames × H × W", "patches", "words", "ms a pass, median", "95 %", "GFLOP", "GFLOP/s", "MB peak"]
    body = [
        [
            " × ".join(map(str, r["size"])),
            r["tokens"],
            r["words"],
            *times(r, 1000, 2),
            f"{r['gflop']:.3f}",
            f"{r['gflop'] / statistics.median(r['wall_s']):.0f}",
            f"{r['mb_peak']:.0f}",
        ]
        for r in sorted(rows, key=lambda r: r["tokens"])
    ]
    return table(head, body)


def times(row: dict[str, Any], scale: float, digits: int) -> list[str]:
    """Median and interval of the seconds a clip, times `scale`."""
    middle, low, high = (f"{scale * x:.{digits}f}" for x in median_interval(row["wall_s"]))
    return [middle, f"{low} to {high}"]


def main() -> int:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", type=model_folder, nargs="+", default=[DEFAULT_MODEL], help="names or folders"
    )
    parser.add_argument("--evaluations", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--batch", type=int, default=1, help="clips made together")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", help="float32, bfloat16 or float16")
    parser.add_argument("--quick", action="store_true", help="few rows and runs: does it run?")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--once", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.once:
        print(json.dumps(once(json.loads(args.once))))
        return 0
    if args.quick:
        args.evaluations, args.runs = args.evaluations[:1], 3
    rows = measure(args)
    if args.json:
        print(json.dumps({"commit": commit(), "rows": rows}))
        return 0
    for model in args.model:
        info = load_info(model)
        print(f"{info.name} {info.version}, commit {commit()}, {args.device}, {args.dtype or 'float32'}")
        print(f"{args.threads} threads, n = {args.runs} runs\n")
        mine = [r for r in rows if r["model"] == str(model)]
        print(show_clips([r for r in mine if r["what"] == "clip"]) + "\n")
        print(show_sizes([r for r in mine if r["what"] == "pass"]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
