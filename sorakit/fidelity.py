"""How well a model obeys freshly drawn prompts: the oracle's scores with 95 % intervals, by kind of scene.

In: how many prompts and noise seeds of each, and how to sample. Out: the object that `sorakit bench generate
--json` prints. `sorakit.prompts` draws the prompts, `sorakit.intervals` knows that clips of one are alike.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError
from sorakit.generate import DEFAULT_MODEL, ModelInfo, load_info, load_pipeline, seeded
from sorakit.intervals import Share, difference, share, wilson
from sorakit.prompts import COMBOS, GROUPS, STREAMS, Combos, Stream, fresh_scenes
from sorakit.types import Progress, Rgb
from sorakit.world.caption import caption
from sorakit.world.oracle import score
from sorakit.world.render import render
from sorakit.world.scene import Scene

if TYPE_CHECKING:
    from sorakit.pipeline import SoraPipeline

__all__ = ["SHOWN", "Outcome", "Sampling", "Scores", "ceiling", "held_out_gap", "measure", "run", "wilson"]

Floats = npt.NDArray[np.float64]

SHOWN = ("all_facts", "colour", "shape", "size", "motion", "count", "background", "texture", "camera", "cut")
"""Scores that are reported, each with its interval; `all_facts` is obeying in everything."""

_BATCH = 16
_ROOMY = 16 * 64 * 64
"""Pixels of the largest clip that batches are not made smaller for."""

_MAX_CLIPS = 100_000


@dataclass(frozen=True, slots=True)
class Sampling:
    """How clips are made; None stands for the model's own value. Sides in px; `dtype` as for `generate`."""

    steps: int | None = None
    guidance: float | None = None
    guidance_low: float | None = None
    frames: int | None = None
    height: int | None = None
    width: int | None = None
    device: str = "cpu"
    dtype: str | None = None

    def __post_init__(self) -> None:
        """Refuse clips that the oracle cannot read."""
        if self.frames is not None and self.frames < 8:
            raise UsageError(f"`frames` must be at least 8 to tell motions and cuts apart, got {self.frames}")
        for name, side in (("height", self.height), ("width", self.width)):
            if side is not None and side < 16:
                raise UsageError(f"`{name}` must be at least 16, got {side}")

    def filled(self, info: ModelInfo) -> "Sampling":
        """With the model's own steps and guidance in the place of None."""
        return replace(
            self,
            steps=info.steps if self.steps is None else self.steps,
            guidance=info.guidance if self.guidance is None else self.guidance,
            guidance_low=info.guidance_low if self.guidance_low is None else self.guidance_low,
        )

    def arguments(self) -> dict[str, Any]:
        """For the pipeline."""
        size = {"num_frames": self.frames, "height": self.height, "width": self.width}
        return {
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "guidance_interval": (self.guidance_low, 1.0),
        } | {k: v for k, v in size.items() if v is not None}

    @property
    def batch(self) -> int:
        """Clips at a time: more than this gains nothing on a CPU, and large clips would fill memory."""
        most = _BATCH if self.device == "cpu" else 8 * _BATCH
        values = (self.frames or 16) * (self.height or 64) * (self.width or 64)
        return max(1, min(most, most * _ROOMY // values))


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One clip: `frames` `uint8 (T, H, W, 3)`, the scene it should show, and the oracle's scores."""

    prompt: int
    repeat: int
    scene: Scene
    frames: Rgb
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Each of `facts` as `(n, K)`: n prompts, K seeds; `size` is (T, H, W), costs are of one clip.

    `evaluations`: passes of one clip through the network, those of guidance included. `cpu_s` is processor
    time and `wall_s` the clock's, of sampling alone.
    """

    info: ModelInfo
    sampling: Sampling
    scenes: tuple[Scene, ...]
    facts: Mapping[str, Floats]
    size: tuple[int, int, int]
    evaluations: float
    cpu_s: float
    wall_s: float

    def of(self, fact: str, group: str | None = None) -> Share | None:
        """The share of a fact over all prompts or a group of `GROUPS`; None when no prompt is in it."""
        rows = self.facts[fact]
        if group is not None:
            rows = rows[[GROUPS[group](s) for s in self.scenes]]
        return share(rows) if len(rows) else None


def measure(
    n: int = 200,
    seed: int = 0,
    *,
    seeds: int = 1,
    model: Path = DEFAULT_MODEL,
    sampling: Sampling | None = None,
    combos: Combos = "all",
    visit: Callable[[Outcome], None] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Scores of `n` prompts × `seeds` clips: means, `<name>_ci` intervals, groups, ceiling and cost.

    `visit` is called with each clip. Raises `UsageError` for numbers that cannot be used, `ModelError` for a
    folder that is no model.

    >>> result = measure(2, seed=1, sampling=Sampling(steps=1))
    >>> sorted(result)[:4], result["n"], result["groups"]["one_object"]["n"]
    (['all_facts', 'all_facts_ci', 'background', 'background_ci'], 2, 2)
    """
    scores = run(n, seed, seeds=seeds, model=model, sampling=sampling, combos=combos, visit=visit,
                 progress=progress)  # fmt: skip
    result = _row(scores, None)
    result |= {"coherent": _mean(scores, "coherent"), "iou": _mean(scores, "iou")}
    result |= {"n": n, "seeds": seeds, "clips": n * seeds, "seed": seed, "combos": combos}
    result["groups"] = {g: _row(scores, g) for g in GROUPS}
    result["held_out_minus_seen"] = held_out_gap(scores) if combos == "both" else None
    result["ceiling"] = ceiling(scores, seed)
    how = scores.sampling
    result |= dict(zip(("frames", "height", "width"), scores.size, strict=True))
    result |= {"steps": how.steps, "guidance": how.guidance, "guidance_low": how.guidance_low}
    result |= {"device": how.device, "dtype": how.dtype or "float32"}
    result |= {"evaluations": round(scores.evaluations, 2), "cpu_s_per_clip": round(scores.cpu_s, 4)}
    return result | {
        "s_per_clip": round(scores.wall_s, 4),
        "model": scores.info.name,
        "version": scores.info.version,
    }


def run(
    n: int,
    seed: int,
    *,
    seeds: int = 1,
    model: Path = DEFAULT_MODEL,
    sampling: Sampling | None = None,
    combos: Combos = "all",
    stream: Stream = "measure",
    pipe: "SoraPipeline | None" = None,
    visit: Callable[[Outcome], None] | None = None,
    progress: Progress | None = None,
) -> Scores:
    """Sample and score; `pipe` is the model in `model`, loaded here when not given.

    Prompt i and its k-th noise depend on (`seed`, `combos`, `stream`) and i, k alone: a longer run repeats
    the shorter one and goes on.
    """
    _check(n, seed, seeds, combos)
    info = load_info(model)
    how = (sampling or Sampling()).filled(info)
    pipe = pipe or load_pipeline(model, device=how.device, dtype=how.dtype)
    size = [a or u for a, u in zip((how.frames, how.height, how.width), pipe.size, strict=True)]
    most = min(how.batch, pipe.canvas.most((size[0], size[1], size[2])))
    scenes = fresh_scenes(info, n, seed, combos, stream)
    jobs = [(i, k) for i in range(n) for k in range(seeds)]
    rows: list[Mapping[str, float]] = []
    passes, cpu, wall = 0, 0.0, 0.0
    clips: Rgb = np.empty((0, 0, 0, 0, 3), np.uint8)
    for first in range(0, len(jobs), most):
        part = jobs[first : first + most]
        noise = [_noise_seed(STREAMS[stream], seed, i, k) for i, k in part]
        start, clock = time.process_time(), time.perf_counter()
        clips, count = _sample(pipe, [caption(scenes[i]) for i, _ in part], noise, how)
        cpu, wall = cpu + time.process_time() - start, wall + time.perf_counter() - clock
        passes += count
        for (i, k), clip in zip(part, clips, strict=True):
            rows.append(score(clip, scenes[i]))
            if visit is not None:
                visit(Outcome(i, k, scenes[i], clip, rows[-1]))
        if progress is not None:
            progress(f"{len(rows)} of {len(jobs)} clips", len(rows) / len(jobs))
    facts = {name: np.array([r[name] for r in rows]).reshape(n, seeds) for name in rows[0]}
    made = (clips.shape[1], clips.shape[2], clips.shape[3])
    return Scores(
        info, how, tuple(scenes), facts, made, passes / len(jobs), cpu / len(jobs), wall / len(jobs)
    )


def ceiling(scores: Scores, seed: int = 0) -> dict[str, float]:
    """What the oracle gives the ground truth of the same scenes at the same size: no model can reach more."""
    T, H, W = scores.size
    rows = [score(render(s, seed + i, T, H, W).frames, s) for i, s in enumerate(scores.scenes)]
    return {name: round(float(np.mean([r[name] for r in rows])), 4) for name in SHOWN}


def held_out_gap(scores: Scores) -> dict[str, Any] | None:
    """Held-out less seen sprites: differences and intervals; None unless the prompts hold both.

    Negative is worse on what training never combined. Meant for `combos="both"`: among prompts of "all", two
    sprites are likelier to hold a held-out one, so that the groups differ in more than that.
    """
    out: dict[str, Any] = {}
    for name in SHOWN:
        seen, held = scores.of(name, "seen"), scores.of(name, "held_out")
        if seen is None or held is None:
            return None
        gap = difference(held, seen)
        out |= {name: round(gap.mean, 4), f"{name}_ci": gap.ci}
    return out


def _sample(
    pipe: "SoraPipeline", prompts: Sequence[str], noise: Sequence[int], how: Sampling
) -> tuple[Rgb, int]:
    """Clips `uint8 (N, T, H, W, 3)`, and how many clips went through the network in all."""
    passes = 0

    def count(_module: object, _inputs: object, output: Any) -> None:
        nonlocal passes
        passes += len(output)

    hook = pipe.transformer.register_forward_hook(count)
    try:
        out: Any = pipe(list(prompts), generator=[seeded(s) for s in noise], **how.arguments())
    finally:
        hook.remove()
    return out.frames, passes


def _row(scores: Scores, group: str | None) -> dict[str, Any]:
    """All shares of one group as JSON; an empty group has null in each place."""
    out: dict[str, Any] = {}
    if group is not None:
        count = sum(map(GROUPS[group], scores.scenes))
        out = {"n": count, "clips": count * scores.facts["all_facts"].shape[1]}
    for name in SHOWN:
        found = scores.of(name, group)
        out |= {name: found and round(found.mean, 4), f"{name}_ci": found and found.ci}
    return out


def _mean(scores: Scores, name: str) -> float:
    return round(float(scores.facts[name].mean()), 4)


def _noise_seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)


def _check(n: int, seed: int, seeds: int, combos: str) -> None:
    if n < 1 or seeds < 1 or n * seeds > _MAX_CLIPS:
        raise UsageError(f"`n` × `seeds` must be 1 to {_MAX_CLIPS:,} clips, got {n} × {seeds}")
    if seed < 0:
        raise UsageError(f"`seed` must be at least 0, got {seed}")
    if combos not in COMBOS:
        raise UsageError(f"`combos` must be one of {', '.join(COMBOS)}, got {combos!r}")
    if combos == "both" and n < 2:
        raise UsageError("`combos` both needs at least 2 prompts, got 1")
