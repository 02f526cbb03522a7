"""Forward pass and training step against diffusers' Latte, and a step's share of the matrix-multiply peak.

    python benchmarks/training_speed.py [--widths 192 384 768] [--depth 6] [--repeats 9] [--quick]

Both transformers get the same latents, width, number of blocks, heads and prompt vectors; Latte
(arXiv:2401.03048) has a spatial and a temporal block where ours has two over all patches. A step is forward,
backward, clipping and AdamW for both; in bfloat16 ours computes with copies of float32 weights, as `sorakit
train` does, Latte under autocast, as diffusers' training scripts do. Muon, which `sorakit train` uses on the
matrices, is timed apart against Latte's AdamW. Runs alternate, on an idle machine; ratio = Latte's time over
ours: the median of n = --repeats pairs and the interval that holds it with 95 %. Peak: the fastest square
product of the same number format in the same run. Operations: the network's matrix products, forward and
backward; a recipe's step also encodes its clips.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from functools import partial

import torch
from common import commit, median_interval, table
from diffusers import LatteTransformer3DModel
from torch import Tensor, nn

from sorakit.model.dit import VideoDiT, forward_flops
from sorakit.precision import suited
from sorakit.train.memory import keep_freed_pages
from sorakit.train.optim import collect, optimisers, refresh, step
from sorakit.train.recipe import RECIPES
from sorakit.train.trainer import Trainer
from sorakit.world.dataset import make_batch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
HEAD = 32
WORDS = 8
Work = Callable[[], object]


def seconds(work: Work, device: torch.device) -> float:
    """Wall time of `work`."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def peak(dtype: torch.dtype, device: torch.device) -> float:
    """Operations a second of the fastest of some square products."""
    best = 0.0
    for side in (512, 1024, 2048):
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        best = max(best, *(2 * side**3 / seconds(lambda a=a, b=b: a @ b, device) for _ in range(5)))
    return best


class Ours:
    """Our transformer: one forward pass, one training step."""

    def __init__(self, width: int, depth: int, latents: Tensor, text: Tensor, dtype: torch.dtype) -> None:
        net = VideoDiT(
            channels=latents.shape[1], patch=(1, 2, 2), width=width, depth=depth, heads=width // HEAD,
            text_width=width, joint_text=True, mean=0.0, std=1.0,
        )  # fmt: skip
        self.nets = nn.ModuleDict({"dit": net}).to(latents.device)  # as beside a text encoder
        self.copies = self.nets if dtype == torch.float32 else deepcopy(self.nets).to(dtype)
        level = torch.full((len(latents),), 500.0, device=latents.device)
        self.inputs = (latents.to(dtype), level, text.to(dtype), text[:, 0].to(dtype))
        self.muon = optimisers(self.nets, 1e-4, bf16=dtype != torch.float32)
        self.adam = [torch.optim.AdamW(self.nets.parameters(), 1e-4)]
        self.flops = len(latents) * forward_flops(net, *latents.shape[2:], words=text.shape[1])

    @torch.no_grad()
    def forward(self) -> None:
        """The prediction alone."""
        self.copies["dit"](*self.inputs)

    def update(self, muon: bool = False) -> None:
        """Forward, backward, optimisers."""
        chosen = self.muon if muon else self.adam
        if self.copies is not self.nets:
            refresh(self.copies, self.nets)
        self.copies["dit"](*self.inputs).float().square().mean().backward()
        if self.copies is not self.nets:
            collect(self.nets, self.copies)
        step(self.nets, chosen, [1e-4] * len(chosen), 1.0)


class Theirs:
    """Diffusers' Latte of the same size."""

    def __init__(self, width: int, depth: int, latents: Tensor, text: Tensor, dtype: torch.dtype) -> None:
        channels, frames, height = latents.shape[1:4]
        self.net: nn.Module = LatteTransformer3DModel(
            num_attention_heads=width // HEAD, attention_head_dim=HEAD, in_channels=channels,
            out_channels=channels, num_layers=depth // 2, cross_attention_dim=width, sample_size=height,
            patch_size=2, video_length=frames, caption_channels=width, activation_fn="gelu-approximate",
            norm_type="ada_norm_single", norm_elementwise_affine=False, attention_bias=True,
        ).to(latents.device)  # fmt: skip
        level = torch.full((len(latents),), 500, device=latents.device)
        self.inputs = {"hidden_states": latents, "timestep": level, "encoder_hidden_states": text}
        self.inputs["enable_temporal_attentions"] = True
        self.half = dtype != torch.float32
        self.optimisers = [torch.optim.AdamW(self.net.parameters(), 1e-4)]

    def _run(self) -> Tensor:
        kind = self.inputs["hidden_states"].device.type
        with torch.autocast(kind, torch.bfloat16) if self.half else nullcontext():
            return self.net(**self.inputs, return_dict=False)[0]

    @torch.no_grad()
    def forward(self) -> None:
        """The prediction alone."""
        self._run()

    def update(self) -> None:
        """Forward, backward, optimiser."""
        self._run().float().square().mean().backward()
        step(self.net, self.optimisers, [1e-4], 1.0)


def against(args: argparse.Namespace, device: torch.device, peaks: dict[str, float]) -> list[list[object]]:
    """A row for each width, number format and pass."""
    rows: list[list[object]] = []
    for width in args.widths:
        torch.manual_seed(0)
        latents = torch.randn(args.batch, 48, *args.latents, device=device)
        text = torch.randn(args.batch, WORDS, width, device=device)
        for name, dtype in DTYPES.items():
            ours, theirs = (kind(width, args.depth, latents, text, dtype) for kind in (Ours, Theirs))
            ways = {
                "forward": (ours.forward, theirs.forward, 1),
                "step": (ours.update, theirs.update, 3),
                "step, Muon": (partial(ours.update, muon=True), theirs.update, 3),
            }
            for what, (*pair, passes) in ways.items():
                for work in pair:
                    work()
                took = [[seconds(work, device) for work in pair] for _ in range(args.repeats)]
                ratio, low, high = median_interval([b / a for a, b in took])
                mine, other = (statistics.median(t[i] for t in took) for i in range(2))
                share = passes * ours.flops / mine / peaks[name]
                rows.append([
                    width, name, what, f"{1e3 * mine:.1f}", f"{1e3 * other:.1f}",
                    f"{ratio:.2f} ({low:.2f}–{high:.2f})", f"{share:.2f}",
                ])  # fmt: skip
    return rows


def recipes(args: argparse.Namespace, peaks: dict[str, float]) -> list[list[object]]:
    """A row for each recipe: a whole step as `sorakit train` makes it, without rendering its clips."""
    rows: list[list[object]] = []
    for name in args.recipes:
        trainer = Trainer(suited(RECIPES[name], args.device), args.device)
        batches = [make_batch(0, i, trainer.recipe.draw) for i in range(trainer.recipe.accumulate)]
        flops = sum(trainer.flops(b.clips.shape) for b in batches)
        work = partial(trainer.update, batches, 1e-3)
        work()
        took = [seconds(work, trainer.device) for _ in range(args.repeats)]
        kind = "bfloat16" if trainer.recipe.bf16 else "float32"
        share, low, high = median_interval([flops / t / peaks[kind] for t in took])
        median = statistics.median(took)
        rows.append(
            [
                name,
                trainer.pair.dit.width,
                kind,
                f"{1e3 * median:.0f}",
                f"{flops / median / 1e9:.0f}",
                f"{share:.2f} ({low:.2f}–{high:.2f})",
            ]
        )
    return rows


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--widths", type=int, nargs="+", default=[192, 384, 768], help=f"multiples of {HEAD}")
    parser.add_argument("--depth", type=int, default=6, help="blocks, an even number")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--latents", type=int, nargs=3, default=[4, 8, 8], help="frames, height, width")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--recipes", nargs="*", default=["one-object", "full-world", "full-world-64"])
    parser.add_argument(
        "--quick", action="store_true", help="seconds: one narrow width, one recipe, 3 repeats"
    )
    args = parser.parse_args()
    if args.quick:
        args.widths, args.depth, args.batch, args.repeats, args.recipes = [64], 2, 4, 3, ["tiny"]
    keep_freed_pages()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    peaks = {name: peak(dtype, device) for name, dtype in DTYPES.items()}
    said = ", ".join(f"{k} {v / 1e9:.0f} GFLOP/s" for k, v in peaks.items())
    print(f"commit {commit()}, torch {torch.__version__}, {device}, {args.threads} thread(s); peak {said}")
    tokens = args.latents[0] * args.latents[1] * args.latents[2] // 4
    size = f"{args.depth} blocks, {tokens} patches and {WORDS} prompt vectors a clip, {args.batch} clips"
    print(f"\n{size}, n = {args.repeats}")
    head = ["width", "format", "pass", "ours, ms", "Latte, ms", "Latte / ours", "ours, of peak"]
    print(table(head, against(args, device, peaks)))
    print(f"\nwhole steps of recipes, n = {args.repeats}")
    print(table(["recipe", "width", "format", "ms", "GFLOP/s", "of peak"], recipes(args, peaks)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
