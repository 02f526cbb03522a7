"""Parts of the autoencoder: convolutions of channels-last pictures, exact changes of scale, a running norm.

Pictures are `(N, H, W, C)` throughout, so that a change of scale is a copy of whole runs of memory and a
1 × 1 convolution is a plain linear layer.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Conv", "ResBlock", "RunningNorm", "fold", "unfold"]


def fold(x: Tensor, size: int) -> Tensor:
    """`(N, H, W, C)` → `(N, H/size, W/size, size²·C)`: each window of pixels becomes one vector."""
    N, H, W, C = x.shape
    x = x.reshape(N, H // size, size, W // size, size * C).transpose(2, 3)  # (N, h, w, size, size·C)
    return x.reshape(N, H // size, W // size, size * size * C)


def unfold(x: Tensor, size: int) -> Tensor:
    """The inverse of `fold`: `(N, h, w, size²·C)` → `(N, size·h, size·w, C)`."""
    N, h, w, _ = x.shape
    x = x.reshape(N, h, w, size, -1).transpose(2, 3)  # (N, h, size, w, size·C)
    return x.reshape(N, h * size, w * size, -1)


class Conv(nn.Module):
    """A 3 × 3 convolution of pictures `(N, H, W, C)`.

    Its kernel is one matrix `(out, 9·in)`, which Muon can take, and which is channels-last as it stands.
    """

    def __init__(self, inputs: int, outputs: int, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, 9 * inputs) * (gain * (9 * inputs) ** -0.5))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """`(N, H, W, in)` → `(N, H, W, out)`."""
        kernel = self.weight.view(len(self.bias), 3, 3, -1).permute(0, 3, 1, 2)  # (out, in, 3, 3)
        y = F.conv2d(x.permute(0, 3, 1, 2), kernel, self.bias, padding=1)  # (N, out, H, W)
        return y.permute(0, 2, 3, 1)  # (N, H, W, out)


class ResBlock(nn.Module):
    """Two convolutions beside the identity, which it is at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = Conv(width, width), Conv(width, width, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """`(N, H, W, C)` → the same shape."""
        out: Tensor = x + self.second(F.silu(self.first(F.silu(x))))  # (N, H, W, C)
        return out


class RunningNorm(nn.Module):
    """Brings every channel to mean 0 and deviation 1 by running statistics, without a learned scale.

    The value is the same in training and use; the gradient in training is that of batch statistics, so the
    encoder gains nothing by growing (batch renormalisation, Ioffe 2017, arXiv:1702.03275).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, momentum: float = 0.01) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """`(…, C)` → the same shape."""
        if not self.training:
            return (x - self.mean) / self.std
        x = x.float()
        flat = x.reshape(-1, x.shape[-1])
        std, mean = torch.std_mean(flat, 0, correction=0)  # (C,)
        std = std.clamp_min(1e-4)
        with torch.no_grad():
            scale, shift = std / self.std, (mean - self.mean) / self.std
            self.mean.lerp_(mean, self.momentum)
            self.std.lerp_(std, self.momentum)
        return (x - mean) / std * scale + shift
