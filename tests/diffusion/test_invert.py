"""The ODE backwards undoes the solver where the field is smooth."""

import pytest
import torch

from sorakit.diffusion.invert import invert
from sorakit.diffusion.solver import euler, sigmas
from sorakit.errors import UsageError


@pytest.mark.parametrize(("refine", "most"), [(0, 0.2), (2, 0.02), (12, 1e-4)])
def test_more_iterations_come_nearer_to_the_noise(refine: int, most: float) -> None:
    def field(z: torch.Tensor, sigma: float) -> torch.Tensor:
        return torch.sin(z) * 0.5 + sigma

    noise = torch.randn(1, 2, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    levels = [0.1 + 0.9 * s for s in sigmas(8)]
    found = invert(field, euler(field, noise, levels), levels, refine=refine)
    assert float((found - noise).abs().max()) < most


def test_iterations_are_bounded() -> None:
    with pytest.raises(UsageError, match="refine"):
        invert(lambda z, sigma: z, torch.ones(1), [1.0, 0.0], refine=99)
