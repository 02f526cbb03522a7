from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from sorakit.diffusion.distill import Plan, aim, mixed_restart, salience, walk
from sorakit.diffusion.solver import euler, sigmas
from sorakit.errors import UsageError


def curved(z: Tensor, sigma: float) -> Tensor:
    """The exact flow when the data are N(0, 4): its paths bend."""
    a, s = 1 - sigma, sigma
    return z * (s - 4 * a) / (4 * a * a + s * s)


def noise(count: int = 4) -> Tensor:
    return torch.randn(count, 3, 2, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("evaluations", "substeps"), [(1, 8), (4, 2), (3, 5)])
def test_the_teacher_keeps_its_own_levels(evaluations: int, substeps: int) -> None:
    plan = Plan(evaluations, substeps, 4.0)
    assert [part[0] for part in plan.fine] == sigmas(evaluations, 4.0)[:-1]
    assert [part[-1] for part in plan.fine] == pytest.approx(sigmas(evaluations, 4.0)[1:])
    joined = [plan.fine[0][0]] + [s for part in plan.fine for s in part[1:]]
    assert joined == sigmas(evaluations * substeps, 4.0)


@pytest.mark.parametrize(
    "wrong",
    [{"evaluations": 0}, {"evaluations": 65}, {"substeps": 1}, {"substeps": 100}, {"shift": 0.0}],
)
def test_a_plan_that_teaches_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Plan(**{"evaluations": 4, "substeps": 2} | wrong)


def test_one_step_at_the_aim_lands_where_the_teacher_does() -> None:
    z = noise()
    for levels in Plan(4, 4, 3.0).fine:
        a, b = levels[0], levels[-1]
        end = euler(curved, z, levels)
        x = aim(z, end, a, b)
        torch.testing.assert_close(z + (b - a) * (z - x) / a, end)
        if b == 0:
            torch.testing.assert_close(x, end)


def test_a_perfect_student_has_no_loss_and_walks_the_teachers_path() -> None:
    plan = Plan(4, 3, 2.0)
    seen = []

    def perfect(z: Tensor, sigma: float) -> Tensor:
        seen.append(z)
        levels = next(part for part in plan.fine if part[0] == sigma)
        return (z - euler(curved, z, levels)) / (sigma - levels[-1])

    losses = list(walk(perfect, curved, noise(), plan))
    assert max(map(float, losses)) < 1e-8
    for z, again, levels in zip(seen, seen[1:], plan.fine, strict=False):
        torch.testing.assert_close(again, euler(curved, z, levels), rtol=1e-4, atol=1e-5)


def test_a_copy_of_the_teacher_has_a_loss_where_its_path_bends() -> None:
    assert all(float(loss) > 1e-5 for loss in walk(curved, curved, noise(), Plan(4, 2)))
    straight = list(walk(lambda z, s: z / s, lambda z, s: z / s, noise(), Plan(4, 2)))
    assert max(map(float, straight)) < 1e-10


class Scaled(nn.Module):
    """A student that knows one number a level."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.levels = [part[0] for part in plan.fine]
        self.gain = nn.Parameter(torch.tensor([float(curved(torch.ones(()), s)) for s in self.levels]))

    def forward(self, z: Tensor, sigma: float) -> Tensor:
        return z * self.gain[self.levels.index(sigma)]


@pytest.mark.parametrize("evaluations", [1, 2, 4])
def test_a_student_learns_to_land_where_the_teacher_does(evaluations: int) -> None:
    plan = Plan(evaluations, 8)
    student = Scaled(plan)
    optimiser = torch.optim.Adam(student.parameters(), 0.05)
    z = noise(16)
    end = euler(curved, z, sigmas(8 * evaluations))

    def miss() -> float:
        return float((euler(student, z, sigmas(evaluations)) - end).square().mean())

    before = miss()
    for _ in range(150):
        for loss in walk(student, curved, z, plan):
            loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    assert miss() < 1e-3 * before


def test_gradients_reach_no_earlier_level_and_never_the_teacher() -> None:
    plan, teacher = Plan(3, 2), nn.Parameter(torch.ones(()))
    student = Scaled(plan)
    for i, loss in enumerate(walk(student, lambda z, s: curved(z, s) * teacher, noise(), plan)):
        student.zero_grad()
        loss.backward()
        assert student.gain.grad is not None
        assert student.gain.grad.nonzero().flatten().tolist() == [i]
    assert teacher.grad is None


def test_a_walk_is_partly_on_the_worlds_clips() -> None:
    clean, eps = torch.full((3, 3, 2, 4, 4), 5.0), noise(3)
    own = torch.tensor([True, False, True])
    states = []

    def look(z: Tensor, sigma: float) -> Tensor:
        states.append((z, sigma))
        return curved(z, sigma)

    list(walk(look, curved, eps, Plan(3, 2), mixed_restart(own, clean, eps)))
    for (z, _), (after, sigma) in pairwise(states):
        torch.testing.assert_close(after[1], torch.lerp(clean, eps, sigma)[1])
        assert not torch.equal(after[0], torch.lerp(clean, eps, sigma)[0])
        assert z.shape == after.shape


def test_salience_finds_what_stands_out() -> None:
    clip = torch.full((2, 3, 4, 8, 8), -0.7)
    clip[:, 1, :, 2:4, 3:6] = 1.2
    found = salience(clip)
    assert found.shape == (2, 1, 4, 8, 8)
    assert torch.equal(found > 0, (clip[:, 1:2] > 0))
    assert float(found.max()) == 1.0


def test_what_stands_out_weighs_more() -> None:
    target = torch.zeros(1, 3, 2, 8, 8)
    target[..., :2, :2] = 1.0

    def loss(at: tuple[int, int], object_weight: float) -> float:
        def student(z: Tensor, sigma: float) -> Tensor:
            x = target.clone()
            x[..., at[0], at[1]] += 0.5
            return (z - x) / sigma

        plan = Plan(1, 2, object_weight=object_weight)
        return float(next(walk(student, lambda z, s: (z - target) / s, torch.zeros_like(target), plan)))

    assert loss((0, 0), 4.0) == pytest.approx(5 * loss((7, 7), 4.0), rel=1e-4)
    assert loss((0, 0), 0.0) == pytest.approx(loss((7, 7), 0.0), rel=1e-4)
