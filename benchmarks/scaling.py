"""The scaling law of the small DiTs: held-out loss against parameters, steps and training operations.

    python benchmarks/scaling.py [--seeds 0 1] [--steps 1600 400] [--batch 16] [--out runs/scaling.json]
    python benchmarks/scaling.py --quick        # seconds: four sizes, few steps
    python benchmarks/scaling.py --read sorakit/nb/data/scaling.json    # the laws of stored runs
    python benchmarks/scaling.py --out sorakit/nb/data/scaling.json     # what notebook 07 reads

Trains the sizes of `sorakit.train.scaling` side by side on one stream of clips a seed, n = the seeds, each up
to its number of --steps (the last one serves the seeds left), and measures them at steps a factor √2 apart.
Writes JSON after each measurement: `made` (how: commit, versions, objective) and `points`. The table shows
the last step that all seeds have reached, the mean loss over the seeds and their range. The laws are those
of the first seed at its last step: the exponent with its 95 % interval from 2,000 resamples of the sizes, and
the largest size's loss as the smaller ones predict it.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ROOT, commit, table

from sorakit.train.memory import keep_freed_pages
from sorakit.train.scaling import SIZES, HeldOut, Point, fit_power_law, grow, recipe_of


def marks(last: int, first: int = 50) -> list[int]:
    """Steps a factor √2 apart, from `first` to `last`.

    >>> marks(200)
    [50, 71, 100, 141, 200]
    """
    steps = [last]
    while steps[-1] / 2**0.5 > 0.99 * first:
        steps.append(round(last / 2 ** (len(steps) / 2)))
    return sorted(steps)


def write(path: Path, made: dict[str, Any], points: list[Point]) -> None:
    """The file, whole or not at all."""
    rows = ",\n".join("  " + json.dumps(asdict(p)) for p in points)
    part = path.with_name(f".{path.name}.part")
    part.write_text(f'{{"made": {json.dumps(made, indent=1)},\n"points": [\n{rows}\n]}}\n')
    part.replace(path)


def summary(points: list[Point]) -> str:
    """A row a size at the last step that all seeds have reached."""
    last = min(max(p.step for p in points if p.seed == s) for s in {p.seed for p in points})
    rows = []
    for size in dict.fromkeys((p.width, p.depth) for p in points):
        found = [p for p in points if (p.width, p.depth) == size and p.step == last]
        losses = [p.loss for p in found]
        rows.append([
            *size, f"{found[0].parameters:,}", f"{found[0].tflop:.3f}", f"{np.mean(losses):.4f}",
            f"{min(losses):.4f}–{max(losses):.4f}", f"{np.mean([p.seconds for p in found]):.0f}",
        ])  # fmt: skip
    head = ["width", "depth", "parameters", "TFLOP", "loss", "range over seeds", "CPU s"]
    return f"step {last}, n = {len({p.seed for p in points})} seeds\n" + table(head, rows)


def laws(points: list[Point]) -> str:
    """The exponent with its interval, and how well the largest size is predicted, in words."""
    runs = [p for p in points if p.seed == points[0].seed]
    last = max(p.step for p in runs)
    sizes, losses = np.array([(p.parameters, p.loss) for p in runs if p.step == last]).T
    rng = np.random.default_rng(0)
    picks = [i for i in rng.integers(0, len(sizes), (2000, len(sizes))) if len(set(i)) > 2]
    slopes = [fit_power_law(sizes[i], losses[i], floor=False).exponent for i in picks]
    low, high = np.quantile(slopes, [0.025, 0.975])
    plain = fit_power_law(sizes, losses, floor=False)
    rest = np.log(plain.at(sizes) / losses)
    r2 = 1 - (rest**2).sum() / (np.log(losses).var() * len(losses))
    said = f"exponent {plain.exponent:.3f} ({low:.3f} to {high:.3f}), R² {r2:.3f}"
    lines = [f"step {last}, n = {len(sizes)} sizes: {said}"]
    for name, floor in (("a straight line", False), ("a floor", True)):
        law = fit_power_law(sizes[:-1], losses[:-1], floor=floor)
        lines.append(
            f"largest size predicted with {name}: {100 * (law.at(sizes[-1]) / losses[-1] - 1):+.1f} %"
        )
    return "\n".join(lines)


def main() -> int:
    """Train, measure, write and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, nargs="+", default=[1600, 400])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "scaling.json")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--read", type=Path)
    args = parser.parse_args()
    if args.read is not None:
        stored = json.loads(args.read.read_text())
        points = [Point(**p) for p in stored["points"]]
        print(f"commit {stored['made']['commit']}, {stored['made']['device']}")
        print(summary(points), laws(points), sep="\n")
        return 0
    sizes, held_out = SIZES, HeldOut()
    if args.quick:
        args.steps, args.seeds, sizes, held_out = [100], [0], SIZES[:4], HeldOut(32)
    keep_freed_pages()
    torch.set_num_threads(args.threads)
    steps = (args.steps + args.steps[-1:] * len(args.seeds))[: len(args.seeds)]
    recipe = recipe_of(*SIZES[0], batch=args.batch)
    made = {
        "commit": commit(), "torch": torch.__version__, "device": args.device, "seeds": args.seeds,
        "steps": steps, "batch": args.batch, "rate": recipe.lr, "warmup": recipe.warmup,
        "average": recipe.ema, "shape": recipe.shape,
        "held_out_clips": sum(len(p.sigma) for p in held_out.parts),
        "loss": "velocity error of the averaged weights, sprites weighted, mean over held-out clips",
        "command": "python benchmarks/scaling.py",
    }  # fmt: skip
    args.out.parent.mkdir(parents=True, exist_ok=True)
    points = []
    options = {"device": args.device, "batch": args.batch, "held_out": held_out}
    for seed, last in zip(args.seeds, steps, strict=True):
        start = time.monotonic()
        for point in grow(sizes, marks(last), seed, **options):
            points.append(point)
            print(json.dumps(asdict(point)), flush=True)
            write(args.out, made, points)
        print(f"seed {seed}: {time.monotonic() - start:.0f} s", flush=True)
    print(f"commit {commit()}, torch {torch.__version__}, {args.device}, {args.threads} thread(s)")
    print(summary(points), laws(points), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
