"""What attention did while a clip was made: a pipeline and a prompt in, frames and weights out.

For the length of one call each self-attention gets an `attend` that also notes its weights. The model itself
is not changed, and is as fast as before when the call has ended.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError
from sorakit.generate import seeded
from sorakit.types import Rgb

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sorakit.pipeline import SoraPipeline

__all__ = ["attention_weights"]


def attention_weights(
    pipe: "SoraPipeline", prompt: str, *, seed: int = 0, look: int = -1, **options: Any
) -> tuple[Rgb, npt.NDArray[np.float32]]:
    """The clip `uint8 (T, H, W, 3)` for `prompt`, and who looked where `(layers, heads, t, h, w, S + t·h·w)`.

    For each patch at time t, row h and column w: how much of its attention went to each of S text vectors,
    then to each patch in (t, h, w) order; it adds up to 1. `look`: in which of the network's passes, 0 the
    first (all noise), −1 the last. `options` go to the pipeline, such as `num_frames`, `width`,
    `num_inference_steps`. Raises `UsageError` when there is no such pass, and the pipeline's errors.
    """
    noted: list[npt.NDArray[np.float32]] = []
    with _noting([block.attention for block in pipe.transformer.blocks], noted):
        out: Any = pipe(prompt, generator=seeded(seed), **options)
    depth, frames = pipe.transformer.depth, out.frames[0]
    passes = [noted[i : i + depth] for i in range(0, len(noted), depth)]
    if not -len(passes) <= look < len(passes):
        raise UsageError(f"`look` must be {-len(passes)} to {len(passes) - 1}, got {look}")
    grid = [s // p for s, p in zip(pipe.canvas.inside(frames.shape[:3]), pipe.transformer.patch, strict=True)]
    weights = np.stack(passes[look])  # (L, heads, S + N, S + N)
    n = int(np.prod(grid))
    return frames, weights[:, :, -n:].reshape(*weights.shape[:2], *grid, -1)


@contextmanager
def _noting(layers: "list[nn.Module]", into: list[npt.NDArray[np.float32]]) -> Iterator[None]:
    """While open, `layers` add the weights `(heads, N, N)` of their first clip to `into`, in turn."""

    def before(_layer: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x, turns, bias, attend = args

        def noting(q: "Tensor", k: "Tensor", v: "Tensor", bias: "Tensor | None" = None) -> "Tensor":
            logits = (q[0] * q.shape[-1] ** -0.5) @ k[0].transpose(-1, -2)  # (heads, N, N)
            if bias is not None:
                logits = logits + bias[0]
            into.append(logits.float().softmax(-1).cpu().numpy())
            done: Tensor = attend(q, k, v, bias)
            return done

        return x, turns, bias, noting

    hooks = [layer.register_forward_pre_hook(before) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
