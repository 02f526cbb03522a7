"""One training state a file: safetensors for all tensors, JSON in its header for the rest; no pickle.

Written beside the target and renamed, so a reader or a crash never meets half a file.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from sorakit.errors import ModelError

__all__ = ["load_checkpoint", "save_checkpoint"]

_FORMAT = "sorakit-checkpoint-1"

Modules = dict[str, nn.Module]
Optimisers = Iterable[torch.optim.Optimizer]


def save_checkpoint(
    path: Path, modules: Modules, optimisers: Optimisers, generator: torch.Generator, state: dict[str, Any]
) -> None:
    """Write modules, optimiser states, the generator and the JSON-able `state` to `path`."""
    tensors: dict[str, Tensor] = {"generator": generator.get_state()}
    for name, module in modules.items():
        tensors |= {f"{name}/{k}": v for k, v in module.state_dict().items()}
    for i, optimiser in enumerate(optimisers):
        for index, values in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser{i}/{index}/{k}": torch.as_tensor(v) for k, v in values.items()}
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        safetensors.torch.save_file(tensors, part, {"format": _FORMAT, "state": json.dumps(state)})
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load_checkpoint(
    path: Path, modules: Modules, optimisers: Optimisers, generator: torch.Generator
) -> dict[str, Any]:
    """Fill modules, optimisers and generator from `path`; the `state` that was saved comes back.

    Raises `ModelError` when the file is no checkpoint or does not fit the modules.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - no iterator in safe_open
        if header.get("format") != _FORMAT:
            raise ModelError(f"{path} is no training checkpoint of format {_FORMAT}; name another file")
        for name, module in modules.items():
            module.load_state_dict(_under(tensors, name))
        for i, optimiser in enumerate(optimisers):
            _fill(optimiser, _under(tensors, f"optimiser{i}"))
        generator.set_state(tensors["generator"])
        state: dict[str, Any] = json.loads(header["state"])
    except (OSError, KeyError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise ModelError(f"{path} does not fit this recipe: {error}; start with a new folder") from error
    return state


def _under(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {k.removeprefix(name + "/"): v for k, v in tensors.items() if k.startswith(name + "/")}


def _fill(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split("/")
        states.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})
