"""Where a pipeline's weights lie and how many bits they take: numeric type, offloading, quantisation.

In: names as people write them. Out: what diffusers takes, or `UsageError` when this machine cannot do it.
Offloading and quantisation are diffusers' own.
"""

from importlib.util import find_spec
from typing import Any, Literal, get_args

from sorakit.backends.vetting import Index
from sorakit.errors import ModelError, UsageError

__all__ = ["Offload", "Quantise", "device_of", "place", "quantisation", "types_of"]

Offload = Literal["none", "model", "sequential"]
Quantise = Literal["none", "8bit", "4bit"]

_TYPES = ("float32", "bfloat16", "float16")
_LARGE = ("transformer", "unet", "text_encoder")
"""Beginnings of the names of parts worth quantising: most of the weights; autoencoders lose too much."""


def device_of(name: str) -> Any:
    """A `torch.device` that is there; raises `UsageError`."""
    import torch  # noqa: PLC0415 - heavy

    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"`device` must be cpu, cuda or mps, got {name!r:.40}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("there is no CUDA device here; use `device` cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("there is no Apple GPU here; use `device` cpu")
    return device


def types_of(dtype: str | None, device: Any, index: Index) -> dict[str, Any]:
    """The numeric type of each part: `dtype`, by default float32 on the CPU and bfloat16 elsewhere.

    Wan's autoencoder always takes float32: its pictures suffer below (diffusers' documentation, page "Wan").
    """
    import torch  # noqa: PLC0415

    if dtype not in (None, *_TYPES):
        raise UsageError(f"`dtype` must be {', '.join(_TYPES)}, got {dtype!r}")
    default = getattr(torch, dtype or ("float32" if device.type == "cpu" else "bfloat16"))
    types = {"default": default}
    return types | {"vae": torch.float32} if index.pipeline.startswith("Wan") else types


def place(pipe: Any, device: Any, offload: Offload) -> None:
    """Move the pipeline to `device`, whole or (`offload`) one part or one layer at a time as it is needed.

    With offloading the autoencoder also works in tiles, where it can: it has the highest peak. Raises
    `UsageError` for what this machine does not have, `ModelError` when the pipeline does not fit on `device`.
    """
    import torch  # noqa: PLC0415

    if offload not in get_args(Offload):
        raise UsageError(f"`offload` must be {', '.join(get_args(Offload))}, got {offload!r}")
    if offload != "none" and device.type == "cpu":
        raise UsageError("`offload` moves weights between memory and a GPU; give `device` cuda as well")
    try:
        _move(pipe, device, offload)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{type(pipe).__name__} does not fit into the memory of {device}; use `offload` model or "
            "sequential, or `quantise`"
        ) from error
    except (RuntimeError, AssertionError) as error:  # such as a GPU of that number that is not there
        raise UsageError(f"`device` {device} cannot be used: {str(error)[:200]}") from error


def _move(pipe: Any, device: Any, offload: Offload) -> None:
    if offload == "none":
        pipe.to(device)
        return
    for saving in ("enable_tiling", "enable_slicing"):
        if callable(enable := getattr(getattr(pipe, "vae", None), saving, None)):
            enable()
    if offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    else:
        pipe.enable_sequential_cpu_offload(device=device)


def quantisation(bits: Quantise, device: Any, index: Index, dtype: Any) -> Any:
    """A `PipelineQuantizationConfig` for the large parts, by bitsandbytes or torchao; None for "none".

    Raises `UsageError` where neither is installed, or not the one that this device and `bits` need.
    """
    if bits not in get_args(Quantise):
        raise UsageError(f"`quantise` must be {', '.join(get_args(Quantise))}, got {bits!r}")
    if bits == "none":
        return None
    package = _package(bits, device)
    from diffusers.quantizers.pipe_quant_config import PipelineQuantizationConfig  # noqa: PLC0415

    large = [p for p in index.parts if p.name.startswith(_LARGE)]
    return PipelineQuantizationConfig(
        quant_mapping={p.name: _configuration(package, bits, p.library, dtype) for p in large}
    )


def _package(bits: Quantise, device: Any) -> str:
    """By bitsandbytes on CUDA, where it is installed; else by torchao, for 8 bits.

    Torchao's 4 bits need a further package, and skip without a word what their groups do not fit. Diffusers
    is giving quanto up.
    """
    if device.type == "cuda" and find_spec("bitsandbytes"):
        return "bitsandbytes"
    if bits == "8bit" and find_spec("torchao"):
        return "torchao"
    if bits == "8bit":
        raise UsageError("`quantise` needs torchao, or bitsandbytes and CUDA: pip install torchao")
    raise UsageError("`quantise` to 4 bits needs `device` cuda and bitsandbytes: pip install bitsandbytes")


def _configuration(package: str, bits: Quantise, library: str, dtype: Any) -> Any:
    """One part's configuration; diffusers and transformers have a class each."""
    from diffusers.quantizers import quantization_config as ours  # noqa: PLC0415
    from transformers.utils import quantization_config as theirs  # noqa: PLC0415

    home: Any = theirs if library == "transformers" else ours
    if package == "torchao":
        from torchao.quantization import Int8WeightOnlyConfig  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

        return home.TorchAoConfig(Int8WeightOnlyConfig())
    if bits == "8bit":
        return home.BitsAndBytesConfig(load_in_8bit=True)
    return home.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
