"""Few-step distillation: a student learns to land in one step where its teacher lands in several.

In: the velocity fields of both and starting noise. Out: one loss a noise level. As in progressive
distillation (Salimans & Ho 2022, arXiv:2202.00512), with the teacher's guidance part of what is learned (Meng
et al. 2023, arXiv:2210.03142), but for all levels at once and from the states that the student itself comes
to (DAgger, Ross et al. 2011, arXiv:1011.0686): no error of an early step meets a later one unprepared.
Targets are single end points of a deterministic path, not means over many clips, so they stay sharp.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sorakit.diffusion.flow import expand
from sorakit.diffusion.solver import Velocity, euler, sigmas
from sorakit.errors import UsageError

__all__ = ["Plan", "Restart", "aim", "mixed_restart", "salience", "walk"]

Restart = Callable[[Tensor, float], Tensor]
"""(state, σ) → the states to go on from at level σ."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The student's steps (`evaluations`), and the teacher's within each (`substeps`), at levels of `shift`.

    Salience counts `object_weight` times; no level weighs more than `1 / cap**2`.
    """

    evaluations: int
    substeps: int
    shift: float = 1.0
    object_weight: float = 4.0
    cap: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a plan with which nothing can be learned."""
        if not 1 <= self.evaluations <= 64:
            raise UsageError(f"`evaluations` must be 1 to 64, got {self.evaluations}")
        if not 2 <= self.substeps <= 64:
            raise UsageError(f"`substeps` must be 2 to 64, got {self.substeps}: with one, nothing is saved")
        sigmas(1, self.shift)

    @property
    def fine(self) -> list[list[float]]:
        """The teacher's levels within each step of the student; the ends are the student's own.

        >>> Plan(2, 2).fine
        [[1.0, 0.75, 0.5], [0.5, 0.25, 0.0]]
        """
        levels, k = sigmas(self.evaluations * self.substeps, self.shift), self.substeps
        return [levels[i * k : (i + 1) * k + 1] for i in range(self.evaluations)]


def aim(z: Tensor, end: Tensor, a: float, b: float) -> Tensor:
    """The clean clip that Euler's step from `z` at level `a` to level `b` must aim at to land on `end`.

    >>> float(aim(torch.tensor(1.0), torch.tensor(0.5), 1.0, 0.5))
    0.0
    """
    return (end - (b / a) * z) / (1 - b / a)


def salience(clip: Tensor) -> Tensor:
    """How far each place of `clip` `(B, C, T, H, W)` is from its background, 0 to 1: `(B, 1, T, H, W)`.

    The background is the median of the frame. The world's own masks would not do: at high noise the path ends
    in another clip than the one that was noised, with its sprites elsewhere.
    """
    middle = clip.flatten(3).median(-1).values[..., None, None]  # (B, C, T, 1, 1)
    return (clip - middle).abs().amax(1, keepdim=True).clamp(max=1)


def walk(
    student: Velocity, teacher: Velocity, noise: Tensor, plan: Plan, restart: Restart | None = None
) -> Iterator[Tensor]:
    """One loss a level, while the student walks from `noise` `(B, C, T, H, W)` to clips.

    Call `backward` on each loss before asking for the next, and only one level's activations are in memory.
    `restart` may put other states in the place of those that the student came to.

    >>> still = lambda z, sigma: z
    >>> [round(float(loss), 2) for loss in walk(still, still, torch.ones(1, 1, 1, 2, 2), Plan(1, 2))]
    [0.06]
    """
    z = noise
    for levels in plan.fine:
        a, b = levels[0], levels[-1]
        with torch.no_grad():
            target = aim(z, euler(teacher, z, levels), a, b)  # (B, C, T, H, W)
        x = z - a * student(z, a)  # (B, C, T, H, W)
        yield _loss(x, target, a, plan)
        z = torch.lerp(x.detach(), z, b / a)  # Euler's step
        z = z if restart is None or b == 0 else restart(z, b)


def mixed_restart(own: Tensor, clean: Tensor, noise: Tensor) -> Restart:
    """Go on from the student's state where `own` `(B,)`, else from a noised clip of the world.

    The world's clips keep the student right where its own path has not been yet.
    """

    def restart(z: Tensor, sigma: float) -> Tensor:
        return torch.where(expand(own, z), z, torch.lerp(clean, noise, sigma))

    return restart


def _loss(x: Tensor, target: Tensor, sigma: float, plan: Plan) -> Tensor:
    weight = 1 + plan.object_weight * salience(target)  # (B, 1, T, H, W)
    error = (x - target).square() * (weight / weight.mean())  # (B, C, T, H, W)
    return error.mean() / max(sigma, plan.cap) ** 2
