"""Attention written out against the fused kernel; packed clips one by one against masked and padded ones.

    python benchmarks/attention.py [--device cpu] [--repeats 7] [--threads 1] [--tokens 64 256]

Milliseconds of processor time (of wall time on a GPU), the median of n = --repeats runs, both ways.
`attend` in `sorakit.model.block` and `apart` in `sorakit.model.pack` choose by them. Run on an idle machine.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from common import commit, table
from torch import Tensor

from sorakit.model.dit import VideoDiT
from sorakit.model.pack import run_packed

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
MIXED = ((16, 32, 32), (16, 32, 48), (8, 32, 32), (24, 32, 32), (16, 24, 40))


def explicit(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The three steps, each on its own."""
    weights = ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).softmax(-1)  # (B, heads, N, N)
    return weights.to(v.dtype) @ v  # (B, heads, N, hd)


def cost(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median milliseconds of `work`, after one run to warm up."""
    cpu = device.type == "cpu"
    took = []
    for _ in range(repeats + 1):
        start = time.process_time() if cpu else time.perf_counter()
        work()
        if not cpu:
            torch.cuda.synchronize(device)
        took.append((time.process_time() if cpu else time.perf_counter()) - start)
    return 1e3 * statistics.median(took[1:])


def kernels(args: argparse.Namespace, device: torch.device) -> list[list[object]]:
    """Explicit and fused attention, per number of tokens and number format."""
    rows: list[list[object]] = []
    for tokens in args.tokens:
        for name, dtype in DTYPES.items():
            shape = (args.batch, args.heads, tokens, args.head_dim)
            q, k, v, g = (torch.randn(shape, device=device).to(dtype) for _ in range(4))
            for kind, kernel in (("explicit", explicit), ("fused", F.scaled_dot_product_attention)):
                inputs = [x.clone().requires_grad_() for x in (q, k, v)]

                def forward(kernel=kernel, inputs=inputs) -> None:
                    with torch.no_grad():
                        kernel(*inputs)

                def both(kernel=kernel, inputs=inputs, g=g) -> None:
                    torch.autograd.grad(kernel(*inputs), inputs, g)

                times = [cost(work, device, args.repeats) for work in (forward, both)]
                rows.append([tokens, name, kind, *(f"{t:.2f}" for t in times)])
    return rows


def packing(args: argparse.Namespace, device: torch.device) -> list[list[object]]:
    """A mixture of clips: alone, packed one by one, packed with a mask, and filled up to the largest."""
    model = VideoDiT(width=args.heads * args.head_dim, heads=args.heads, joint_text=True).to(device)
    rows: list[list[object]] = []
    for count in args.clips:
        sizes = [MIXED[i % len(MIXED)] for i in range(count)]
        largest = [max(side) for side in zip(*sizes, strict=True)]
        for name, dtype in DTYPES.items():
            net = torch.nn.ModuleList([model]).to(dtype)[0]
            clips = [torch.randn(3, *s, device=device).to(dtype) for s in sizes]
            level = torch.linspace(990, 10, count, device=device)
            tokens, pooled = (
                torch.randn(s, device=device).to(dtype) for s in ((count, 4, 128), (count, 128))
            )
            full = torch.randn(count, 3, *largest, device=device).to(dtype)
            ways = {
                "one pass a clip": lambda net=net, clips=clips, level=level, tokens=tokens, pooled=pooled: [
                    net(c[None], level[i : i + 1], tokens[i : i + 1], pooled[i : i + 1])
                    for i, c in enumerate(clips)
                ],
                "packed": lambda net=net, a=(clips, level, tokens, pooled): run_packed(net, *a, masked=False),
                "packed, masked": lambda net=net, a=(clips, level, tokens, pooled): run_packed(
                    net, *a, masked=True
                ),
                "padded": lambda net=net, a=(full, level, tokens, pooled): [net(*a)],
            }
            for way, run in ways.items():

                def forward(run=run) -> None:
                    with torch.no_grad():
                        run()

                def both(run=run, net=net) -> None:
                    sum(out.square().mean() for out in run()).backward()
                    net.zero_grad()

                times = [cost(work, device, args.repeats) for work in (forward, both)]
                rows.append([count, name, way, *(f"{t:.1f}" for t in times)])
    return rows


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, nargs="+", default=[64, 256, 1024])
    parser.add_argument("--clips", type=int, nargs="+", default=[8, 24])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--head-dim", type=int, default=32)
    parser.add_argument("--skip", nargs="*", default=[], choices=["kernels", "packing"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    print(f"commit {commit()}, torch {torch.__version__}, {device}, {args.threads} thread(s)")
    head = ["format", "way", "forward, ms", "forward + backward, ms"]
    if "kernels" not in args.skip:
        print(f"\nattention, batch {args.batch}, {args.heads} heads of {args.head_dim}")
        print(table(["tokens", *head], kernels(args, device)))
    if "packing" not in args.skip:
        print("\nclips of five sizes, width 128, 4 blocks, 4 text slots")
        print(table(["clips", *head], packing(args, device)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
