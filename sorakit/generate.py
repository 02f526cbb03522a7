"""`generate`: a prompt in, a `Clip` in memory out. It never writes a file; `sorakit.publish` does.

Weights come from the package (or a folder of the same layout), as safetensors only; nothing is downloaded.
Importing this module does not import torch.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sorakit.errors import ModelError, UsageError
from sorakit.types import Clip, Generation, Progress
from sorakit.world.caption import EXAMPLE, parse
from sorakit.world.scene import Scene

if TYPE_CHECKING:
    from sorakit.pipeline import SoraPipeline

__all__ = ["DEFAULT_MODEL", "ModelInfo", "generate", "load_info", "load_pipeline", "seeded"]

DEFAULT_MODEL = Path(__file__).parent / "weights" / "one-object"

_MAX_VALUES = 1 << 24


class ModelInfo(BaseModel):
    """`sorakit.json` in a model's folder: what it is, what it can show, and how it is best sampled."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9.-]{1,64}$")
    version: str = Field(pattern=r"^[a-z0-9.+-]{1,64}$")
    licence: str = Field(max_length=64)
    sprites: int = Field(ge=1, le=2, description="most sprites in a shot")
    shots: int = Field(ge=1, le=2, description="most shots in a clip")
    sizes: list[str]
    textures: list[str]
    camera: bool = Field(description="whether it knows camera moves")
    steps: int = Field(ge=1, le=1000)
    guidance: float = Field(ge=0, le=100)
    guidance_low: float = Field(0.0, ge=0, le=1, description="no guidance where σ is lower")

    def check(self, scene: Scene) -> None:
        """Raise `UsageError` when `scene` is more than the model was trained to show."""
        wrong = []
        if len(scene.shots) > self.shots:
            wrong.append("cuts")
        for shot in scene.shots:
            if len(shot.sprites) > self.sprites:
                wrong.append("two sprites")
            if shot.camera and not self.camera:
                wrong.append("camera moves")
            if shot.texture not in self.textures:
                wrong.append(f"{shot.texture} backgrounds")
            wrong += [f"the size “{s.size}”" for s in shot.sprites if s.size not in self.sizes]
        if wrong:
            found = ", ".join(dict.fromkeys(wrong))
            sizes, textures = " or ".join(self.sizes), " or ".join(self.textures)
            raise UsageError(
                f"{self.name} was not trained on {found}. It shows {self.sprites} sprite(s) of size {sizes} "
                f"on a {textures} background; for example: {EXAMPLE}"
            )


def generate(
    prompt: str,
    *,
    seed: int,
    frames: int = 16,
    height: int = 32,
    width: int = 32,
    fps: int = 12,
    steps: int | None = None,
    guidance: float | None = None,
    model: Path | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    progress: Progress | None = None,
) -> Clip:
    """Make a clip; equal arguments give equal frames on one kind of device.

    `steps`, `guidance`: the model's own when not given. `dtype`: "float32" (default), "bfloat16", "float16".
    Raises `UsageError` for a prompt outside the grammar or the model's knowledge and for sizes that do not
    fit, `ModelError` when weights or the `gen` extra are missing.

    >>> clip = generate("a big red circle bounces on a navy background", seed=1, steps=2)
    >>> clip.frames.shape, clip.generation.model
    ((16, 32, 32, 3), 'sorakit-one-object')
    """
    scene = parse(prompt)
    _check_numbers(seed, frames, height, width, fps)
    folder = DEFAULT_MODEL if model is None else model
    info = load_info(folder)
    info.check(scene)
    steps = info.steps if steps is None else steps
    guidance = info.guidance if guidance is None else guidance
    pipe = load_pipeline(folder, device=device, dtype=dtype)
    out: Any = pipe(
        prompt,
        num_frames=frames,
        height=height,
        width=width,
        num_inference_steps=steps,
        guidance_scale=guidance,
        guidance_interval=(info.guidance_low, 1.0),
        generator=seeded(seed),
        callback_on_step_end=_reporter(progress, steps),
    )
    parameters = {
        "frames": frames, "height": height, "width": width, "fps": fps, "steps": steps,
        "guidance": guidance, "guidance_low": info.guidance_low, "solver": "euler",
        "device": device, "dtype": dtype or "float32",
    }  # fmt: skip
    about = Generation(info.name, info.version, prompt, seed, info.licence, parameters)
    return Clip(out.frames[0], Fraction(fps), about)


def load_info(folder: Path = DEFAULT_MODEL) -> ModelInfo:
    """What the model in `folder` says of itself; raises `ModelError`."""
    try:
        return ModelInfo.model_validate_json((folder / "sorakit.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelError(f"{folder} is not a model folder of sorakit: {error}") from error


def load_pipeline(
    folder: Path = DEFAULT_MODEL, *, device: str = "cpu", dtype: str | None = None
) -> "SoraPipeline":
    """The model in `folder` as a diffusers pipeline, quiet and ready; raises `ModelError`.

    Parts are loaded by their known classes, not by the names in `model_index.json`, so that a hostile
    folder cannot choose what is imported.
    """
    torch = _torch()
    kinds = {None: torch.float32} | {n: getattr(torch, n) for n in ("float32", "bfloat16", "float16")}
    if dtype not in kinds:
        raise UsageError(f"`dtype` must be float32, bfloat16 or float16, got {dtype!r}")
    if not (folder / "transformer").is_dir():
        raise ModelError(f"{folder} holds no weights; give another folder or reinstall sorakit")
    try:
        target = torch.device(device)
        with _quiet():
            pipe = _assemble(folder, kinds[dtype]).to(target)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AssertionError) as error:
        raise ModelError(f"the model in {folder} does not load on {device}: {error}") from error
    pipe.set_progress_bar_config(disable=True)  # type: ignore[no-untyped-call]
    return pipe


def seeded(seed: int) -> Any:
    """A `torch.Generator` on the CPU, where noise is drawn, so that a seed means one thing on all devices."""
    return _torch().Generator().manual_seed(seed)


def _assemble(folder: Path, dtype: Any) -> "SoraPipeline":
    from diffusers.schedulers import FlowMatchEulerDiscreteScheduler  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    from sorakit.model.dit import VideoDiT  # noqa: PLC0415
    from sorakit.model.text import TextEncoder  # noqa: PLC0415
    from sorakit.pipeline import SoraPipeline  # noqa: PLC0415

    strict: dict[str, Any] = {
        "use_safetensors": True, "local_files_only": True, "low_cpu_mem_usage": False, "torch_dtype": dtype,
    }  # fmt: skip
    kind: Any = FlowMatchEulerDiscreteScheduler  # its from_pretrained has no types
    scheduler = kind.from_pretrained(folder / "scheduler", local_files_only=True)
    return SoraPipeline(
        tokenizer=PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer", local_files_only=True),
        text_encoder=TextEncoder.from_pretrained(folder / "text_encoder", **strict).eval(),
        transformer=VideoDiT.from_pretrained(folder / "transformer", **strict).eval(),
        scheduler=scheduler,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the loading chatter of diffusers and transformers off the terminal."""
    loggers = [logging.getLogger(n) for n in ("diffusers", "transformers")]
    before = [log.level for log in loggers]
    for log in loggers:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for log, level in zip(loggers, before, strict=True):
            log.setLevel(level)


def _torch() -> Any:
    try:
        import diffusers  # noqa: F401, PLC0415
        import torch  # noqa: PLC0415
        import transformers  # noqa: F401, PLC0415
    except ImportError as error:
        raise ModelError(f"generating needs {error.name}: pip install sorakit[gen]") from error
    return torch


def _check_numbers(seed: int, frames: int, height: int, width: int, fps: int) -> None:
    if not 0 <= seed < 1 << 63:
        raise UsageError(f"`seed` must be 0 to 2^63 - 1, got {seed}")
    if not 1 <= fps <= 240:
        raise UsageError(f"`fps` must be 1 to 240, got {fps}")
    if min(frames, height, width) < 1 or frames * height * width > _MAX_VALUES:
        raise UsageError(
            f"need sizes of at least 1 and at most {_MAX_VALUES} values, got {frames}×{height}×{width}"
        )


def _reporter(progress: Progress | None, steps: int) -> Any:
    if progress is None:
        return None

    def report(_pipe: object, step: int, _t: object, values: dict[str, Any]) -> dict[str, Any]:
        progress("sample", (step + 1) / steps)
        return values

    return report
