"""Does a clip survive the packaged autoencoder? PSNR and oracle facts of what it gives back.

    python benchmarks/autoencoder.py [--n 256] [--seed 0] [--model FOLDER] [--real DIR] [--json]

Each row of facts: the share of reconstructed clips whose pixels still satisfy the fact, with a 95 % Wilson
interval; in brackets the oracle's share on the clips themselves, the most that any autoencoder could reach.
`pca` is the best linear code with as many numbers, fitted in the same run on clips of the kind trained on.
PSNR is the mean over clips, with a 95 % interval of that mean. `--real`: a folder of clips with a
`manifest.csv`; what is measured are random 64 px crops of the sources that no run trains on.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ROOT, commit, table, wilson
from torch import Tensor

from sorakit.model.vae import VideoVAE, fold, fold_frames, fold_patches, unfold, unfold_frames
from sorakit.train.autoencoder import scaled
from sorakit.train.autorecipe import AUTOENCODER
from sorakit.train.footage import open_footage
from sorakit.train.linear_code import principal
from sorakit.train.mixture import WORLD, mixed_batch
from sorakit.types import Rgb
from sorakit.video.convert import array_to_rgb, rgb_to_array
from sorakit.world.oracle import FACTS, score
from sorakit.world.render import render
from sorakit.world.scene import Scene, Space, sample_scene

MODEL = ROOT / "sorakit" / "weights" / "autoencoder"
ONE = Space(sizes=WORLD.sizes, textures=("plain",), two=0.0, camera=0.0)
SETS = {"one object, 32 px": (ONE, 32), "full world, 32 px": (WORLD, 32), "full world, 64 px": (WORLD, 64)}
ROWS = ("all_facts", *FACTS)

Codec = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Case:
    """Clips `float32 (N, 3, T, H, W)`, and what the sprite world's show."""

    name: str
    clips: Tensor
    scenes: tuple[Scene, ...] = ()


def cases(n: int, seed: int, real: Path | None, cache: Path) -> list[Case]:
    """The sets to measure: from seeds that no training stream has, and sources that no run trains on."""
    out = []
    for i, (name, (space, side)) in enumerate(SETS.items()):
        rng = np.random.default_rng([2_000_003, seed, i])
        scenes = tuple(sample_scene(rng, space) for _ in range(n))
        frames = [render(s, int(rng.integers(1 << 62)), 16, side, side).frames for s in scenes]
        out.append(Case(name, to_tensor(frames), scenes))
    if real is not None:
        held = open_footage(real, cache).held_back()
        rng = np.random.default_rng([2_000_003, seed, 9])
        out.append(Case("held-back real, 64 px", to_tensor([held.crop(rng, (16, 64, 64)) for _ in range(n)])))
    return out


def to_tensor(clips: list[Rgb]) -> Tensor:
    """`float32 (N, 3, T, H, W)`."""
    return torch.from_numpy(np.stack([rgb_to_array(c) for c in clips]))


def pca(channels: int, real: Path | None, cache: Path) -> Codec:
    """The best linear code of `channels` numbers for 4 × 8 × 8 pixels, fitted on fresh training batches."""
    footage = open_footage(real, cache).for_training() if real else None
    batches = [mixed_batch(2_000_029, i, AUTOENCODER.buckets, footage, AUTOENCODER.real) for i in range(96)]
    patches = [fold_patches(fold_frames(scaled(b))).flatten(0, 2) for b in batches]  # each (M, 768)
    mean, _, directions = (x.float() for x in principal(torch.cat(patches), channels))

    def codec(x: Tensor) -> Tensor:
        folded = fold(fold(fold_frames(x), 4), 2) - mean  # (N, h, w, 768)
        back = folded @ directions @ directions.T + mean  # (N, h, w, 768)
        return unfold_frames(unfold(unfold(back, 2), 4), len(x)).clamp(-1, 1)

    return codec


@torch.no_grad()
def measure(case: Case, codec: Codec) -> dict[str, Any]:
    """PSNR, and the facts that survive, as [hits, share, low, high, share on the clips themselves]."""
    back = torch.cat([codec(x) for x in case.clips.split(16)])
    error = (back - case.clips).square().mean((1, 2, 3, 4)) / 4  # (N,), of values in [0, 1]
    psnr = -10 * error.clamp_min(1e-10).log10()
    half = 1.96 * float(psnr.std()) / len(psnr) ** 0.5
    out: dict[str, Any] = {
        "psnr": round(float(psnr.mean()), 2),
        "psnr_ci": [round(float(psnr.mean()) - half, 2), round(float(psnr.mean()) + half, 2)],
    }
    if case.scenes:
        kept, truth = facts(back, case.scenes), facts(case.clips, case.scenes)
        for name in ROWS:
            hits, n = sum(r[name] == 1.0 for r in kept), len(kept)
            ceiling = sum(r[name] == 1.0 for r in truth) / n
            out[name] = [hits / n, *wilson(hits, n), ceiling]
    return out


def facts(clips: Tensor, scenes: tuple[Scene, ...]) -> list[dict[str, float]]:
    """The oracle's score of each clip; a fact of two sprites counts when both have it."""
    return [score(array_to_rgb(c.numpy()), s) for c, s in zip(clips, scenes, strict=True)]


@torch.no_grad()
def speed(vae: VideoVAE) -> dict[str, float]:
    """Milliseconds a 16 × 64 × 64 clip and GFLOP; the median of 15 calls."""
    out: dict[str, float] = {
        "encoder_gflop": round(vae.encoder_flops(16, 64, 64) / 1e9, 3),
        "decoder_gflop": round(vae.decoder_flops(16, 64, 64) / 1e9, 3),
    }
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        torch.nn.Module.to(vae, dtype)
        x = torch.zeros(1, 3, 16, 64, 64, dtype=dtype)
        z = vae.encode(x)
        out[f"encode_ms_{name}"] = _median_ms(lambda x=x: vae.encode(x))
        out[f"decode_ms_{name}"] = _median_ms(lambda z=z: vae.decode(z))
    torch.nn.Module.to(vae, torch.float32)
    return out


def _median_ms(call: Callable[[], object]) -> float:
    times = []
    for _ in range(17):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return round(float(np.median(times[2:])), 2)


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    print(
        f"{result['model']}, commit {result['commit']}, n = {result['n']} clips a set, seed {result['seed']}"
    )
    rows = [
        [name, who, r["psnr"], "{}–{}".format(*r["psnr_ci"])]
        for name, both in result["sets"].items()
        for who, r in both.items()
    ]
    print(table(["set", "codec", "PSNR dB", "95 %"], rows))
    for name, both in result["sets"].items():
        if "all_facts" in both["vae"]:
            print(f"\n{name}")
            cells = [[f, *(_cell(r[f]) for r in both.values())] for f in ROWS]
            print(table(["fact", *both], cells))
    print()
    print(table(["speed, 16 × 64 × 64, one thread", ""], [list(kv) for kv in result["speed"].items()]))


def _cell(row: list[float]) -> str:
    return f"{row[0]:.3f} {row[1]:.3f}–{row[2]:.3f} ({row[3]:.3f})"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--cache", type=Path, default=ROOT / "runs" / "footage")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    vae = VideoVAE.from_pretrained(args.model, use_safetensors=True, low_cpu_mem_usage=False).eval()
    codecs = {"vae": lambda x: vae.decode(vae.encode(x)), "pca": pca(vae.channels, args.real, args.cache)}
    sets = cases(args.n, args.seed, args.real, args.cache)
    result: dict[str, Any] = {
        "model": args.model.name,
        "commit": commit(),
        "n": args.n,
        "seed": args.seed,
        "sets": {c.name: {who: measure(c, codec) for who, codec in codecs.items()} for c in sets},
        "speed": speed(vae),
    }
    if args.json:
        print(json.dumps(result))
    else:
        show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
