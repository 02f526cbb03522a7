"""Does the packaged model show what the prompt says? Oracle scores on freshly drawn prompts.

    python benchmarks/generation_fidelity.py [--n 256] [--seed 0] [--model FOLDER] [--json]

Each row: the share of clips whose pixels satisfy the fact, with a 95 % Wilson interval. The ceiling column is
the oracle's own score on as many rendered scenes, the most that any model could reach.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from common import commit, table

from sorakit.fidelity import fresh_scenes, measure
from sorakit.generate import DEFAULT_MODEL, load_info
from sorakit.world.oracle import mean_scores
from sorakit.world.render import render

ROWS = ("all_facts", "colour", "shape", "size", "motion", "count", "background", "camera", "coherent")


def ceiling(model: Path, n: int, seed: int) -> dict[str, float]:
    """What the oracle gives the ground truth of the same prompts."""
    scenes = fresh_scenes(load_info(model), n, seed)
    return mean_scores((render(s, seed + i).frames for i, s in enumerate(scenes)), scenes)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    result: dict[str, Any] = measure(
        args.n, args.seed, model=args.model, steps=args.steps, guidance=args.guidance
    )
    result["ceiling"] = {k: round(v, 4) for k, v in ceiling(args.model, args.n, args.seed).items()}
    result["commit"] = commit()
    if args.json:
        print(json.dumps(result))
        return 0
    print(f"{result['model']} {result['version']}, commit {result['commit']}")
    print(f"{args.n} fresh prompts, seed {args.seed}")
    print(f"{result['steps']} steps, guidance {result['guidance']}, {result['cpu_s_per_clip']} CPU-s a clip")
    rows = []
    for name in ROWS:
        low, high = result[f"{name}_ci"]
        rows.append([name, f"{result[name]:.3f}", f"{low:.3f}–{high:.3f}", f"{result['ceiling'][name]:.3f}"])
    print(table(["fact", "share", "95 %", "ceiling"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
