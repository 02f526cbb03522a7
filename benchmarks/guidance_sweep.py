"""Which sampling settings suit a model? A small grid, on prompts that measuring never meets.

    python benchmarks/guidance_sweep.py [--model FOLDER] [--n 48] [--seeds 1] [--solvers NAME …] [--quick]

First guidance and the noise level below which it stops, then steps, shift and solver with the best of those.
All settings answer the same prompts from the same noise, so they are compared prompt by prompt. Two are
named: the best, and the cheapest within one standard error of it (Breiman et al. 1984), since a grid's best
score is partly luck. Prompts come from the stream "develop" and name only sprites that training saw, so that
neither the measured prompts nor the held-out sprites have a part in the choice. `sorakit.json` holds steps
and guidance, `scheduler/scheduler_config.json` the shift; the solver is an option of `generate`.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from common import commit, table

from sorakit.fidelity import Sampling, Scores, run
from sorakit.generate import DEFAULT_MODEL, load_info, load_pipeline
from sorakit.intervals import share
from sorakit.model_info import model_folder
from sorakit.schedulers import SCHEDULERS, scheduler_name, scheduler_of


@dataclass(frozen=True)
class Setting:
    """What is chosen."""

    guidance: float
    guidance_low: float
    steps: int
    shift: float
    solver: str


@dataclass(frozen=True, eq=False)
class Tried:
    """A setting and how it did."""

    setting: Setting
    scores: Scores

    @property
    def obeyed(self) -> Any:
        """Share of each prompt's clips that show every fact, `(n,)`."""
        return self.scores.facts["all_facts"].mean(1)


def own_setting(args: argparse.Namespace, pipe: Any) -> Setting:
    """What the model is sampled with now."""
    info = load_info(args.model)
    shift, solver = float(pipe.scheduler.config.shift), scheduler_name(pipe.scheduler) or "euler"
    return Setting(info.guidance, info.guidance_low, info.steps, shift, solver)


def attempt(setting: Setting, pipe: Any, args: argparse.Namespace) -> Tried:
    """Sample and score the development prompts."""
    pipe.scheduler = scheduler_of(setting.solver, setting.shift)
    how = Sampling(
        setting.steps, setting.guidance, setting.guidance_low, device=args.device, dtype=args.dtype
    )
    scores = run(args.n, args.seed, seeds=args.seeds, model=args.model, sampling=how, combos="seen",
                 stream="develop", pipe=pipe)  # fmt: skip
    done = Tried(setting, scores)
    sys.stderr.write(f"{setting}: {done.obeyed.mean():.3f}\n")
    return done


def best_of(tried: Sequence[Tried]) -> Tried:
    """The one that obeys most; of equals the cheapest."""
    return max(tried, key=lambda t: (t.obeyed.mean(), -t.scores.evaluations))


def cheapest_near(best: Tried, tried: Sequence[Tried]) -> Tried:
    """The one with the fewest passes among those within one standard error of `best`."""
    near = [t for t in tried if (gap := behind(best, t))[0] <= gap[1] + 1e-9]
    return min(near, key=lambda t: (t.scores.evaluations, -t.obeyed.mean()))


def behind(first: Tried, second: Tried) -> tuple[float, float]:
    """How much less `second` obeys than `first`, and the standard error of it, prompt by prompt."""
    gap = first.obeyed - second.obeyed  # (n,)
    return float(gap.mean()), float(gap.std(ddof=1) / math.sqrt(len(gap))) if len(gap) > 1 else 0.0


def sweep(args: argparse.Namespace) -> list[Tried]:
    """All that was tried, the model's own setting first."""
    pipe = load_pipeline(args.model, device=args.device, dtype=args.dtype)
    own = own_setting(args, pipe)
    known: dict[Setting, Tried] = {}

    def try_all(settings: Sequence[Setting]) -> None:
        for setting in settings:
            if setting not in known:
                known[setting] = attempt(setting, pipe, args)

    guided = [
        replace(own, guidance=g, guidance_low=low if g != 1 else 0.0)
        for g in args.guidance
        for low in (args.lows if g != 1 else [0.0])
    ]
    try_all([own, *guided])
    base = best_of(list(known.values())).setting
    try_all(
        [
            replace(base, steps=n, shift=s, solver=v)
            for v in args.solvers
            for n in args.steps
            for s in args.shifts
        ]
    )
    return list(known.values())


def row(tried: Tried, own: Tried) -> list[object]:
    """One line of the table."""
    s, found = tried.setting, share(tried.scores.facts["all_facts"])
    gap, error = behind(own, tried)
    parts = [f"{np.mean(tried.scores.facts[f]):.3f}" for f in ("colour", "shape", "motion")]
    return [
        f"{s.guidance:g}", f"{s.guidance_low:g}", s.steps, f"{s.shift:g}", s.solver,
        f"{tried.scores.evaluations:.1f}", f"{found.mean:.3f}", "{:.3f} to {:.3f}".format(*found.ci),
        f"{0.0 - gap:+.3f} ± {error:.3f}", *parts,
    ]  # fmt: skip


def main() -> int:
    """Try, choose and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=model_folder, default=DEFAULT_MODEL)
    parser.add_argument("--n", type=int, default=48, help="prompts")
    parser.add_argument("--seeds", type=int, default=1, help="clips of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--guidance", type=float, nargs="+", default=[1, 2, 3, 4, 6])
    parser.add_argument("--lows", type=float, nargs="+", default=[0.0, 0.3, 0.6, 0.8])
    parser.add_argument("--steps", type=int, nargs="+", default=[8, 16, 24])
    parser.add_argument("--shifts", type=float, nargs="+", default=[2, 4, 6])
    parser.add_argument("--solvers", nargs="+", choices=SCHEDULERS, default=["euler", "stochastic", "dpm"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a few settings on 4 prompts: does it run?")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.n, args.guidance, args.lows, args.steps, args.shifts = 4, [1, 3], [0.5], [2, 4], [4]
    torch.set_num_threads(args.threads)
    tried = sweep(args)
    best = best_of(tried)
    named = {"own": tried[0], "best": best, "cheapest": cheapest_near(best, tried)}
    settings = {name: asdict(t.setting) for name, t in named.items()}
    ranked = sorted(tried, key=lambda t: (-t.obeyed.mean(), t.scores.evaluations))
    if args.json:
        rows = [asdict(t.setting) | {"all_facts": float(t.obeyed.mean())} for t in ranked]
        print(json.dumps({"commit": commit(), "n": args.n, "seeds": args.seeds, **settings, "rows": rows}))
        return 0
    info = load_info(args.model)
    print(f"{info.name} {info.version}, commit {commit()}, n = {args.n} prompts × {args.seeds} seeds\n")
    head = ["guidance", "low", "steps", "shift", "solver", "passes", "all facts", "95 %"]
    head += ["over its own ± s.e.", "colour", "shape", "motion"]
    print(table(head, [row(t, tried[0]) for t in ranked]) + "\n")
    for name, setting in settings.items():
        print(f"{name}: {json.dumps(setting)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
