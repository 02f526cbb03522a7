"""Longer clips, both ways in time, and frames between frames, by one sliding window.

In: a clip and a prompt, or several that take turns. Out: a longer `Clip`, or its new frames in chunks, of
which only the last few are held. Each window is a clip of the model's own length in which some frames are
given (Sora's report, "extending generated videos"; the reconstruction of Ho et al. 2022, arXiv:2204.03458,
done by a model that was trained for it): the last ones to go forward, the first ones to go backward, every
other one to go between. Nothing here writes a file; long clips leave through `sorakit.publish` as all do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sorakit.errors import UsageError
from sorakit.generate import DEFAULT_MODEL, load_info, load_pipeline, seeded
from sorakit.model_info import ModelInfo
from sorakit.types import Clip, Generation, Progress, Rgb
from sorakit.world.caption import EXAMPLE, parse

if TYPE_CHECKING:
    from sorakit.pipeline import SoraPipeline

__all__ = ["MOST_SECONDS", "Sampler", "extend", "extend_chunks", "interpolate", "open_sampler", "roll"]

Direction = Literal["forward", "backward"]

MOST_SECONDS = 600
"""Longest clip that `extend` makes; 60 s is what was measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Sampler:
    """A pipeline that can be given frames, and how its windows of `window` frames are sampled."""

    pipe: "SoraPipeline"
    info: ModelInfo | None = None
    steps: int = 16
    guidance: float = 3.0
    guidance_low: float = 0.5
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def window(self) -> int:
        """Frames of a window."""
        return int(self.pipe.size[0])

    @property
    def group(self) -> int:
        """Frames that can only be given together."""
        return int(self.pipe.canvas.group)

    @property
    def side(self) -> int:
        """Pixels that heights and widths are a multiple of."""
        scale = self.pipe.vae.spatial if self.pipe.vae is not None else 1
        return int(np.lcm.reduce([p * scale for p in self.pipe.transformer.patch[1:]]))

    def fill(self, prompts: Sequence[str], frames: Sequence[dict[int, Rgb]], seeds: Sequence[int]) -> Rgb:
        """Windows `(N, window, H, W, 3)` around the given frames of each."""
        first = next(iter(frames[0].values()))
        out: Any = self.pipe(
            list(prompts),
            frames=list(frames),
            num_frames=self.window,
            height=first.shape[-3],
            width=first.shape[-2],
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            guidance_interval=(self.guidance_low, 1.0),
            generator=[seeded(s) for s in seeds],
        )
        made: Rgb = out.frames
        return made

    def check(self, prompts: Sequence[str]) -> None:
        """Raise `UsageError` unless the model can show each prompt, as one shot."""
        if not prompts:
            raise UsageError(f"`prompt` must be a text or a list of texts, got none; for example: {EXAMPLE}")
        for text in prompts:
            scene = parse(text)
            if len(scene.shots) > 1:
                raise UsageError(
                    "a window shows one shot; give the prompts of a story as a list, without cuts"
                )
            if self.info is not None:
                self.info.check(scene)


def open_sampler(
    model: "Path | SoraPipeline | Sampler | None" = None,
    *,
    steps: int | None = None,
    guidance: float | None = None,
    device: str = "cpu",
    dtype: str | None = None,
) -> Sampler:
    """A model that can be given frames, loaded: a folder (None: the packaged one) or a pipeline.

    Raises `UsageError` when it takes no frames, `ModelError` when it does not load.
    """
    if isinstance(model, Sampler):
        return model
    if model is None or isinstance(model, Path):
        folder = DEFAULT_MODEL if model is None else model
        info = load_info(folder)
        info.check_given()
        pipe = load_pipeline(folder, device=device, dtype=dtype)
        chosen = (steps or info.steps, info.guidance if guidance is None else guidance, info.guidance_low)
        return Sampler(pipe, info, *chosen, {"device": device, "dtype": dtype or "float32"})
    if model.transformer.given is None:
        raise UsageError(
            "this pipeline's model was not trained to be given frames; use one with `given_frames`"
        )
    return Sampler(model, None, steps or 16, 3.0 if guidance is None else guidance)


def roll(
    sampler: Sampler,
    edges: Rgb,
    prompts: Sequence[Sequence[str]],
    seeds: Sequence[int],
    direction: Direction = "forward",
) -> Iterator[Rgb]:
    """New frames of N clips at once, a chunk `(N, window - known, H, W, 3)` a window.

    `edges` `uint8 (N, known, H, W, 3)`: where the clips end (or, backward, begin). `prompts`: for each window
    one for each clip. The chunks of "backward" come last first: each lies before the one that came before.
    Window i of a clip depends on its seed, on i and on the last `known` frames alone.
    """
    known, at = edges.shape[1], 0 if direction == "forward" else sampler.window - edges.shape[1]
    for i, texts in enumerate(prompts):
        made = sampler.fill(texts, [{at: edge} for edge in edges], [_seed_of(s, i) for s in seeds])
        if direction == "forward":
            yield made[:, known:]
            edges = made[:, -known:]
        else:
            yield made[:, :-known]
            edges = made[:, :known]


def extend_chunks(
    model: "Path | SoraPipeline | Sampler | None",
    edge: Rgb,
    prompt: str | Sequence[str],
    new: int,
    *,
    direction: Direction = "forward",
    seed: int = 0,
) -> Iterator[Rgb]:
    """`new` frames beyond `edge` `uint8 (known, H, W, 3)`, in chunks `(k, H, W, 3)` as they are made.

    Holds one window, whatever the length. See `roll` for the order, `extend` for the rest.

    >>> for chunk in extend_chunks(None, clip.frames[-8:], "a red …", 720):  # doctest: +SKIP
    ...     show(chunk)
    """
    sampler = open_sampler(model)
    texts = [prompt] if isinstance(prompt, str) else list(prompt)
    sampler.check(texts)
    _check_edge(sampler, edge, direction)
    step = sampler.window - len(edge)
    windows = -(-new // step)
    if len(texts) > windows:
        raise UsageError(f"{len(texts)} prompts need as many windows, {new} new frames make {windows}")
    story = [[texts[i * len(texts) // windows]] for i in range(windows)]
    if direction == "backward":
        story.reverse()  # a story is told in the order it is watched
    left = new
    for (chunk,) in roll(sampler, edge[None], story, [seed], direction):
        part = chunk[:left] if direction == "forward" else chunk[-left:]
        left -= len(part)
        yield part


def extend(
    model: "Path | SoraPipeline | Sampler | None",
    clip: Clip,
    prompt: str | Sequence[str],
    seconds: float,
    *,
    direction: Direction = "forward",
    known: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> Clip:
    """`clip` made longer, to `seconds` in all: its own frames stay as they are.

    `prompt`: one, or several that share the new part evenly, in the order they are watched. `known`: frames
    that each window is given (4 and 8 were trained). Equal seeds give equal frames, and with one prompt a
    longer clip begins as the shorter one. Raises `UsageError` for a model that takes no frames, a prompt it
    does not know, sizes that do not fit, and unless the clip is shorter than `seconds` ≤ 600.

    >>> long = extend(None, clip, "a big red circle orbits on a navy background", 60)  # doctest: +SKIP
    """
    total = round(seconds * float(clip.fps)) if 0 < seconds <= MOST_SECONDS else 0
    length = len(clip.frames)
    if total <= length:
        raise UsageError(
            f"`seconds` must be over the clip's {clip.duration:.2f} and at most {MOST_SECONDS}, got {seconds}"
        )
    if not 1 <= known <= length:
        raise UsageError(f"`known` must be 1 to the clip's {length} frames, got {known}")
    sampler = open_sampler(model)
    forward = direction == "forward"
    edge = clip.frames[-known:] if forward else clip.frames[:known]
    out = np.empty((total, *clip.frames.shape[1:]), np.uint8)
    out[slice(length) if forward else slice(total - length, total)] = clip.frames
    done = length
    for chunk in extend_chunks(sampler, edge, prompt, total - length, direction=direction, seed=seed):
        start = done if forward else total - done - len(chunk)
        out[start : start + len(chunk)] = chunk
        done += len(chunk)
        if progress is not None:
            progress("extend", (done - length) / (total - length))
    made = {"extended_from_frame": 0 if forward else total - length, "source_frames": length, "known": known}
    about = _about(sampler, prompt, seed, made | {"direction": direction}, clip)
    return Clip(out, clip.fps, about, clip.ingredients)


def interpolate(
    model: "Path | SoraPipeline | Sampler | None",
    clip: Clip,
    prompt: str,
    *,
    factor: int = 2,
    seed: int = 0,
    progress: Progress | None = None,
) -> Clip:
    """`clip` at `factor` times its frame rate: its own frames as they are, new ones between them.

    T frames become (T - 1) · `factor` + 1. Raises `UsageError` as `extend`, for a `factor` beyond the
    window, and for a model in latents, which sees whole groups of frames only.

    >>> smooth = interpolate(None, clip, "a big red circle orbits on a navy background")  # doctest: +SKIP
    """
    sampler = open_sampler(model)
    sampler.check([prompt])
    if sampler.group > 1:
        raise UsageError(
            f"this model sees frames {sampler.group} at a time and has none between; use a model in pixels"
        )
    if not 2 <= factor < sampler.window:
        raise UsageError(f"`factor` must be 2 to {sampler.window - 1}, got {factor}")
    gaps = len(clip.frames) - 1
    if gaps < 1:
        raise UsageError("`clip` must have at least 2 frames to have one between, got 1")
    out = np.empty((gaps * factor + 1, *clip.frames.shape[1:]), np.uint8)
    each = (sampler.window - 1) // factor
    for i, first in enumerate(range(0, gaps, each)):
        given = clip.frames[first : first + each + 1]
        places = {k * factor: picture for k, picture in enumerate(given)}
        (made,) = sampler.fill([prompt], [places], [_seed_of(seed, i)])
        out[first * factor : (first + len(given) - 1) * factor + 1] = made[: (len(given) - 1) * factor + 1]
        if progress is not None:
            progress("interpolate", min(1.0, (first + each) / gaps))
    about = _about(sampler, prompt, seed, {"factor": factor}, clip)
    return Clip(out, Fraction(clip.fps * factor), about, clip.ingredients)


def _check_edge(sampler: Sampler, edge: Rgb, direction: str) -> None:
    if direction not in ("forward", "backward"):
        raise UsageError(f"`direction` must be forward or backward, got {direction!r}")
    if not 1 <= len(edge) < sampler.window or len(edge) % sampler.group:
        raise UsageError(
            f"`known` must be under the window of {sampler.window} frames and a multiple of {sampler.group}, "
            f"got {len(edge)}"
        )


def _seed_of(seed: int, window: int) -> int:
    """A seed of its own for each window, the same however many follow."""
    return int(np.random.SeedSequence([seed, window]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _about(
    sampler: Sampler, prompt: str | Sequence[str], seed: int, made: dict[str, Any], source: Clip
) -> Generation:
    """How it was made, for the manifest."""
    info = sampler.info
    text = prompt if isinstance(prompt, str) else " → ".join(prompt)
    before = source.generation
    if before is not None:
        made = made | {"source": {"model": before.model, "version": before.version}}
    parameters = {
        "steps": sampler.steps, "guidance": sampler.guidance, "guidance_low": sampler.guidance_low,
    } | sampler.about | made  # fmt: skip
    name, version = (info.name, info.version) if info is not None else ("sorakit", "unknown")
    return Generation(name, version, text, seed, info.licence if info is not None else None, parameters)
