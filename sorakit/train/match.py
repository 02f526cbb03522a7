"""Makes a few-step student that matches what its teacher's clips are like, not its teacher's path.

    python -m sorakit.train.match --teacher FOLDER --start FOLDER --out runs/NAME --hours 1.5

The teacher is a model's folder; `--start` is the model that the student begins as, best one that
`sorakit.train.distill` made of the same teacher, whose steps and noise levels it keeps. A critic, at first
the teacher, learns beside it, in the beginning alone (see `sorakit.diffusion.matching`). Out: as of
`sorakit.train.distill`. SIGTERM ends the run with a checkpoint and the folder as far as it came; the same
command goes on from there.
"""

import copy
import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from sorakit.diffusion.flow import add_noise, sample_sigma, shifted
from sorakit.diffusion.guidance import Held, Text
from sorakit.diffusion.matching import clean_clip, critic_loss, direction, guided_clip
from sorakit.diffusion.solver import sigmas
from sorakit.errors import ModelError, UsageError
from sorakit.precision import suited
from sorakit.train.loop import Budget
from sorakit.train.optim import collect, optimisers, refresh, step
from sorakit.train.student import Student, options, run
from sorakit.train.teacher import Teacher, load_teacher
from sorakit.world.dataset import Batch
from sorakit.world.scene import Space

__all__ = ["Matcher", "Tempo", "match", "mixed"]

_EDGE = 0.02
"""The teacher is not asked nearer to σ = 0 or 1."""


@dataclass(frozen=True, slots=True)
class Tempo:
    """How the critic keeps up: its rate over the student's, its looks at each clip, its first steps alone."""

    rate: float = 5.0
    looks: int = 2
    alone: int = 150


class Matcher(Student):
    """One run's state and its step. `start`: what the student begins as; it names the number of steps."""

    def __init__(self, teacher: Teacher, start: Teacher, tempo: Tempo = Tempo(), device: str = "cpu") -> None:
        steps, shift = start.info.steps, start.recipe.shift
        recipe = replace(teacher.recipe, steps=steps, shift=shift)
        super().__init__(teacher, start.networks, recipe, {"steps": steps, "shift": shift}, device)
        self.tempo = tempo
        self.levels = sigmas(steps, shift)
        self.guide = copy.deepcopy(teacher.networks).to(self.kind)
        self.critic = copy.deepcopy(teacher.networks).requires_grad_(True)
        self.critic_work = copy.deepcopy(self.critic).to(self.kind) if recipe.bf16 else self.critic
        self.critic_optimisers = optimisers(self.critic, recipe.lr, bf16=recipe.bf16)

    def gradients(self, batch: Batch, lr: float) -> float:
        """Those of one level, drawn anew; the critic takes a step of its own on what the student made.

        The number is the mean square of the direction: 0 where student and teacher agree.
        """
        tokens = torch.from_numpy(batch.tokens).to(self.device)  # (B, L)
        clean = self.teacher.codec.encode(batch.clips)  # (B, C, T, H, W)
        held = self.held(batch, clean)
        if self.critic_work is not self.critic:
            refresh(self.critic_work, self.critic)
        learns = self.step >= self.tempo.alone
        if self.step == self.tempo.alone:
            self.loss = math.nan  # its running mean begins here
        z, sigma = self._come_to_a_level(clean.shape, tokens, held)
        with torch.set_grad_enabled(learns):
            made = clean_clip(self.work.dit, z, sigma, self.work.text(tokens), held)  # (B, C, T, H, W)
        value = self._teach(made, tokens, held) if learns else 0.0
        miss = self._follow(made.detach(), tokens, held, self.tempo.rate * lr)
        if not math.isfinite(miss):
            raise ModelError(f"the critic's loss became {miss} at step {self.step}; lower `--lr`")
        return value

    @torch.no_grad()
    def _come_to_a_level(self, shape: torch.Size, tokens: Tensor, held: Held | None) -> tuple[Tensor, Tensor]:
        """The student's own state at one of its levels, and the level `(B,)`.

        It came there along Euler's steps, or, every other time, with new noise at each.
        """
        count = int(torch.randint(len(self.levels) - 1, (1,), generator=self.generator))
        kept = bool(torch.rand((), generator=self.generator) < 0.5)
        text = self.work.text(tokens)
        z = self._noise(shape)
        for a, b in zip(self.levels[:count], self.levels[1:], strict=False):
            x = clean_clip(self.work.dit, z, torch.full((len(z),), a, device=self.device), text, held)
            z = torch.lerp(x, z, b / a) if kept else torch.lerp(x, self._noise(shape), b)
        return z, torch.full((len(z),), self.levels[count], device=self.device)

    def _teach(self, made: Tensor, tokens: Tensor, held: Held | None) -> float:
        """Leave in `work` the gradient of matching the teacher; the direction's mean square."""
        with torch.no_grad():
            sigma = self._shifted(torch.rand(len(made), generator=self.generator) * (1 - 2 * _EDGE) + _EDGE)
            noisy = add_noise(made.detach(), self._noise(made.shape), sigma)  # (B, C, T, H, W)
            texts = self.guide.text(tokens), self.guide.text(torch.zeros_like(tokens))
            likely = guided_clip(self.guide.dit, noisy, sigma, texts, self.teacher.guidance, held=held)
            current = clean_clip(self.critic_work.dit, noisy, sigma, self.critic_work.text(tokens), held)
            away = direction(made, likely, current)  # (B, C, T, H, W)
            if held is not None:
                away = away * (1 - held.mask[:, None, :, None, None])
        ((made * away).sum() / made.numel()).backward()  # type: ignore[no-untyped-call]
        return float(away.square().mean())

    def _follow(self, made: Tensor, tokens: Tensor, held: Held | None, lr: float) -> float:
        """The critic's step on what the student made; its loss."""
        looks = self.tempo.looks
        made = made.repeat(looks, 1, 1, 1, 1)
        held = None if held is None else Held(made, held.mask.repeat(looks, 1))
        sigma = self._shifted(sample_sigma(len(made), 0.0, 1.0, self.generator))
        pair = self.critic_work.text(tokens)
        text: Text = (pair[0].repeat(looks, 1, 1), pair[1].repeat(looks, 1))
        loss = critic_loss(self.critic_work.dit, made, self._noise(made.shape), sigma, text, held=held)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.critic_work is not self.critic:
            collect(self.critic, self.critic_work)
        step(self.critic, self.critic_optimisers, [lr] * len(self.critic_optimisers), self.recipe.clip)
        return float(loss.detach())

    def _noise(self, shape: torch.Size) -> Tensor:
        return torch.randn(shape, generator=self.generator).to(self.device)

    def _shifted(self, sigma: Tensor) -> Tensor:
        return shifted(sigma, self.recipe.shift).to(self.device)

    def _modules(self) -> dict[str, nn.Module]:
        return super()._modules() | {"critic": self.critic}

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        return self.optimisers + self.critic_optimisers


def match(
    teacher: Teacher, start: Teacher, out: Path, budget: Budget, *,
    tempo: Tempo = Tempo(), device: str = "cpu", save_every: float = 300,
) -> Matcher:  # fmt: skip
    """Train a student in folder `out` as `sorakit.train.student.run` does.

    Raises `ModelError` when `start` is of another form than the teacher.
    """
    forms = [[(k, p.shape) for k, p in m.networks.named_parameters()] for m in (teacher, start)]
    if forms[0] != forms[1]:
        raise ModelError(
            f"{start.folder} is of another form than {teacher.folder}; a student begins as its teacher, or as"
            " what `sorakit.train.distill` made of it"
        )
    teacher = replace(teacher, recipe=suited(teacher.recipe, device))
    student = Matcher(teacher, start, tempo, device)
    run(student, out, budget, save_every=save_every)
    return student


def mixed(space: Space, **shares: float | None) -> Space:
    """`space` with other shares of what it has; what the student gets wrong most can come more often.

    Raises `UsageError` for what it has not.

    >>> mixed(Space(two=0.5, cut=0.2), two=0.8, cut=None).two
    0.8
    """
    given = {name: share for name, share in shares.items() if share is not None}
    if missing := [name for name in given if getattr(space, name) == 0]:
        raise UsageError(f"the teacher shows no such clips: leave out `--{missing[0]}`")
    return replace(space, **given)  # type: ignore[arg-type]  # they are floats all


def main(argv: list[str] | None = None) -> int:
    """Run the command; 0 when the budget is used or the run was stopped in good order."""
    parser = options("python -m sorakit.train.match", str(__doc__), lr=2e-4, teacher="folder of a model")
    parser.add_argument("--start", type=Path, required=True, help="folder of the model to begin as")
    parser.add_argument("--decay", type=float, default=0.4, help="last share of the budget, of falling rate")
    parser.add_argument("--two", type=float, help="share of shots with two sprites (default: as prompts are)")
    parser.add_argument("--cut", type=float, help="share of clips with a cut (default: as prompts are)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    budget = Budget(args.hours, args.steps)
    teacher, start = (load_teacher(f, args.shapes, args.device) for f in (args.teacher, args.start))
    recipe = replace(
        teacher.recipe, batch=args.batch, lr=args.lr, decay=args.decay, seed=args.seed, ema=0.997,
        space=mixed(teacher.recipe.space, two=args.two, cut=args.cut),
    )  # fmt: skip
    if args.shift is not None:
        start = replace(start, recipe=replace(start.recipe, shift=args.shift))
    match(replace(teacher, recipe=recipe), start, args.out, budget, device=args.device)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
