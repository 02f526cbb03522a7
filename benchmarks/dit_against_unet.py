"""DiT against U-Net at equal training operations: both from scratch, same data, loss, optimiser, schedule.

    python benchmarks/dit_against_unet.py --tflop 30 [--seeds 0 1 2] [--rates 1e-3 2e-3] [--only unet]
    python benchmarks/dit_against_unet.py --seconds 900     # as many operations as the DiT does in that time
    python benchmarks/dit_against_unet.py                   # the results so far

The U-Net is the one of `sorakit.model.unet` that costs what the recipe's DiT costs a clip, within 5 %; a run
ends when its operations (3 forward passes a clip, 2 a multiply-add, text encoder left out) reach the budget,
so neither gains by the difference. Both read the pooled prompt and the text slots, are told the given frames,
and have the recipe's probe in mid-network. Run `k` of both sees the same batches in the same order. With
several rates each network is judged at its best one: that whose held-out loss ends lowest.

In the folder `--out`: `plan.json` (what is compared, so that it cannot change half-way), one checkpoint and
CSV a run, `curve.csv`, `curve.png`. A stopped run goes on when started again; `--only` lets two processes
share the work. Held-out loss: the averaged network on batches that no run trains on, without the probe's.
"""

import argparse
import csv
import json
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import torch
from chart import Panel, draw
from common import ROOT, commit, table
from contest import NETWORKS, SCORES, Contest, Plan, Row, make_pair, write_csv

from sorakit.train.recipe import RECIPES
from sorakit.world.dataset import batches


def time_budget(plan: Plan, seconds: float, steps: int = 12) -> float:
    """TFLOP that the DiT does in `seconds` of processor time, by timing a few steps."""
    dit = Contest(plan, "dit", 1e-3, 0, Path())
    stream = batches(0, dit.recipe.draw)
    dit.update(next(stream))
    start, before = time.process_time(), dit.work_done
    for _ in range(steps):
        dit.update(next(stream))
    return (dit.work_done - before) / 1e12 * seconds / (time.process_time() - start)


def read_rows(out: Path) -> list[Row]:
    """All points of all runs."""
    rows: list[Row] = []
    for path in sorted(out.glob("*-*-*.csv")):
        with path.open(newline="") as file:
            rows += [
                {k: v if k == "network" else float(v) for k, v in row.items()} for row in csv.DictReader(file)
            ]
    return rows


def best_rates(rows: list[Row]) -> dict[str, float]:
    """The rate at which each network's mean held-out loss ends lowest."""
    best = {}
    for network in NETWORKS:
        ends: dict[float, list[float]] = {}
        for row in last_rows(r for r in rows if r["network"] == network):
            ends.setdefault(row["rate"], []).append(row["held_out"])
        if ends:
            best[network] = min(ends, key=lambda rate: statistics.mean(ends[rate]))
    return best


def last_rows(rows: Iterable[Row]) -> list[Row]:
    """The last point of each run."""
    ends: dict[tuple[str, float, float], Row] = {}
    for row in rows:
        key = (row["network"], row["rate"], row["seed"])
        if key not in ends or row["step"] > ends[key]["step"]:
            ends[key] = row
    return list(ends.values())


def report(plan: Plan, out: Path) -> None:
    """Print the table; write `curve.csv` and `curve.png`."""
    rows = read_rows(out)
    write_csv(out / "curve.csv", rows)
    best = best_rates(rows)
    shown = [r for r in rows if r["rate"] == best[r["network"]]]
    about = []
    for network in best:
        pair, shape = make_pair(plan.training, network), plan.training.shape
        cost = Contest(plan, network, 1e-3, 0, out).flops(shape) / 1e9
        ends = last_rows(r for r in shown if r["network"] == network)
        size = sum(p.numel() for p in pair.dit.parameters()) / 1e6
        speed = statistics.mean(r["cpu_s"] / r["tflop"] for r in ends)
        means = [spread([r[name] for r in ends]) for name in ("held_out", *SCORES)]
        about.append([
            network, f"{size:.2f}", f"{cost:.3f}", f"{best[network]:g}", len(ends),
            f"{statistics.mean(r['tflop'] for r in ends):.2f}", f"{speed:.1f}", *means,
        ])  # fmt: skip
    head = (
        "network",
        "M",
        "GFLOP a clip",
        "rate",
        "seeds",
        "TFLOP",
        "CPU-s a TFLOP",
        "held-out loss",
        *SCORES,
    )
    print(f"{plan}, commit {commit()}")
    print(table(head, about))

    def curves(name: str) -> dict[str, list[list[tuple[float, float]]]]:
        runs: dict[str, dict[float, list[tuple[float, float]]]] = {n: {} for n in best}
        for row in shown:
            runs[row["network"]].setdefault(row["seed"], []).append((row["tflop"], row[name]))
        return {n: list(by_seed.values()) for n, by_seed in runs.items()}

    titles = (("held_out", "held-out loss"), ("all_facts", "all facts right"), ("coherent", "coherent"))
    panels = [
        Panel(title, "training TFLOP", curves(name), None if name == "held_out" else 0.0)
        for name, title in titles
    ]
    cv2.imwrite(str(out / "curve.png"), draw(panels))
    print(f"{out / 'curve.csv'}, {out / 'curve.png'}")


def spread(values: list[float]) -> str:
    """Mean and, of several, the range."""
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f}–{max(values):.3f})"


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--tflop", type=float, help="training TFLOP of each run")
    budget.add_argument("--seconds", type=float, help="processor time of a DiT run, turned into TFLOP")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rates", type=float, nargs="+", default=[2e-3], help="learning rates to try")
    parser.add_argument("--only", choices=NETWORKS)
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="one-object")
    parser.add_argument("--depth", type=int, default=4, help="the DiT's; see sorakit.model.family")
    parser.add_argument("--points", type=int, default=10, help="measurements a run")
    parser.add_argument("--prompts", type=int, default=96, help="clips sampled a measurement")
    parser.add_argument("--no-probe", dest="probe", action="store_false")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "dit-against-unet")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(argv)


def make_plan(args: argparse.Namespace) -> Plan | None:
    """The plan in the folder, or a new one; None without a budget. Exits when the two disagree."""
    path = args.out / "plan.json"
    old = Plan(**json.loads(path.read_text())) if path.exists() else None
    if args.tflop is None and args.seconds is None:
        return old
    new = Plan(args.recipe, args.depth, args.tflop or 0.0, args.points, args.prompts, args.probe)
    if old is not None:
        if replace(new, tflop=args.tflop or old.tflop) != old:
            raise SystemExit(f"{path} says {old}, asked for {new}; name another --out")
        return old
    if args.tflop is None:
        new = replace(new, tflop=round(time_budget(replace(new, tflop=1.0), args.seconds), 4))
    args.out.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(new)) + "\n")
    return new


def main(argv: list[str] | None = None) -> int:
    """Train what is left to train, then report."""
    args = arguments(argv)
    torch.set_num_threads(args.threads)
    plan = make_plan(args)
    if plan is None:
        print(f"nothing in {args.out} yet; name a budget (--tflop or --seconds)")
        return 0
    stop: list[int] = []
    handler: Callable[[int, Any], None] = lambda number, _: stop.append(number)  # noqa: E731
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, handler)
    if args.tflop is not None or args.seconds is not None:
        for seed in args.seeds:
            for rate in args.rates:
                for network in [n for n in NETWORKS if args.only in (None, n)]:
                    if not stop:
                        Contest(plan, network, rate, seed, args.out).train(stop)
    if read_rows(args.out):
        report(plan, args.out)
    return 128 + stop[0] if stop else 0


if __name__ == "__main__":
    sys.exit(main())
