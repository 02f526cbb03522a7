"""Makes a few-step student of a model.

    python -m sorakit.train.distill --teacher FOLDER --out runs/NAME --evaluations 4 --hours 0.3

The teacher is a model's folder, or the folder of a training run, whose averaged weights are exported first.
The student starts as its copy and learns to do without guidance and with `--evaluations` steps (see
`sorakit.diffusion.distill`). Out: checkpoints and a log in `--out`, and in `--out/model` an ordinary model's
folder, whose `sorakit.json` names those steps and guidance 1. SIGTERM ends the run with a checkpoint and the
folder as far as it came; the same command goes on from there.

Measured on the one-object model of version 0.1.0, 71 CPU-seconds (103 steps of 12 clips), 256 prompts: .97 of
the student's clips obey in everything with 4 evaluations, .98 of the teacher's with 16 and .55 with 4.
"""

import copy
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from sorakit.diffusion.distill import Plan, mixed_restart, walk
from sorakit.diffusion.guidance import Guidance, guided_velocity
from sorakit.precision import suited
from sorakit.train.loop import Budget
from sorakit.train.student import Student, options, run
from sorakit.train.teacher import Teacher, as_folder, load_teacher
from sorakit.world.dataset import Batch

__all__ = ["Distiller", "distill"]


class Distiller(Student):
    """One run's state and its step; `own`: share of clips on which the student goes its own way."""

    def __init__(self, teacher: Teacher, plan: Plan, own: float = 0.75, device: str = "cpu") -> None:
        recipe = replace(teacher.recipe, steps=plan.evaluations, shift=plan.shift)
        super().__init__(teacher, teacher.networks, recipe, asdict(plan), device)
        self.way, self.own = plan, own
        self.guide = copy.deepcopy(teacher.networks).to(self.kind)

    def gradients(self, batch: Batch, lr: float) -> float:
        """Those of a walk over all levels; the mean loss of a level."""
        clean = self.teacher.codec.encode(batch.clips)  # (B, C, T, H, W)
        noise = torch.randn(clean.shape, generator=self.generator).to(self.device)
        own = torch.rand(len(clean), generator=self.generator).to(self.device) < self.own  # (B,)
        tokens = torch.from_numpy(batch.tokens).to(self.device)  # (B, L)
        held = self.held(batch, clean)
        with torch.no_grad():
            empty = self.guide.text(torch.zeros_like(tokens))
            prompt = self.guide.text(tokens)
        leads = guided_velocity(self.guide.dit, prompt, empty, self.teacher.guidance, held)

        def follows(z: Tensor, sigma: float) -> Tensor:
            text = self.work.text(tokens)  # again at each level: its graph is gone after `backward`
            return guided_velocity(self.work.dit, text, text, Guidance(1.0), held)(z, sigma)

        total, count = 0.0, self.way.evaluations
        for loss in walk(follows, leads, noise, self.way, mixed_restart(own, clean, noise)):
            (loss / count).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total / count


def distill(
    teacher: Teacher, plan: Plan, out: Path, budget: Budget, *,
    own: float = 0.75, device: str = "cpu", save_every: float = 300,
) -> Distiller:  # fmt: skip
    """Train a student in folder `out` as `sorakit.train.student.run` does."""
    teacher = replace(teacher, recipe=suited(teacher.recipe, device))
    student = Distiller(teacher, plan, own, device)
    run(student, out, budget, save_every=save_every)
    return student


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when the budget is used or the run was stopped in good order."""
    parser = options(
        "python -m sorakit.train.distill", str(__doc__), lr=1e-3, teacher="folder of a model or training run"
    )
    parser.add_argument("--evaluations", type=int, default=4, help="steps of the student")
    parser.add_argument(
        "--substeps", type=int, help="teacher's steps in each (default: 8 in all, at least 2)"
    )
    parser.add_argument("--own", type=float, default=0.75, help="share of clips on the student's own path")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    budget = Budget(args.hours, args.steps)
    substeps = max(2, 8 // max(1, args.evaluations)) if args.substeps is None else args.substeps
    teacher = load_teacher(as_folder(args.teacher, args.out / "teacher"), args.shapes, args.device)
    shift = teacher.recipe.shift if args.shift is None else args.shift
    plan = Plan(args.evaluations, substeps, shift)
    teacher = replace(teacher, recipe=replace(teacher.recipe, batch=args.batch, lr=args.lr))
    distill(teacher, plan, args.out, budget, own=args.own, device=args.device)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
