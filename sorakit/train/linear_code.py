"""The autoencoder's linear path: a PCA that the convolutions then correct, and its scale at the end."""

import torch
from torch import Tensor

from sorakit.model.vae import VideoVAE

__all__ = ["principal", "set_linear", "set_scale"]


def principal(patches: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean `(768,)`, variances `(count,)` and directions `(768, count)` of `patches` `(M, 768)`, float64.

    >>> mean, variance, directions = principal(torch.randn(100, 4) * torch.tensor([1, 1, 1, 9]), 1)
    >>> int(directions[:, 0].abs().argmax())
    3
    """
    patches = patches.double()
    variances, directions = torch.linalg.eigh(torch.cov(patches.T))
    return patches.mean(0), variances[-count:].clamp_min(1e-8), directions[:, -count:]


@torch.no_grad()
def set_linear(vae: VideoVAE, patches: Tensor, seed: int = 0) -> None:
    """Set the skips of `vae` to the PCA of `patches` `(M, 768)`, the best linear code of that size.

    A component of variance λ gets the gain λ^-1/4, and a rotation spreads all of them over the channels: of
    all codes with equal power in every channel, this loses the least to equal noise on every channel.
    """
    C = vae.channels
    mean, variances, directions = principal(patches.cpu(), C)  # not every GPU knows float64
    noise = torch.randn(C, C, generator=torch.Generator().manual_seed(seed)).double()
    turn, _ = torch.linalg.qr(noise)  # (C, C), a rotation
    code = turn * variances**-0.25 @ directions.T  # (C, 768)
    back = directions * variances**0.25 @ turn.T  # (768, C)
    std = (turn**2 @ variances**0.5).sqrt()  # (C,), of the code
    vae.encoder.skip.weight.copy_(code)
    vae.encoder.skip.bias.copy_(-code @ mean)
    vae.decoder.skip.weight.copy_(back * std)
    vae.decoder.skip.bias.copy_(mean)
    vae.norm.mean.zero_()
    vae.norm.std.copy_(std)


@torch.no_grad()
def set_scale(vae: VideoVAE, codes: Tensor) -> None:
    """Give latents mean 0 and deviation 1 where `vae.encoder` gives `codes` `(M, C)`.

    The decoder's first layers undo the change, so a clip comes back as before, up to rounding.
    """
    std, mean = torch.std_mean(codes.double(), 0, correction=0)  # (C,)
    gain = std / vae.norm.std.double()  # (C,)
    shift = (mean - vae.norm.mean.double()) / vae.norm.std.double()  # (C,)
    for layer in (vae.decoder.skip, vae.decoder.enter):
        weight = layer.weight.double()
        layer.bias.add_((weight @ shift).to(layer.bias.dtype))
        layer.weight.copy_(weight * gain)
    vae.norm.mean.copy_(mean)
    vae.norm.std.copy_(std)
