"""Do given frames come out, and do long clips hold together? Images in, extension to a minute.

    python benchmarks/conditioning.py [--model full-world] [--n 48] [--long 8] [--seconds 60] [--seed 0]

Endpoints: first frame, and first and last, of fresh rendered clips are given. `pasted` is what a user gets;
`predicted` is the model's own output in those places (`paste=False`), which nobody gets. The seam is the step
from the given frame to its neighbour over the steps around it, pasted; the truth's own is beside it.
Extension: fresh rendered clips of 16 frames go on to `--seconds`, 8 frames known; the oracle looks for the
prompt's facts in each 16 frames. Memory: peak of chunks of 15 s and of `--seconds`, each in a fresh process.
Intervals are 95 %, from 2,000 resamples of clips.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ROOT, commit, table

from sorakit.continuity import endpoint_psnr, facts_kept, seam_ratios
from sorakit.extend import Sampler, open_sampler, roll
from sorakit.fidelity import wilson
from sorakit.generate import load_info, seeded
from sorakit.model_info import model_folder
from sorakit.types import Rgb
from sorakit.world.caption import caption
from sorakit.world.render import render
from sorakit.world.scene import Scene, Space, sample_scene

STREAM = 3_000_017
FPS = 12
KNOWN = 8
FACTS = ("colour", "shape", "background", "motion")
BATCH = 16


def scenes_of(model: Path, n: int, seed: int) -> list[Scene]:
    """Fresh scenes of one shot that the model can show."""
    info = load_info(model)
    space = Space(
        tuple(info.sizes),
        tuple(info.textures),
        0.5 if info.sprites > 1 else 0.0,
        0.35 if info.camera else 0.0,
    )
    rng = np.random.default_rng([STREAM, seed])
    return [sample_scene(rng, space) for _ in range(n)]


def endpoints(sampler: Sampler, scenes: Sequence[Scene], seed: int) -> dict[str, list[float]]:
    """Each measure of each clip: `task/measure` → values."""
    _, height, width = sampler.pipe.size
    out: dict[str, list[float]] = {}
    for first in range(0, len(scenes), BATCH):
        part = scenes[first : first + BATCH]
        numbers = range(first, first + len(part))
        true = np.stack(
            [
                render(s, 7 * seed + i, sampler.window, height, width).frames
                for s, i in zip(part, numbers, strict=True)
            ]
        )
        for task, places in (("first", (0,)), ("first and last", (0, -1))):
            pictures = dict(
                zip(("image", "last_image"), true.transpose(1, 0, 2, 3, 4)[list(places)], strict=False)
            )
            for paste in (True, False):
                made = sample(sampler, part, pictures, [seed * 1_000_003 + i for i in numbers], paste=paste)
                for clip, truth in zip(made, true, strict=True):
                    note(out, task, clip, truth, places, group=sampler.group, paste=paste)
    return out


def note(
    out: dict[str, list[float]],
    task: str,
    clip: Rgb,
    truth: Rgb,
    places: Sequence[int],
    *,
    group: int,
    paste: bool,
) -> None:
    """Add one clip's numbers to `out`."""
    psnr = endpoint_psnr(clip, {p: truth[p] for p in places})
    out.setdefault(f"{task}/PSNR {'pasted' if paste else 'predicted'}", []).append(
        float(np.mean([*psnr.values()]))
    )
    if paste:
        seams = [group if p == 0 else len(clip) - group for p in places]
        out.setdefault(f"{task}/seam", []).append(float(np.mean(seam_ratios(clip, seams))))
        out.setdefault(f"{task}/seam of the truth", []).append(float(np.mean(seam_ratios(truth, seams))))


def sample(
    sampler: Sampler, scenes: Sequence[Scene], pictures: dict[str, Rgb], seeds: Sequence[int], *, paste: bool
) -> Rgb:
    """Clips around the pictures `(N, H, W, 3)`."""
    done: Any = sampler.pipe(
        [caption(s) for s in scenes],
        **pictures,
        paste=paste,
        num_inference_steps=sampler.steps,
        guidance_scale=sampler.guidance,
        guidance_interval=(sampler.guidance_low, 1.0),
        generator=[seeded(s) for s in seeds],
    )
    frames: Rgb = done.frames
    return frames


def extension(sampler: Sampler, scenes: Sequence[Scene], seconds: float, seed: int) -> dict[str, list[float]]:
    """Each measure of each long clip, and the truth's."""
    _, height, width = sampler.pipe.size
    total, step, start = round(seconds * FPS), sampler.window - KNOWN, sampler.window
    texts = [caption(s) for s in scenes]
    true = [render(s, 7 * seed + i, total, height, width, span=start) for i, s in enumerate(scenes)]
    source = np.stack([t.frames[:start] for t in true])
    windows = -(-(total - start) // step)
    seeds = [seed * 1_000_003 + i for i in range(len(scenes))]
    parts = [source, *roll(sampler, source[:, -KNOWN:], [texts] * windows, seeds)]
    made = np.concatenate(parts, 1)[:, :total]
    seams = list(range(start, total - 1, step))
    out: dict[str, list[float]] = {}
    for kind, clips in (("made", made), ("truth", np.stack([t.frames for t in true]))):
        for clip, text in zip(clips, texts, strict=True):
            kept = facts_kept(clip, text, FACTS)
            late = facts_kept(clip[-total // 4 :], text, ("colour",))["colour"]
            values = {f"{f} kept": v for f, v in kept.items()} | {"colour kept, last quarter": late}
            values["seam over inner step"] = float(np.mean(seam_ratios(clip, seams)))
            for name, value in values.items():
                out.setdefault(f"{kind}/{name}", []).append(value)
    return out


def peak_memory(model: Path, seconds: float) -> float:
    """MiB that a process takes at most while it makes chunks of one clip."""
    code = (
        "import resource, sys, torch\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from sorakit.extend import extend_chunks, open_sampler\n"
        "torch.set_num_threads(1)\n"
        "s = open_sampler(Path(sys.argv[1]), steps=2)\n"
        f"edge = np.zeros(({KNOWN}, *s.pipe.size[1:], 3), np.uint8)\n"
        "text = 'a big red circle orbits on a navy background'\n"
        "for chunk in extend_chunks(s, edge, text, int(sys.argv[2])): pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
    )
    command = [sys.executable, "-c", code, str(model), str(round(seconds * FPS))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def interval(values: Sequence[float], of: Callable[..., Any] = np.mean) -> tuple[float, float, float]:
    """Mean and the percentile bootstrap's 95 % interval (Efron 1979); Wilson's where all shares are one."""
    array = np.asarray(values)
    if array.max() == array.min() and array.max() in (0.0, 1.0):
        low, high = wilson(float(array[0]), len(array))
        return float(array[0]), low, high
    draws = np.random.default_rng(0).integers(0, len(array), (2000, len(array)))
    low, high = np.percentile(of(array[draws], axis=1), [2.5, 97.5])
    return float(of(array)), float(low), float(high)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="full-world", help="name or folder of a model that takes frames")
    parser.add_argument("--n", type=int, default=48, help="clips around endpoints")
    parser.add_argument("--long", type=int, default=8, help="clips that are extended")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = model_folder(args.model).absolute()
    sampler = open_sampler(model, steps=args.steps, guidance=args.guidance)
    scenes = scenes_of(model, max(args.n, args.long), args.seed)
    memory = {f"peak_mib_{s:g}_s": round(peak_memory(model, s)) for s in (15.0, args.seconds)}
    start = time.process_time()
    found = {f"endpoints/{k}": v for k, v in endpoints(sampler, scenes[: args.n], args.seed).items()}
    middle = time.process_time()
    found |= {
        f"extension/{k}": v
        for k, v in extension(sampler, scenes[: args.long], args.seconds, args.seed).items()
    }
    end = time.process_time()
    info = sampler.info
    about = {
        "model": info.name if info else "?", "version": info.version if info else "?", "commit": commit(),
        "n": args.n, "long": args.long, "seconds": args.seconds, "seed": args.seed, "steps": sampler.steps,
        "guidance": sampler.guidance, "cpu_s_endpoints": round(middle - start, 1),
        "cpu_s_a_minute": round((end - middle) / args.long * 60 / args.seconds, 1),
    } | memory  # fmt: skip
    rows = {k: interval(v) for k, v in found.items()}
    if args.json:
        print(json.dumps(about | {"rows": {k: [round(x, 4) for x in v] for k, v in rows.items()}}))
        return 0
    print(", ".join(f"{k} {v}" for k, v in about.items()))
    print(
        table(
            ["measure", "mean", "95 %"],
            [[k, f"{m:.3f}", f"{a:.3f}–{b:.3f}"] for k, (m, a, b) in rows.items()],
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
