"""`python -m sorakit.train --recipe one-object --out runs/one-object --hours 2`: train, or go on training."""

import argparse
import math
from pathlib import Path

import torch

from sorakit.train.loop import Budget, train
from sorakit.train.recipe import RECIPES


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when the budget is used or the run was stopped in good order."""
    parser = argparse.ArgumentParser(prog="python -m sorakit.train", description=__doc__)
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="one-object")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints and log")
    parser.add_argument("--hours", type=float, default=math.inf)
    parser.add_argument("--steps", type=float, default=math.inf)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    train(RECIPES[args.recipe], args.out, Budget(args.hours, args.steps), device=args.device)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
