"""Several processes, one run: who am I, what do we all agree on, and how the networks are spread.

`accelerate launch --num_processes N -m sorakit.train …` and `torchrun` set RANK, WORLD_SIZE and the rest;
`open_group` reads them. Each process takes every N-th batch of one stream (`Recipe.accumulate` of them make a
step), and gradients are averaged, so that a step equals that of one process with the same recipe.

* ddp: every process holds all weights (`DistributedDataParallel`); bfloat16 by autocast.
* fsdp: weights, gradients, averages and optimiser states are sharded (FSDP2, `fully_shard`, block by block);
  bfloat16 by its mixed-precision policy over float32 shards.

Only gloo on CPUs is tested here; the same calls run over NCCL, which nobody has measured for this kit.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, cast

import torch
import torch.distributed as dist
from torch import nn

from sorakit.errors import UsageError

__all__ = ["ALONE", "Group", "Kind", "open_group", "plain"]

Kind = Literal["single", "ddp", "fsdp"]

_PATIENCE = timedelta(hours=1)
"""While the first process samples and scores, the others wait for it."""


@dataclass(frozen=True, slots=True)
class Group:
    """One process among `size`; the first has `rank` 0 and alone writes files.

    >>> ALONE.agree(0.5, 0.0)
    [0.5, 0.0]
    """

    kind: Kind = "single"
    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def agree(self, *values: float) -> list[float]:
        """`values` as the first process sees them: clocks differ, decisions must not."""
        return self._reduced(values if self.first else [0.0] * len(values))

    def total(self, *values: float) -> list[float]:
        """Sums of `values` over all processes."""
        return self._reduced(values)

    def _reduced(self, values: Any) -> list[float]:
        if self.size == 1:
            return [float(v) for v in values]
        tensor = torch.tensor(values, dtype=torch.float64, device=_device())
        dist.all_reduce(tensor)
        return cast(list[float], tensor.tolist())

    def spread(self, module: nn.Module, bf16: bool) -> nn.Module:
        """`module`, to be called for a loss whose gradients are averaged; its parameters keep their names."""
        if self.kind == "ddp":
            ids = [torch.cuda.current_device()] if torch.cuda.is_available() and _device() != "cpu" else None
            return nn.parallel.DistributedDataParallel(module, device_ids=ids)
        if self.kind == "fsdp":
            shard(module, bf16)
        return module

    def last(self, module: nn.Module, last: bool) -> AbstractContextManager[None]:
        """Around a forward and backward pass: exchange gradients only after the `last` batch of a step."""
        if self.kind == "ddp" and not last:
            return cast(nn.parallel.DistributedDataParallel, module).no_sync()
        if self.kind == "fsdp":
            cast(Any, module).set_requires_gradient_sync(last)
        return nullcontext()


ALONE = Group()
"""One process, no communication."""


def shard(module: nn.Module, bf16: bool) -> None:
    """Shard `module` over all processes: each of its `dit.blocks` by itself, then what is left."""
    from torch.distributed.device_mesh import init_device_mesh  # noqa: PLC0415 - slow to import
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard  # noqa: PLC0415 - slow to import

    policy = MixedPrecisionPolicy(
        param_dtype=torch.bfloat16 if bf16 else None,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,  # targets and noise levels stay in float32
    )
    mesh = init_device_mesh(torch.device(_device()).type, (dist.get_world_size(),))
    for block in cast(Any, module).dit.blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(module, mesh=mesh, mp_policy=policy)


@contextmanager
def open_group(device: str, kind: str = "auto", env: Mapping[str, str] = os.environ) -> Iterator[Group]:
    """The group that the launcher's variables describe; `kind` "auto", "ddp" or "fsdp".

    "auto" is ddp, or fsdp when `accelerate launch --use_fsdp` asks for it. Raises `UsageError` for another
    `kind`, or one without a launcher.
    """
    if kind not in ("auto", "ddp", "fsdp"):
        raise UsageError(f'`parallel` must be "auto", "ddp" or "fsdp", got {kind!r}')
    size = int(env.get("WORLD_SIZE", "1"))
    if size == 1:
        if kind != "auto":
            raise UsageError(
                f"`parallel` {kind} needs several processes: "
                "accelerate launch --num_processes 2 -m sorakit.train …"
            )
        yield ALONE
        return
    asked = env.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
    chosen: Kind = "fsdp" if kind == "fsdp" or (kind == "auto" and asked) else "ddp"
    if device.startswith("cuda"):
        torch.cuda.set_device(int(env.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=_PATIENCE)
    try:
        yield Group(chosen, dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def plain(make: Callable[[], nn.Module], spread: nn.Module) -> nn.Module:
    """A whole copy, on this process, of a module that may be sharded; all processes must call this."""
    full = {k: v.full_tensor() if hasattr(v, "full_tensor") else v for k, v in spread.state_dict().items()}
    module = make()
    module.load_state_dict(full)
    return module


def _device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
