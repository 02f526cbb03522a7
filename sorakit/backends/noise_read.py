"""The mark in the noise of a clip that a pipeline of diffusers made, read with that pipeline run backwards.

In: a file, the model that made it and the keys. Out: `FileMark`. The clip goes through the pipeline's own
autoencoder, then its own loop leads back under an inverting scheduler (`backwards`), without guidance: so no
family's network is called from here. Payload and bound are those of `sorakit.watermark.latent`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

from sorakit.backends.backwards import backwards, why_no_way_back
from sorakit.backends.diffusers import ForeignModel
from sorakit.backends.encoding import FAMILIES, clean_latents, pack, unpack
from sorakit.backends.families import Asked, arguments, needs_image
from sorakit.backends.noise_mark import Floats, replaced, to_cells
from sorakit.backends.pictures import load_picture
from sorakit.config import Settings
from sorakit.errors import InputError, UsageError
from sorakit.latent_mark import FileMark, read_keys
from sorakit.shrink import read_small
from sorakit.types import Progress, Rgb
from sorakit.video.guard import prescan, run_guarded
from sorakit.watermark.keyring import MarkKey

__all__ = ["noise_of_latents", "read_foreign_mark", "why_not_read"]

_MOST_VALUES = 256 << 20
"""Bytes of frames of a clip that is read: 81 of 720p are 224 MB."""


def why_not_read(pipe: Any) -> str | None:
    """Why a mark in this pipeline's noise cannot be read back here, in words; None where it can."""
    name = type(pipe).__name__
    if name not in FAMILIES:
        return f"the way from a clip to the latents of {name} is not known here"
    return why_no_way_back(pipe.scheduler)


def read_foreign_mark(
    path: Path,
    model: ForeignModel,
    keys: Sequence[MarkKey],
    *,
    prompt: str = "",
    seed: int | None = None,
    steps: int | None = None,
    size: tuple[int, int] | None = None,
    progress: Progress | None = None,
) -> FileMark:
    """Read the mark of a published file with the model that made it, under each of `keys`.

    `prompt`: as it was given; without it less is found. With `seed` too the payload is known, which needs a
    third of the evidence. `steps`: as it was made; three evaluations each. `size`: (height, width) that it
    was made in, else the file's own. What started from a picture is read from its first frame. Raises
    `UsageError` for what cannot be read, the guarded reader's `InputError`s and `ModelError`.

    >>> read_foreign_mark(Path("a.mp4"), load_foreign("wan"), keys, prompt="a cat")  # doctest: +SKIP
    """
    if reason := why_not_read(model.pipe):
        raise UsageError(f"the mark in the noise cannot be read: {reason}")
    frames = _frames(path, size)
    given = _given(model.pipe, frames, prompt, steps)
    latents = clean_latents(model.pipe, frames)
    cells = noise_of_latents(model, latents, given, progress)
    return read_keys(cells, keys, prompt=prompt, seed=seed)


def noise_of_latents(
    model: ForeignModel, latents: Any, given: dict[str, Any], progress: Progress | None = None
) -> Floats:
    """The noise `(T, H, W, C)` that leads to `latents`, which are in the order of the pipeline's noise.

    `given`: keyword arguments of the pipeline's call. Raises `UsageError` where there is no way back.
    """
    pipe = model.pipe
    packed = pack(pipe, latents)

    def prepare(original: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)  # with a picture also what goes beside the noise
        first, rest = (made[0], made[1:]) if isinstance(made, tuple) else (made, None)
        if first.shape != packed.shape:
            raise UsageError(
                f"the clip has latents of {tuple(packed.shape)}, {type(pipe).__name__} starts from "
                f"{tuple(first.shape)}; give the clip as it was made"
            )
        start = packed.to(first.device, first.dtype)
        return start if rest is None else (start, *rest)

    with _scheduler(pipe, backwards(pipe.scheduler)), replaced(pipe, prepare):
        noise = model.run(given | {"output_type": "latent"}, 0, progress)
    return to_cells(type(pipe).__name__, unpack(pipe, noise, latents))


@contextmanager
def _scheduler(pipe: Any, other: Any) -> Iterator[None]:
    was = pipe.scheduler
    pipe.scheduler = other
    try:
        yield
    finally:
        pipe.scheduler = was


def _given(pipe: Any, frames: Rgb, prompt: str, steps: int | None) -> dict[str, Any]:
    """The call that would make such a clip: without guidance, unless it is an input of the network."""
    words = signature(type(pipe).__call__).parameters
    t, h, w = frames.shape[:3]
    asked = Asked(
        (prompt or " ") if "prompt" in words else "",
        image=load_picture(frames[0]) if needs_image(type(pipe)) else None,
        frames=t,
        height=h,
        width=w,
        steps=steps,
        guidance=None if "true_cfg_scale" in words else 1.0,
    )
    given = arguments(pipe, asked)
    return given | ({"prompt": prompt} if "prompt" in given else {})


def _frames(path: Path, size: tuple[int, int] | None) -> Rgb:
    """All frames `uint8 (T, H, W, 3)` of a file, read in guarded children."""
    if size is None:
        limits = Settings().limits
        prescan(path, limits)
        bounds = {"max_pixels": limits.max_pixels, "max_duration": limits.max_duration}
        info = run_guarded(
            "sorakit.video.probe:probe_task",
            {"path": str(path.absolute())} | bounds,
            timeout=limits.probe_seconds,
            memory_bytes=limits.memory_bytes,
        )
        shape = info["geometry"]
        size = (shape["height"], shape["width"])
        size = size[::-1] if shape["rotation"] % 180 else size
    frames = read_small(path, size, exact=True, fps=240, max_values=_MOST_VALUES).frames
    if len(frames) < 2:
        raise InputError(f"{path.name} is a picture, not a clip; give the video that the model made")
    return frames
