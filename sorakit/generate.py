"""`generate`: a prompt, and images if any, in; a `Clip` in memory out. It never writes a file.

`sorakit.publish` does. Weights come from the package (or a folder of the same layout), as safetensors only;
nothing is downloaded. Importing this module does not import torch.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sorakit.errors import ModelError, UsageError
from sorakit.model_info import DEFAULT_MODEL, ModelInfo, load_info
from sorakit.types import Clip, Generation, Ingredient, Progress, Rgb
from sorakit.world.caption import parse

if TYPE_CHECKING:
    from sorakit.pipeline import SoraPipeline

__all__ = ["DEFAULT_MODEL", "ModelInfo", "generate", "load_info", "load_pipeline", "picture_of", "seeded"]

_MAX_VALUES = 1 << 24
LATENT_SCHEME = "io.github.sorakit.latent.1"
"""How a manifest names the mark in the starting noise; `sorakit.watermark.latent.SCHEME`."""
_TITLES = {"image": "first picture", "last_image": "last picture"}

_FAILURES = (
    OSError, ValueError, LookupError, TypeError, RuntimeError, AssertionError, ArithmeticError, UsageError,
)  # fmt: skip
"""What loading raises when a folder's files do not fit together, or the device is not there."""

Picture = Path | str | Rgb
"""A picture file, or `uint8 (H, W, 3)`."""


def generate(
    prompt: str,
    *,
    seed: int,
    image: Picture | None = None,
    last_image: Picture | None = None,
    frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
    fps: int = 12,
    steps: int | None = None,
    guidance: float | None = None,
    solver: str | None = None,
    model: Path | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    latent_key: bytes | None = None,
    progress: Progress | None = None,
) -> Clip:
    """Make a clip; equal arguments give equal frames on one kind of device.

    `image`, `last_image`: what it starts from and ends with, files or `uint8 (H, W, 3)`; their centre is cut
    to the clip's shape and resized, then they are its frames bit for bit. `frames`, `height`, `width`,
    `steps`, `guidance`, `solver`: the model's own when not given. Solvers: "euler", "stochastic" (new noise
    at each step), "heun" (twice the evaluations) or "dpm". `dtype`: "float32" (default), "bfloat16",
    "float16". `latent_key`: a secret key that the starting noise is marked with (`sorakit.latent_mark`); the
    clip then depends on it too, and a model that samples with new noise takes Euler's steps instead.
    Raises `UsageError` for a prompt outside the grammar or the model's knowledge, for sizes that do not fit
    and for images where the model takes none; `InputError` for a picture that does not read; `ModelError`
    when weights or the `gen` extra are missing.

    >>> clip = generate("a big red circle bounces on a navy background", seed=1, steps=2)
    >>> clip.frames.shape, clip.generation.model
    ((16, 32, 32, 3), 'sorakit-one-object')
    """
    scene = parse(prompt)
    folder = DEFAULT_MODEL if model is None else model
    info = load_info(folder)
    info.check(scene)
    T, H, W = (u if got is None else got for u, got in zip(info.usual, (frames, height, width), strict=True))
    _check_numbers(seed, fps, (T, H, W))
    given = {"image": image, "last_image": last_image}
    pictures: dict[str, Any] = {k: picture_of(v, H, W) for k, v in given.items() if v is not None}
    if pictures:
        info.check_given()
    steps = info.steps if steps is None else steps
    guidance = info.guidance if guidance is None else guidance
    way = solver if latent_key is None else _way_back(solver)
    pipe = load_pipeline(folder, device=device, dtype=dtype, solver=way)
    mark = _latent_mark(pipe, info, (T, H, W), latent_key, seed=seed, prompt=prompt)
    out: Any = pipe(
        prompt,
        **pictures,
        **mark,
        num_frames=T,
        height=H,
        width=W,
        num_inference_steps=steps,
        guidance_scale=guidance,
        guidance_interval=(info.guidance_low, 1.0),
        generator=seeded(seed),
        callback_on_step_end=_reporter(progress),
    )
    parameters = {
        "frames": T, "height": H, "width": W, "fps": fps, "steps": steps,
        "guidance": guidance, "guidance_low": info.guidance_low, "solver": _solver_of(pipe),
        "device": device, "dtype": dtype or "float32",
    } | {k: "sha256:" + hashlib.sha256(v.tobytes()).hexdigest() for k, v in pictures.items()}  # fmt: skip
    parameters |= {} if latent_key is None else {"latent_mark": LATENT_SCHEME}
    about = Generation(info.name, info.version, prompt, seed, info.licence, parameters)
    sources = tuple(
        Ingredient(Path(v), title=_TITLES[k]) for k, v in given.items() if isinstance(v, Path | str)
    )
    return Clip(out.frames[0], Fraction(fps), about, sources)


def _solver_of(pipe: "SoraPipeline") -> str | None:
    from sorakit.schedulers import scheduler_name  # noqa: PLC0415

    return scheduler_name(pipe.scheduler)


def _way_back(solver: str | None) -> str:
    """The solver for a starting noise that is to be read again."""
    if solver == "stochastic":
        raise UsageError(
            "the stochastic solver draws new noise at each step: no mark in the first could be read; use "
            "euler, or leave the latent mark out"
        )
    return solver or "euler"


def _latent_mark(
    pipe: "SoraPipeline",
    info: ModelInfo,
    size: tuple[int, int, int],
    key: bytes | None,
    *,
    seed: int,
    prompt: str,
) -> dict[str, Any]:
    """Starting noise with a mark, as the pipeline takes it; refused where the model would erase it."""
    if key is None:
        return {}
    if not info.latent:
        raise UsageError(
            f"{info.name} draws flat pixels and erases its starting noise: no mark in it could be read; use "
            "a model with an autoencoder, such as full-world-64, or leave the latent mark out"
        )
    from sorakit.latent_mark import marked_noise, payload_for  # noqa: PLC0415

    return {"latents": marked_noise(pipe, size, payload_for(key, seed, prompt), key, seed)}


def picture_of(image: Picture, height: int, width: int) -> Rgb:
    """A picture as `uint8 (height, width, 3)`, its centre cut to that shape; one that fits is not touched.

    A file is read in a guarded child (a video gives its first frame). Raises `InputError`, `UsageError`.
    """
    from sorakit.shrink import fit, read_small  # noqa: PLC0415 - codecs load only here

    if isinstance(image, Path | str):
        first: Rgb = read_small(Path(image), (height, width), exact=True, max_frames=1).frames[0]
        return first
    array: Rgb = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] != 3 or 0 in array.shape:
        raise UsageError(f"`image` must be a file or uint8 (H, W, 3), got {array.dtype} {array.shape}")
    return fit(array, height, width)


def load_pipeline(
    folder: Path = DEFAULT_MODEL, *, device: str = "cpu", dtype: str | None = None, solver: str | None = None
) -> "SoraPipeline":
    """The model in `folder` as a diffusers pipeline, quiet and ready; raises `ModelError`.

    Parts are loaded by their known classes, not by the names in `model_index.json`, so that a hostile
    folder cannot choose what is imported. `solver`: see `generate`.
    """
    torch = _torch()
    kinds = {None: torch.float32} | {n: getattr(torch, n) for n in ("float32", "bfloat16", "float16")}
    if dtype not in kinds:
        raise UsageError(f"`dtype` must be float32, bfloat16 or float16, got {dtype!r}")
    if not (folder / "transformer").is_dir():
        raise ModelError(f"{folder} holds no weights; give another folder or reinstall sorakit")
    for part in ("tokenizer", "text_encoder", "scheduler"):
        if not (folder / part).is_dir():
            raise ModelError(f"{folder} does not load: it has no {part}; copy the whole folder")
    from sorakit.schedulers import scheduler_for  # noqa: PLC0415

    try:
        target = torch.device(device)
        with _quiet():
            pipe = _assemble(folder, kinds[dtype]).to(target)
    except _FAILURES as error:
        raise ModelError(f"the model in {folder} does not load on {device}: {error}") from error
    if solver is not None:
        pipe.scheduler = scheduler_for(solver, pipe.scheduler)
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
    from sorakit.model.vae import VideoVAE  # noqa: PLC0415
    from sorakit.pipeline import SoraPipeline  # noqa: PLC0415

    strict: dict[str, Any] = {
        "use_safetensors": True, "local_files_only": True, "low_cpu_mem_usage": False, "torch_dtype": dtype,
    }  # fmt: skip
    kind: Any = FlowMatchEulerDiscreteScheduler  # its from_pretrained has no types
    scheduler = kind.from_pretrained(folder / "scheduler", local_files_only=True)
    info = load_info(folder)
    vae = VideoVAE.from_pretrained(folder / "vae", **strict).eval() if info.latent else None
    return SoraPipeline(
        tokenizer=PreTrainedTokenizerFast.from_pretrained(folder / "tokenizer", local_files_only=True),
        text_encoder=TextEncoder.from_pretrained(folder / "text_encoder", **strict).eval(),
        transformer=VideoDiT.from_pretrained(folder / "transformer", **strict).eval(),
        scheduler=scheduler,
        vae=vae,
        size=info.usual,
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


def _check_numbers(seed: int, fps: int, size: tuple[int, int, int]) -> None:
    if not 0 <= seed < 1 << 63:
        raise UsageError(f"`seed` must be 0 to 2^63 - 1, got {seed}")
    if not 1 <= fps <= 240:
        raise UsageError(f"`fps` must be 1 to 240, got {fps}")
    frames, height, width = size
    if min(size) < 1 or frames * height * width > _MAX_VALUES:
        raise UsageError(
            f"need sizes of at least 1 and at most {_MAX_VALUES} values, got {frames}×{height}×{width}"
        )


def _reporter(progress: Progress | None) -> Any:
    if progress is None:
        return None

    def report(pipe: Any, step: int, _t: object, values: dict[str, Any]) -> dict[str, Any]:
        progress("sample", (step + 1) / len(pipe.scheduler.timesteps))
        return values

    return report
