"""Distribution matching: a few-step student learns to make clips that its teacher finds as likely as its own.

In: a teacher, a student and a critic, and what the student made. Out: a direction for the student, a loss
for the critic. After Yin et al. 2024 (DMD2, arXiv:2405.14867): the student's clip is noised; the guided
teacher says what clean clip that is, and so does the critic, a copy of the teacher that follows what the
student makes. Their difference is the gradient of the divergence between both distributions at that noise
level. Nothing ties a clip to one path of the teacher's, so its errors along a path are not learned: what two
sprites that blend should have been, the teacher says at every level anew.
"""

import torch
from torch import Tensor

from sorakit.diffusion.flow import add_noise, expand, to_clean
from sorakit.diffusion.guidance import Guidance, Held, Text
from sorakit.model.dit import VideoDiT

__all__ = ["clean_clip", "critic_loss", "direction", "guided_clip"]

_CAP = 0.3
"""The critic's loss divides by no smaller σ."""


def clean_clip(model: VideoDiT, noisy: Tensor, sigma: Tensor, text: Text, held: Held | None = None) -> Tensor:
    """The clean clip `(B, C, T, H, W)` that `model` sees in `noisy`, given frames in place. `sigma` (B,)."""
    shown = noisy if held is None else held.put(noisy)  # (B, C, T, H, W)
    tokens, pooled = text
    told = None if held is None else held.mask.to(pooled.dtype)  # (B, T)
    out = model(shown.to(pooled.dtype), 1000 * sigma, tokens, pooled, told).float()  # (B, C, T, H, W)
    clean = to_clean(model.prediction, out, shown.float(), sigma)  # (B, C, T, H, W)
    return clean if held is None else held.put(clean)


def guided_clip(
    model: VideoDiT,
    noisy: Tensor,
    sigma: Tensor,
    texts: tuple[Text, Text],
    how: Guidance,
    *,
    held: Held | None = None,
) -> Tensor:
    """The same with guidance; `texts`: of the prompts and of the empty one."""
    with_prompt, without = (clean_clip(model, noisy, sigma, text, held) for text in texts)
    inside = (sigma >= how.low) & (sigma <= how.high)
    scale = torch.where(inside, how.scale, 1.0)  # (B,)
    return torch.lerp(without, with_prompt, expand(scale, noisy))


def direction(made: Tensor, likely: Tensor, current: Tensor) -> Tensor:
    """Where `made` should not go, `(B, C, T, H, W)`: the gradient of what the student has to make smaller.

    `likely`: what the teacher sees in the noised clip, `current`: what the critic does. Each clip's is scaled
    by how far the teacher's is from what was made.

    >>> here = torch.ones(1, 1, 1, 1, 2)
    >>> direction(here, 2 * here, here).flatten().tolist()
    [-1.0, -1.0]
    """
    far = (made - likely).abs().mean(dim=(1, 2, 3, 4), keepdim=True)  # (B, 1, 1, 1, 1)
    return (current - likely) / far.clamp(min=1e-3)


def critic_loss(
    critic: VideoDiT, made: Tensor, noise: Tensor, sigma: Tensor, text: Text, *, held: Held | None = None
) -> Tensor:
    """The flow objective on what the student made, a scalar; `sigma` `(B,)`."""
    seen = clean_clip(critic, add_noise(made, noise, sigma), sigma, text, held)  # (B, C, T, H, W)
    return ((seen - made) / expand(sigma, made).clamp(min=_CAP)).square().mean()
