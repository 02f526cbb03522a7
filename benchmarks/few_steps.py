"""How few evaluations of the network make a clip that obeys its prompt? Solvers, and a distilled student.

    python benchmarks/few_steps.py [--n 128] [--seed 0] [--model FOLDER] [--student FOLDER] [--json]

Each row: the share of clips that obey in everything, with a 95 % Wilson interval, on the same fresh prompts
and noise for all rows. An evaluation is one call of the network; guidance runs it on the prompt and on the
empty prompt, so a call is up to two passes. Heun's step costs two evaluations, its last one. Times are
CPU-seconds a clip, sampling and decoding alone. `python -m sorakit.train.distill` makes the student.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from common import commit, table, wilson
from torch import Tensor

from sorakit.diffusion.guidance import guided_velocity
from sorakit.diffusion.solver import SOLVERS, Solver, Velocity, sigmas
from sorakit.diffusion.stochastic import stochastic
from sorakit.generate import DEFAULT_MODEL, load_info, seeded
from sorakit.model_info import model_folder
from sorakit.prompts import fresh_scenes
from sorakit.train.teacher import Teacher, load_teacher
from sorakit.types import Rgb
from sorakit.world.caption import caption, encode
from sorakit.world.oracle import score
from sorakit.world.scene import Scene

BATCH = 16
EVALUATIONS = (4, 8, 16)
STUDENT = (1, 2, 4)


@dataclass
class Counted:
    """A velocity field that counts how often it is asked."""

    field: Velocity
    calls: int = 0

    def __call__(self, z: Tensor, sigma: float) -> Tensor:
        """The velocity."""
        self.calls += 1
        return self.field(z, sigma)


@torch.no_grad()
def sample(model: Teacher, scenes: list[Scene], seeds: list[int], solver: str, steps: int) -> tuple[Rgb, int]:
    """Clips of `scenes` and the evaluations that each took."""
    length, networks = model.recipe.length, model.networks
    tokens = torch.from_numpy(np.stack([encode(caption(s), length) for s in scenes]))
    shape = (networks.dit.channels, *model.codec.shape(model.recipe.shape))
    noise = torch.stack([torch.randn(shape, generator=seeded(s)) for s in seeds])
    text, empty = networks.text(tokens), networks.text(torch.zeros_like(tokens))
    field = Counted(guided_velocity(networks.dit, text, empty, model.guidance))
    ways: dict[str, Solver] = {**SOLVERS, "stochastic": partial(stochastic, generator=seeded(seeds[0]))}
    return model.codec.decode(ways[solver](field, noise, sigmas(steps, model.recipe.shift))), field.calls


def measure(model: Teacher, n: int, seed: int, solver: str, steps: int) -> dict[str, Any]:
    """One row."""
    scenes = fresh_scenes(model.info, n, seed)
    hits, calls, cpu = 0, 0, 0.0
    for first in range(0, n, BATCH):
        part = scenes[first : first + BATCH]
        start = time.process_time()
        clips, calls = sample(
            model, part, [seed * 1_000_003 + first + i for i in range(len(part))], solver, steps
        )
        cpu += time.process_time() - start
        hits += sum(score(c, s)["all_facts"] == 1 for c, s in zip(clips, part, strict=True))
    low, high = wilson(hits, n)
    return {
        "model": model.info.name, "solver": solver, "evaluations": calls, "guidance": model.guidance.scale,
        "all_facts": hits / n, "ci": [low, high], "cpu_s_per_clip": cpu / n,
    }  # fmt: skip


def rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The model with each solver, then what it does unguided in a student's passes, then the student."""
    model = load_teacher(args.model, "usual")
    for solver in (*SOLVERS, "stochastic"):
        for evaluations in EVALUATIONS:
            steps = evaluations if solver != "heun" else evaluations // 2
            yield measure(model, args.n, args.seed, solver, steps)
    if args.student is not None:
        unguided = replace(model, info=model.info.model_copy(update={"guidance": 1.0}))
        for part in (unguided, load_teacher(args.student, "usual")):
            for solver in ("euler", "stochastic"):
                for steps in STUDENT:
                    yield measure(part, args.n, args.seed, solver, steps)


def main() -> int:
    """Measure and print; each row of the table appears on standard error as soon as it is known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=model_folder, default=DEFAULT_MODEL)
    parser.add_argument("--student", type=model_folder, help="a distilled model's folder")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = []
    for row in rows(args):
        found.append(row)
        print(f"{row['solver']} {row['evaluations']}: {row['all_facts']:.3f}", file=sys.stderr, flush=True)
    if args.json:
        print(json.dumps({"n": args.n, "seed": args.seed, "commit": commit(), "rows": found}))
        return 0
    info = load_info(args.model)
    print(f"{info.name} {info.version}, {args.n} fresh prompts, seed {args.seed}, commit {commit()}")
    head = ["model", "solver", "evaluations", "guidance", "all facts", "95 %", "CPU-s a clip"]
    cells = [
        [r["model"], r["solver"], r["evaluations"], r["guidance"], f"{r['all_facts']:.3f}",
         f"{r['ci'][0]:.3f}–{r['ci'][1]:.3f}", f"{r['cpu_s_per_clip']:.3f}"]
        for r in found
    ]  # fmt: skip
    print(table(head, cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
