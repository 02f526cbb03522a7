"""What the autoencoder trains on and how: one typed recipe."""

from dataclasses import dataclass, field
from typing import Any

from sorakit.train.mixture import Bucket

__all__ = ["AUTOENCODER", "AutoRecipe"]

_BUCKETS = (
    Bucket((16, 32, 32), 16, 0.36),
    Bucket((16, 64, 64), 4, 0.36),
    Bucket((16, 32, 48), 12, 0.05),
    Bucket((16, 48, 32), 12, 0.05),
    Bucket((24, 32, 32), 12, 0.05),
    Bucket((16, 48, 48), 8, 0.05),
    Bucket((1, 64, 64), 16, 0.04),
    Bucket((1, 32, 32), 48, 0.04),
)
"""Each costs about the same; most are the two sizes that video models train on."""


@dataclass(frozen=True, slots=True)
class AutoRecipe:
    """One run.

    `real`: share of real clips in a batch. `lr` is Muon's, on matrices between hidden features; `lr_rest` is
    AdamW's. `decay`: last share of the budget, with a falling rate. `noise`: the largest deviation of the
    noise on the latents. `edge`, `squared`: weights of the gradients' L1 and of the squared error beside the
    L1; `object_weight`: how much more a sprite's pixels count. `fit_batches`: how many the PCA is fitted on.
    """

    model: dict[str, Any] = field(default_factory=dict)
    buckets: tuple[Bucket, ...] = _BUCKETS
    real: float = 0.25
    lr: float = 3e-3
    lr_rest: float = 5e-4
    warmup: int = 20
    decay: float = 0.5
    ema: float = 0.998
    clip: float = 1.0
    noise: float = 0.15
    edge: float = 0.5
    squared: float = 0.5
    object_weight: float = 6.0
    fit_batches: int = 48
    bf16: bool = True
    seed: int = 0

    def rate(self, step: int, used: float) -> float:
        """Share of the learning rates: warm-up over steps, constant, then linear to the end of the budget.

        >>> [AutoRecipe().rate(100, used) for used in (0.5, 0.75, 1.0)]
        [1.0, 0.5, 0.01]
        """
        return min(1.0, (step + 1) / self.warmup) * min(1.0, max(0.01, (1 - used) / self.decay))


AUTOENCODER = AutoRecipe()
"""Makes the weights in the package."""
