"""What each size of the model costs: parameters, operations and memory, read off the meta device.

    python benchmarks/family.py [--depths 4 6 8 12 16 20 24 28 30] [--latent | --pixel]
                                [--shape T H W] [--batch 1] [--words 8]

Pixel models are shown 16 × 32 × 32 clips; latent ones 81 frames of 480 × 832 as 21 × 60 × 104 latents.
Nothing is allocated. Training holds `state` (float32 weights, their mean, gradients, the optimisers' moments)
and what the backward pass needs: `activations` with fused attention, `maps` more with attention written out.
The bf16 columns are those of mixed precision, as the training loop runs. Operations are 2 a multiply-add;
training is 3 forward passes; no activation is computed twice.
"""

import argparse
import sys
from typing import Any

from common import commit, table

from sorakit.model.family import Cost, describe, dit_config

VARIANTS = (
    ("pixel", False, (16, 32, 32), (3, 4, 6, 8, 12), ("GFLOP", 1e9), ("MB", 1e6)),
    ("latent", True, (21, 60, 104), (12, 16, 20, 24, 28, 30), ("TFLOP", 1e12), ("GB", 1e9)),
)
HEAD = (
    "depth", "width", "heads", "parameters, M", "tokens", "forward", "training",
    "bf16: state", "activations", "maps", "fp32: state", "activations", "maps",
)  # fmt: skip


def number(value: float) -> str:
    """Three digits at least.

    >>> number(0.01234), number(3219.06)
    ('0.0123', '3,219')
    """
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def row(config: dict[str, Any], cost: Cost, flop: float, byte: float) -> list[object]:
    """One model's line, in units of `flop` operations and `byte` bytes."""
    flops = [number(x / flop) for x in (cost.forward_flops, cost.training_flops)]
    memory = [number(x / byte) for m in (cost.bf16, cost.fp32) for x in (m.state, m.activations, m.maps)]
    size = number(cost.parameters / 1e6)
    return [config["depth"], config["width"], config["heads"], size, cost.tokens, *flops, *memory]


def main() -> int:
    """Print a table a variant."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--depths", type=int, nargs="+")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--latent", dest="only", action="store_const", const="latent")
    only.add_argument("--pixel", dest="only", action="store_const", const="pixel")
    parser.add_argument("--shape", type=int, nargs=3, metavar=("T", "H", "W"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--words", type=int, default=8)
    args = parser.parse_args()
    print(f"commit {commit()}")
    for name, latent, usual, depths, flop, byte in VARIANTS:
        if args.only not in (None, name):
            continue
        shape = tuple(args.shape or usual)
        print(f"\n{name}: {' × '.join(map(str, shape))}, {args.words} text vectors, batch {args.batch}")
        print(f"{flop[0]} a clip, {byte[0]} a batch")
        rows = []
        for depth in args.depths or depths:
            config = dit_config(depth, latent=latent)
            cost = describe(config, shape, batch=args.batch, words=args.words)
            rows.append(row(config, cost, flop[1], byte[1]))
        print(table(HEAD, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
