"""One process of a group, started by `test_parallel.py`: trains a few steps and writes losses and weights."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from sorakit.train.data import open_source, open_stream
from sorakit.train.parallel import Group, open_group
from sorakit.train.recipe import RECIPES
from sorakit.train.trainer import Trainer

STEPS = 6


def steps(
    out: Path, group: Group, *, bf16: bool = False, load: Path | None = None, device: str = "cpu"
) -> None:
    recipe = replace(
        RECIPES["tiny"],
        bf16=bf16,
        accumulate=2,
        batch=4,
        seed=3,
        odds=(0.6, 0.4),
        shapes=((16, 32, 32), (8, 32, 32)),
    )
    trainer, losses = Trainer(recipe, device, group=group), []
    if load is not None:
        trainer.load(load)
    first = 2 * trainer.step + group.rank
    with open_stream(open_source(recipe), first=first, step=group.size) as stream:
        for _ in range(STEPS):
            losses.append(trainer.update([next(stream).batch for _ in range(2 // group.size)], 2e-3))
    trainer.save(out / "last.safetensors")
    pair = trainer.averaged()
    if group.first:
        clips = trainer.ledger.clips
        about = {
            "losses": losses,
            "clips": clips,
            "work": trainer.ledger.work_done,
            "cpu": trainer.ledger.cpu,
        }
        about["mean"] = float(pair.dit.embed.weight.detach().double().mean())
        (out / "about.json").write_text(json.dumps(about))


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, device = Path(sys.argv[1]), sys.argv[2]
    with open_group(device, "ddp") as found:
        for job in sys.argv[3:]:
            kind, _, rest = job.partition(":")
            group = replace(found, kind=kind)  # the same processes, other ways to spread the weights
            begin = folder / "alone" / "last.safetensors" if rest == "load" else None
            steps(folder / job.replace(":", "-"), group, bf16=rest == "bf16", load=begin, device=device)
