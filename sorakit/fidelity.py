"""How well a model obeys freshly drawn prompts: the oracle's scores with 95 % intervals.

In: a number of prompts and a seed. Out: the object that `sorakit bench generate --json` prints. Prompts are
drawn from the scenes that the model says it can show, noise from seeds of its own. A small world's captions
all occur in training (one plain sprite: 2,048 of them); the clip to be made never does.
"""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from sorakit.errors import UsageError
from sorakit.generate import DEFAULT_MODEL, ModelInfo, load_info, load_pipeline, seeded
from sorakit.types import Progress, Rgb
from sorakit.world.caption import caption
from sorakit.world.oracle import score
from sorakit.world.scene import Scene, Space, sample_scene

__all__ = ["fresh_scenes", "measure", "wilson"]

_SHOWN = (
    "all_facts",
    "colour",
    "shape",
    "size",
    "motion",
    "count",
    "background",
    "camera",
    "coherent",
    "iou",
)
_STREAM = 2_000_003
_BATCH = 16


def measure(
    n: int = 200,
    seed: int = 0,
    *,
    model: Path = DEFAULT_MODEL,
    steps: int | None = None,
    guidance: float | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Scores of `n` clips (16 × 32 × 32), one a prompt: means, `<name>_ci` intervals, and what it cost.

    `cpu_s_per_clip` is processor time, sampling alone. Raises `UsageError` unless 1 ≤ n ≤ 100,000.
    """
    if not 1 <= n <= 100_000:
        raise UsageError(f"`n` must be 1 to 100,000, got {n}")
    info = load_info(model)
    steps = info.steps if steps is None else steps
    guidance = info.guidance if guidance is None else guidance
    pipe = load_pipeline(model, device=device)
    scenes = fresh_scenes(info, n, seed)
    rows: list[dict[str, float]] = []
    cpu = 0.0
    for first in range(0, n, _BATCH):
        part = scenes[first : first + _BATCH]
        start = time.process_time()
        out: Any = pipe(
            [caption(s) for s in part],
            num_inference_steps=steps,
            guidance_scale=guidance,
            guidance_interval=(info.guidance_low, 1.0),
            generator=[seeded(seed * 1_000_003 + first + i) for i in range(len(part))],
        )
        cpu += time.process_time() - start
        clips: Rgb = out.frames
        rows += [score(clip, scene) for clip, scene in zip(clips, part, strict=True)]
        if progress is not None:
            progress("measure", len(rows) / n)
    result: dict[str, Any] = {}
    for name in _SHOWN:
        mean = float(np.mean([r[name] for r in rows]))
        result |= {name: round(mean, 4), f"{name}_ci": wilson(mean, n)}
    about = {"model": info.name, "version": info.version, "steps": steps, "guidance": guidance}
    return result | {"n": n, "seed": seed, "cpu_s_per_clip": round(cpu / n, 4)} | about


def fresh_scenes(info: ModelInfo, n: int, seed: int) -> list[Scene]:
    """`n` scenes within what the model can show."""
    rng = np.random.default_rng([_STREAM, seed])
    space = Space(
        sizes=tuple(info.sizes),
        textures=tuple(info.textures),
        two=0.35 if info.sprites > 1 else 0.0,
        camera=0.2 if info.camera else 0.0,
        cut=0.2 if info.shots > 1 else 0.0,
    )
    return [sample_scene(rng, space) for _ in range(n)]


def wilson(mean: float, n: int, z: float = 1.96) -> list[float]:
    """Wilson's 95 % score interval of a share `mean` among `n` (Wilson 1927); wide for shares of parts.

    >>> wilson(0.5, 100)
    [0.4038, 0.5962]
    """
    middle = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
    return [round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)]
