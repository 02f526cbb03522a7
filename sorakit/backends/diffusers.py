"""Any video pipeline of diffusers, from a local folder or the local hub cache: arguments in, a `Clip` out.

Wan, LTX-Video, CogVideoX, HunyuanVideo, Mochi, Latte, Stable Video Diffusion, and others whose output has
`.frames`. Nothing is written, and nothing fetched unless asked; sound that a pipeline makes is left out.
Importing this module does not import torch.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sorakit.backends.families import Asked, arguments, check_callable, default_of, rate
from sorakit.backends.noise_mark import marked
from sorakit.backends.pictures import digest_of, load_picture, to_rgb
from sorakit.backends.placing import Offload, Quantise, device_of, place, quantisation, types_of
from sorakit.backends.source import find_source, licence_of
from sorakit.backends.vetting import Index, is_model, part_class, read_index, vet_classes, vet_files
from sorakit.errors import ModelError, UsageError
from sorakit.generate import seeded
from sorakit.types import Clip, Generation, Ingredient, Progress
from sorakit.watermark.latent import SCHEME

__all__ = ["ForeignModel", "load_foreign"]

_FAILURES = (
    RuntimeError, TypeError, LookupError, AttributeError, ArithmeticError, ImportError, AssertionError,
)  # fmt: skip
"""What foreign code raises when its parts or arguments do not fit together."""


@dataclass(frozen=True, slots=True)
class ForeignModel:
    """A loaded pipeline and what goes into the manifest about it; made by `load_foreign`.

    `version`: the hub's commit, or `fingerprint-…` of a local folder. `licence`: what the model's own files
    say, else "unknown". `placed`: device, types, offloading and quantisation, as parameters.
    """

    pipe: Any
    name: str
    version: str
    licence: str
    placed: dict[str, Any]

    def generate(
        self,
        prompt: str,
        *,
        seed: int,
        frames: int | None = None,
        height: int | None = None,
        width: int | None = None,
        fps: int | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        negative_prompt: str | None = None,
        image: Path | npt.NDArray[np.uint8] | None = None,
        latent_key: bytes | None = None,
        progress: Progress | None = None,
    ) -> Clip:
        """Make a clip; what is None is left to the pipeline. Equal arguments, equal frames on one device.

        `fps`: also told to models that take it. `image`: the first frame, a file or `uint8 (H, W, 3)`.
        `latent_key`: a secret key to mark the starting noise with; its sizes stay the seed's.
        Raises `UsageError` for what this pipeline does not take, `ModelError` when it fails.

        >>> load_foreign("wan-folder").generate("a red cat", seed=1)  # doctest: +SKIP
        """
        if not 0 <= seed < 1 << 63:
            raise UsageError(f"`seed` must be 0 to 2^63 - 1, got {seed}")
        picture = None if image is None else load_picture(image)
        asked = Asked(prompt, negative_prompt, picture, frames, height, width, steps, guidance, fps)
        given = arguments(self.pipe, asked)
        speed = rate(self.pipe, fps)
        with self._marking(latent_key, seed, prompt):
            made = to_rgb(self.run(given, seed, progress))
        parameters = self._parameters(asked) | {"fps": speed, "frames": len(made)}
        parameters |= {"height": made.shape[1], "width": made.shape[2]}
        parameters |= {} if latent_key is None else {"latent_mark": SCHEME}
        about = Generation(self.name, self.version, prompt or None, seed, self.licence, parameters)
        sources = (Ingredient(image, title="first picture"),) if isinstance(image, Path) else ()
        return Clip(made, Fraction(speed), about, sources)

    def _marking(self, key: bytes | None, seed: int, prompt: str) -> AbstractContextManager[None]:
        if key is None:
            return nullcontext()
        from sorakit.latent_mark import payload_for  # noqa: PLC0415 - loads torch

        return marked(self.pipe, payload_for(key, seed, prompt), key, seed)

    def run(self, given: dict[str, Any], seed: int, progress: Progress | None) -> Any:
        """The pipeline's own frames for arguments in its own words; its errors turned into ours."""
        import torch  # noqa: PLC0415 - heavy

        kind = type(self.pipe).__name__
        report = progress or (lambda step, share: None)
        report("sample", 0.0)
        try:
            out = self.pipe(**_reporting(self.pipe, report) | given, generator=seeded(seed))
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"{kind} needs more GPU memory than there is; ask for fewer or smaller frames, or use "
                "`offload` model or sequential, or `quantise`"
            ) from error
        except ValueError as error:  # what pipelines raise from their checks of arguments
            raise UsageError(f"{kind} refuses these arguments: {str(error)[:300]}") from error
        except NameError as error:  # diffusers imports some packages only where they are installed
            raise ModelError(f"{kind} lacks a package: {error}; install it with pip") from error
        except _FAILURES as error:
            raise ModelError(f"{kind} failed: {type(error).__name__} {str(error)[:300]}") from error
        report("sample", 1.0)
        if getattr(out, "frames", None) is None:
            raise ModelError(f"{kind} made no video: its output has no frames")
        return out.frames

    def _parameters(self, asked: Asked) -> dict[str, Any]:
        found: dict[str, Any] = {"pipeline": type(self.pipe).__name__} | self.placed
        for word in ("steps", "guidance"):
            value = getattr(asked, word)
            value = default_of(self.pipe, word) if value is None else value
            found |= {} if value is None else {word: value}
        if asked.negative_prompt:
            found["negative_prompt"] = asked.negative_prompt  # shown in a manifest only where the prompt is
        if asked.image is not None:
            found["image"] = digest_of(asked.image)
        return found


def load_foreign(
    source: str | Path,
    *,
    device: str = "cpu",
    dtype: str | None = None,
    offload: Offload = "none",
    quantise: Quantise = "none",
    allow_download: bool = False,
) -> ForeignModel:
    """Load a pipeline of diffusers after checking what its folder names (`sorakit.backends.vetting`).

    `source`: a folder, or a hub id `owner/name` or `owner/name@revision`, which is taken from the local cache
    and fetched only with `allow_download`. `dtype`: "float32", "bfloat16" or "float16"; None is float32 on
    the CPU and bfloat16 elsewhere. Raises `ModelError` for a model that is missing, unsafe or broken, and
    `UsageError` for a device or saving that this machine does not have.

    >>> load_foreign("Wan-AI/Wan2.1-T2V-1.3B-Diffusers", device="cuda").licence  # doctest: +SKIP
    'apache-2.0'
    """
    if allow_download:  # before anything is fetched for nothing
        _need_libraries()
    found = find_source(source, allow_download=allow_download)
    _need_libraries()
    index = read_index(found.folder)
    kind = vet_classes(index)
    check_callable(kind)
    vet_files(found.folder, index)
    target = device_of(device)
    types = types_of(dtype, target, index)
    config = quantisation(quantise, target, index, types["default"])
    pipe = _load(kind, found.folder, index, types, config.quant_mapping if config else {})
    place(pipe, target, offload)
    placed = {"device": target.type, "dtype": str(types["default"]).removeprefix("torch.")}
    placed |= {k: v for k, v in (("offload", offload), ("quantise", quantise)) if v != "none"}
    return ForeignModel(pipe, found.name, found.version, licence_of(found.folder), placed)


def _load(kind: Any, folder: Path, index: Index, types: dict[str, Any], quantised: dict[str, Any]) -> Any:
    """The pipeline: its models by their vetted classes, tokenizers and schedulers by the pipeline itself."""
    from safetensors import SafetensorError  # noqa: PLC0415

    taken = signature(kind.__init__).parameters  # what an index names beyond these is not used
    networks = [(p, part_class(p)) for p in index.parts if p.name in taken]
    try:
        with _no_bars():
            parts = {
                part.name: _load_model(cls, folder / part.name, types, quantised)
                for part, cls in networks
                if is_model(cls)
            }
            pipe = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True, **parts)
    except (*_FAILURES, OSError, ValueError, NameError, SafetensorError) as error:
        raise ModelError(f"the model in {folder} does not load: {str(error)[:400]}") from error
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _load_model(kind: Any, place: Path, types: dict[str, Any], quantised: dict[str, Any]) -> Any:
    """One network in evaluation mode; missing weights, which both libraries fill with noise, are an error."""
    options = {"quantization_config": quantised[place.name]} if place.name in quantised else {}
    model, report = kind.from_pretrained(
        place,
        dtype=types.get(place.name, types["default"]),
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
        **options,
    )
    if missing := sorted(map(str, report["missing_keys"])):
        raise ModelError(f"{place} lacks {len(missing)} weights of {kind.__name__}, such as {missing[0]}")
    return model.eval()


def _need_libraries() -> None:
    try:
        import diffusers  # noqa: F401, PLC0415
        import torch  # noqa: F401, PLC0415
        import transformers  # noqa: F401, PLC0415
    except ImportError as error:
        raise ModelError(f"generating needs {error.name}: pip install sorakit[gen]") from error


@contextmanager
def _no_bars() -> Iterator[None]:
    """Keep both libraries' loading bars off the terminal; their warnings stay, they tell of broken models."""
    from diffusers.utils import logging as ours  # noqa: PLC0415
    from transformers.utils import logging as theirs  # noqa: PLC0415

    shown = [log for log in (ours, theirs) if log.is_progress_bar_enabled()]
    for log in shown:
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log in shown:
            log.enable_progress_bar()


def _reporting(pipe: Any, report: Progress) -> dict[str, Any]:
    """The call's keyword arguments that report each step; empty where the pipeline has none."""
    words = signature(type(pipe).__call__).parameters

    def at_end(pipe: Any, step: int, _time: Any, values: dict[str, Any]) -> dict[str, Any]:
        total = getattr(pipe, "num_timesteps", None) or step + 1
        report("sample", min(1.0, (step + 1) / total))
        return values

    options: dict[str, Any] = {}
    if "callback_on_step_end" in words:
        options["callback_on_step_end"] = at_end
    if "output_type" in words:
        options["output_type"] = "np"
    return options
