"""Does a model show what the prompt says? Oracle scores on fresh prompts, by kind of prompt and by shape.

    python benchmarks/generation_fidelity.py [--n 200] [--seeds 3] [--seed 0] [--model FOLDER] [--quick]

Three tables, as `sorakit bench generate` measures them. Facts: the share of clips whose pixels satisfy each,
with the oracle's own score on drawn scenes as the ceiling. Kinds: the same by number of objects, cut, camera;
and by sprites seen in training or held out of it, from a run of its own with n prompts of each, and their
difference. Shapes: other durations and aspects, half as many prompts. Intervals hold 95 % and take the clips
of one prompt as alike.
"""

import argparse
import json
import sys
from typing import Any

import torch
from common import commit, table

from sorakit.fidelity import SHOWN, Sampling, measure
from sorakit.generate import DEFAULT_MODEL
from sorakit.model_info import model_folder
from sorakit.prompts import GROUPS, Combos

SHAPES = ((24, 1.0, 1.0), (16, 1.0, 1.5), (16, 1.5, 1.0))
"""Frames, and height and width in the model's own."""

PARTS = ("colour", "shape", "size", "motion")


def measure_all(args: argparse.Namespace) -> dict[str, Any]:
    """The main run, the run on seen and held-out sprites, and one a shape."""
    own = Sampling(steps=args.steps, guidance=args.guidance, device=args.device, dtype=args.dtype)

    def one(n: int, sampling: Sampling, combos: Combos = "all") -> dict[str, Any]:
        return measure(n, args.seed, seeds=args.seeds, model=args.model, sampling=sampling, combos=combos)

    result = one(args.n, own)
    result["combinations"] = one(2 * args.n, own, "both")
    result["shapes"] = []
    for frames, tall, wide in SHAPES:
        sides = {"height": round(tall * result["height"]), "width": round(wide * result["width"])}
        how = Sampling(args.steps, args.guidance, None, frames, **sides, device=args.device, dtype=args.dtype)
        result["shapes"].append(one(max(1, args.n // 2), how))
    return result | {"commit": commit()}


def facts_table(r: dict[str, Any]) -> str:
    """One row a fact."""
    rows = [[name, f"{r[name]:.3f}", interval(r, name), f"{r['ceiling'][name]:.3f}"] for name in SHOWN]
    return table(["fact", "share", "95 %", "ceiling"], rows)


def kinds_table(r: dict[str, Any]) -> str:
    """One row a kind of prompt that the model can be asked for."""
    both = r["combinations"]
    found = {k: r["groups"][k] for k in GROUPS if k not in ("seen", "held_out")}
    found |= {k: both["groups"][k] for k in ("seen", "held_out")}
    rows = [
        [k, v["n"], f"{v['all_facts']:.3f}", interval(v), *(f"{v[f]:.3f}" for f in PARTS)]
        for k, v in found.items()
        if v["n"]
    ]
    gap = both["held_out_minus_seen"]
    shares = [f"{gap[f]:+.3f}" for f in PARTS]
    rows.append(["held out − seen", "", f"{gap['all_facts']:+.3f}", interval(gap), *shares])
    return table(["prompts", "n", "all facts", "95 %", *PARTS], rows)


def shapes_table(r: dict[str, Any]) -> str:
    """One row a duration and aspect."""
    rows = [
        [
            f"{s['frames']} × {s['height']} × {s['width']}",
            s["n"],
            f"{s['all_facts']:.3f}",
            interval(s),
            *(f"{s[f]:.3f}" for f in PARTS),
            f"{s['ceiling']['all_facts']:.3f}",
            f"{s['cpu_s_per_clip']:.3f}",
        ]
        for s in (r, *r["shapes"])
    ]
    return table(["frames × H × W", "n", "all facts", "95 %", *PARTS, "ceiling", "CPU-s a clip"], rows)


def interval(row: dict[str, Any], name: str = "all_facts") -> str:
    """Both ends."""
    low, high = row[f"{name}_ci"]
    return f"{low:.3f} to {high:.3f}"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=200, help="prompts")
    parser.add_argument("--seeds", type=int, default=3, help="clips of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=model_folder, default=DEFAULT_MODEL)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="8 prompts, 1 seed: does it run?")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.quick:
        args.n, args.seeds = 8, 1
    torch.set_num_threads(args.threads)
    result = measure_all(args)
    if args.json:
        print(json.dumps(result))
        return 0
    how = f"{result['steps']} steps, guidance {result['guidance']:g} where σ ≥ {result['guidance_low']:g}"
    cost = f"{result['evaluations']:g} evaluations, {result['cpu_s_per_clip']} CPU-s a clip"
    print(f"{result['model']} {result['version']}, commit {result['commit']}: {how}, {cost}")
    print(f"n = {args.n} fresh prompts × {args.seeds} seeds, seed {args.seed}, {args.device}\n")
    print("\n\n".join([facts_table(result), kinds_table(result), shapes_table(result)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
