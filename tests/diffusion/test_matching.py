"""What matching asks of a network is what the samplers ask, and its direction leads to the teacher."""

import pytest
import torch

from sorakit.diffusion.guidance import Guidance, Held, guided_velocity
from sorakit.diffusion.matching import clean_clip, critic_loss, direction, guided_clip
from sorakit.model.dit import VideoDiT

SHAPE = (2, 3, 4, 16, 16)


@pytest.fixture(params=["x", "v"])
def model(request: pytest.FixtureRequest) -> VideoDiT:
    torch.manual_seed(0)
    dit = VideoDiT(
        channels=3, patch=(2, 8, 8), width=32, depth=1, heads=2, text_width=16, given_frames=True,
        prediction=request.param,
    )  # fmt: skip
    with torch.no_grad():
        for p in dit.parameters():
            p.add_(0.05 * torch.randn(p.shape))
    return dit.requires_grad_(False)


def text(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 5, 16, generator=generator), torch.randn(2, 16, generator=generator)


def noise(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("level", [0.9, 0.2])
def test_it_sees_the_clip_that_a_sampler_would_step_to(model: VideoDiT, level: float) -> None:
    z, how, sigma = noise(1), Guidance(2.5, 0.3), torch.full((2,), level)
    plain = guided_velocity(model, text(1), text(1), Guidance(1.0))(z, level)
    torch.testing.assert_close(clean_clip(model, z, sigma, text(1)), z - level * plain, atol=1e-5, rtol=0)
    led = guided_velocity(model, text(1), text(2), how)(z, level)
    seen = guided_clip(model, z, sigma, (text(1), text(2)), how)
    torch.testing.assert_close(seen, z - level * led, atol=1e-5, rtol=0)


def test_levels_may_differ_from_clip_to_clip(model: VideoDiT) -> None:
    z, how = noise(1), Guidance(2.5, 0.3)
    both = guided_clip(model, z, torch.tensor([0.9, 0.2]), (text(1), text(2)), how)
    for i, level in enumerate((0.9, 0.2)):
        alone = guided_clip(model, z, torch.full((2,), level), (text(1), text(2)), how)
        torch.testing.assert_close(both[i], alone[i], atol=1e-5, rtol=0)


def test_given_frames_stay(model: VideoDiT) -> None:
    held = Held(noise(3), torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 1.0]]))
    seen = clean_clip(model, noise(1), torch.full((2,), 0.7), text(1), held)
    assert torch.equal(seen[0, :, 0], held.clean[0, :, 0])
    assert torch.equal(seen[1, :, 3], held.clean[1, :, 3])
    assert not torch.equal(seen[0, :, 1], held.clean[0, :, 1])


def test_a_step_against_the_direction_comes_nearer_to_what_is_likely() -> None:
    made, likely = noise(1), noise(2)
    away = direction(made, likely, made)
    assert (made - 0.1 * away - likely).abs().mean() < (made - likely).abs().mean()
    assert torch.equal(direction(made, likely, likely), torch.zeros(SHAPE))
    loud = direction(10 * made, 10 * likely, 10 * made)
    torch.testing.assert_close(loud, away)  # each clip counts alike


def test_the_critics_loss_is_least_for_a_critic_that_knows(model: VideoDiT) -> None:
    sigma = torch.tensor([0.8, 0.4])
    made = clean_clip(model, noise(1), sigma, text(1))
    far = critic_loss(model, made, noise(2), sigma, text(1))
    assert far > 0
    held = Held(made, torch.ones(2, 4))
    assert critic_loss(model, made, noise(2), sigma, text(1), held=held) == 0
