"""The mark in the starting noise of any pipeline of diffusers: only the signs of what it draws are changed.

In: a pipeline, a payload and a key. Out: the pipeline, for one call, with `prepare_latents` watched: of what
it draws from its generator, the noise is the last of the largest, and keeps its sizes and takes the signs of
`sorakit.watermark.latent` (Gaussian Shading, arXiv:2404.04956). Changing the draw itself, before it is
scaled, packed or mixed with a picture, needs no knowledge of the family, but for which axis is time.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError
from sorakit.watermark.latent import sign_noise

__all__ = ["from_cells", "marked", "replaced", "to_cells"]

# Where a clip's noise (1, ., ., ., .) holds (T, H, W, C), by the beginning of the class's name.
_USUAL = (2, 3, 4, 1)
_ORDERS = {
    "CogVideoX": (1, 3, 4, 2),
    "ConsisID": (1, 3, 4, 2),
    "Kandinsky5": (1, 2, 3, 4),
    "StableVideoDiffusion": (1, 3, 4, 2),
}
_MARK_RNG = 0x6C6D
Floats = npt.NDArray[np.float32]


def to_cells(kind: str, noise: Any) -> Floats:
    """A pipeline's noise `(1, …)`, in the order it draws it, as `(T, H, W, C)`; `kind`: its class's name."""
    found: Floats = noise.detach().float().cpu().permute(0, *_order(kind))[0].numpy()
    return found


def from_cells(kind: str, cells: Floats) -> Any:
    """The inverse of `to_cells`: a float32 tensor on the CPU."""
    import torch  # noqa: PLC0415 - heavy

    back = np.argsort((0, *_order(kind)))
    return torch.from_numpy(np.ascontiguousarray(cells[None].transpose(*back)))


@contextmanager
def marked(pipe: Any, payload: int, key: bytes, seed: int) -> Iterator[None]:
    """Within: the noise of the next call of `pipe` carries `payload` under `key`; equal seeds, equal noise.

    Raises `UsageError` where the pipeline does not start from one clip of plain normal noise.

    >>> with marked(pipe, 7, b"k" * 32, seed=1):  # doctest: +SKIP
    ...     pipe("a red cat", generator=generator)
    """
    kind = type(pipe).__name__
    calls = 0

    def prepare(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise UsageError(f"{kind} starts from noise more than once a clip, which cannot be marked here")
        which, state = _which_draw(kind, original, args, kwargs)
        _restore(state)
        with _drawing(lambda i, drawn: _signed(kind, drawn, payload, key, seed) if i == which else drawn):
            return original(*args, **kwargs)

    with replaced(pipe, prepare):
        yield
    if not calls:
        raise UsageError(f"{kind} drew no noise through `prepare_latents`; leave the latent mark out")


@contextmanager
def replaced(pipe: Any, prepare: Callable[..., Any]) -> Iterator[None]:
    """Within: `prepare(original, *args, **kwargs)` is what this one pipeline calls as `prepare_latents`."""
    original = getattr(pipe, "prepare_latents", None)
    if original is None:
        raise UsageError(f"{type(pipe).__name__} has no `prepare_latents`; leave the latent mark out")
    pipe.prepare_latents = lambda *args, **kwargs: prepare(original, *args, **kwargs)
    try:
        yield
    finally:
        del pipe.prepare_latents


def _order(kind: str) -> tuple[int, int, int, int]:
    return next((order for prefix, order in _ORDERS.items() if kind.startswith(prefix)), _USUAL)


def _signed(kind: str, drawn: Any, payload: int, key: bytes, seed: int) -> Any:
    """`drawn` with the signs of the mark: its sizes are the seed's, so the mark costs no randomness."""
    t, h, w, c = to_cells(kind, drawn).shape
    cells = sign_noise((t, h, w, c), payload, key, np.random.default_rng([seed, _MARK_RNG]))
    signs = from_cells(kind, np.where(cells < 0, -1, 1).astype(np.float32))
    return drawn.abs() * signs.to(drawn.device, drawn.dtype)


def _which_draw(
    kind: str, original: Callable[..., Any], args: Any, kwargs: Any
) -> tuple[int, list[tuple[Any, Any]]]:
    """Which of its draws is the noise, found by a first run, and the generators as they were before it."""
    shapes: list[tuple[int, ...]] = []
    state = [(g, g.get_state()) for g in _generators([*args, *kwargs.values()])]

    def note(_: int, drawn: Any) -> Any:
        shapes.append(tuple(drawn.shape))
        return drawn

    with _drawing(note):
        made = original(*args, **kwargs)
    first = made[0] if isinstance(made, tuple | list) else made
    sizes = [int(np.prod(shape)) for shape in shapes]
    if not sizes or max(sizes) != first.numel():
        raise UsageError(f"{kind} does not start from plain normal noise; leave the latent mark out")
    which = max(i for i, size in enumerate(sizes) if size == max(sizes))
    if len(shapes[which]) != 5 or shapes[which][0] != 1:
        raise UsageError(f"the noise of {kind} must be one clip with five axes, got {shapes[which]}")
    return which, state


def _generators(values: list[Any]) -> list[Any]:
    import torch  # noqa: PLC0415 - heavy

    return [v for v in values if isinstance(v, torch.Generator)]


def _restore(state: list[tuple[Any, Any]]) -> None:
    for generator, was in state:
        generator.set_state(was)


@contextmanager
def _drawing(change: Callable[[int, Any], Any]) -> Iterator[None]:
    """Within, in this thread: `change(i, drawn)` takes the place of what the i-th `torch.randn` gives."""
    import torch  # noqa: PLC0415 - heavy
    from torch.overrides import TorchFunctionMode  # noqa: PLC0415

    class Watch(TorchFunctionMode):  # type: ignore[misc, unused-ignore]
        count = 0

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            if func is not torch.randn:
                return made
            self.count += 1
            return change(self.count - 1, made)

    with Watch():
        yield
