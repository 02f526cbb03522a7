"""One training state a file: safetensors for all tensors, JSON in its header for the rest; no pickle.

Written beside the target and renamed, so a reader or a crash never meets half a file. Sharded tensors are
written whole and cut again when read: a file does not tell how many processes made it.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from sorakit.errors import ModelError

__all__ = ["checkpoint_state", "load_checkpoint", "save_checkpoint"]

_FORMAT = "sorakit-checkpoint-1"

Modules = dict[str, nn.Module]
Optimisers = Iterable[torch.optim.Optimizer]


def save_checkpoint(
    path: Path,
    modules: Modules,
    optimisers: Optimisers,
    generator: torch.Generator | None,
    state: dict[str, Any],
    *,
    write: bool = True,
) -> None:
    """Write modules, optimiser states, the generator and the JSON-able `state` to `path`.

    With sharded tensors all processes must call this, and one alone should `write`.
    """
    tensors: dict[str, Tensor] = {} if generator is None else {"generator": generator.get_state()}
    for name, module in modules.items():
        tensors |= {f"{name}/{k}": v for k, v in module.state_dict().items()}
    for i, optimiser in enumerate(optimisers):
        for index, values in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser{i}/{index}/{k}": torch.as_tensor(v) for k, v in values.items()}
    tensors = {k: _whole(v).detach().cpu().contiguous() for k, v in tensors.items()}
    if not write:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        safetensors.torch.save_file(tensors, part, {"format": _FORMAT, "state": json.dumps(state)})
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_checkpoint(
    path: Path, modules: Modules, optimisers: Optimisers, generator: torch.Generator | None
) -> dict[str, Any]:
    """Fill modules, optimisers and generator from `path`; the `state` that was saved comes back.

    Raises `ModelError` when the file is no checkpoint or does not fit the modules.
    """
    state = checkpoint_state(path)
    try:
        with safetensors.safe_open(path, "pt") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - no iterator in safe_open
        for name, module in modules.items():
            like = module.state_dict()
            found = _under(tensors, name)
            module.load_state_dict({k: _cut(v, like[k]) if k in like else v for k, v in found.items()})
        for i, optimiser in enumerate(optimisers):
            _fill(optimiser, _under(tensors, f"optimiser{i}"))
        if generator is not None:
            generator.set_state(tensors["generator"])
    except (OSError, KeyError, IndexError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise ModelError(f"{path} does not fit this recipe: {error}; start with a new folder") from error
    return state


def checkpoint_state(path: Path) -> dict[str, Any]:
    """The JSON-able state in the header of `path`, without its tensors; raises `ModelError`."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
        if header.get("format") != _FORMAT:
            raise ModelError(f"{path} is no training checkpoint of format {_FORMAT}; name another file")
        return cast(dict[str, Any], json.loads(header["state"]))
    except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
        raise ModelError(f"{path} is no training checkpoint: {error}; name another file") from error


def _under(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k.removeprefix(name + "/"): v for k, v in tensors.items() if k.startswith(name + "/")}


def _fill(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    params = [p for group in optimiser.param_groups for p in group["params"]]
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split("/")
        like = params[int(index)]
        states.setdefault(int(index), {})[name] = _cut(value, like) if value.shape == like.shape else value
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})


def _whole(value: Tensor) -> Tensor:
    """`value` with the pieces that other processes hold."""
    gather = getattr(value, "full_tensor", None)
    return value if gather is None else cast(Tensor, gather())


def _cut(value: Tensor, like: Tensor) -> Tensor:
    """`value` sharded as `like` is; each process has read the whole file and keeps its own piece."""
    if not hasattr(like, "full_tensor"):
        return value
    from torch.distributed.tensor import distribute_tensor  # noqa: PLC0415 - slow, rarely needed

    sharded = cast(Any, like)
    here = value.to(like.device)
    return distribute_tensor(here, sharded.device_mesh, sharded.placements, src_data_rank=None)
