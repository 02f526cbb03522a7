"""Muon: momentum, made orthogonal, for the matrices between hidden features.

In: gradients of 2-D parameters, whole or sharded over processes (FSDP2). Out: updated parameters. After
Jordan et al. 2024 (kellerjordan.github.io/posts/muon), RMS-matched to AdamW as in Liu et al. 2025
(arXiv:2502.16982). It computes what `torch.optim.Muon` does and has the same state, with two differences:

* matrices of one shape go through Newton–Schulz together, as one batched product each;
* a sharded matrix is gathered, and the *whole* of it is made orthogonal (shards apart would be another
  optimiser). Matrices take turns: each process works on its share and deals out the pieces. Momentum stays
  sharded; one group of like matrices is whole at a time.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

__all__ = ["Muon", "local", "orthogonal"]

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum; `params` are matrices, `lr` as for AdamW, no weight decay.

    `dtype`: of the iteration alone. bfloat16 corrects itself well enough; float32 makes runs comparable.

    >>> layer = torch.nn.Linear(4, 4, bias=False)
    >>> layer(torch.ones(1, 4)).sum().backward()
    >>> Muon([layer.weight], lr=1e-2).step()
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        *,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update all parameters that have a gradient; `closure` is not called."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    alike[p.shape].append(p)
            for params in alike.values():
                self._step(params, group["lr"], group["momentum"])

    def _step(self, params: list[Tensor], lr: float, momentum: float) -> None:
        grads = [cast(Tensor, p.grad) for p in params]
        for p, g in zip(params, grads, strict=True):
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(g)
        kept = [self.state[p]["momentum_buffer"] for p in params]
        mine, new = [local(b) for b in kept], [local(g) for g in grads]
        torch._foreach_lerp_(mine, new, 1 - momentum)
        ahead = torch._foreach_lerp(new, mine, momentum)
        if hasattr(params[0], "full_tensor"):
            moves = self._sharded(params, list(ahead))
        else:
            moves = list(orthogonal(torch.stack(list(ahead)).to(self.dtype)).unbind())
        scale = -lr * 0.2 * max(params[0].shape) ** 0.5
        for p, move in zip(params, moves, strict=True):
            local(p).add_(move, alpha=scale)

    def _sharded(self, params: list[Tensor], pieces: list[Tensor]) -> list[Tensor]:
        """What this process holds of the orthogonalised matrices whose pieces are `pieces`."""
        from torch.distributed.tensor import DTensor, distribute_tensor  # noqa: PLC0415 - slow, rarely needed

        like = cast(DTensor, params[0])
        mesh, places = like.device_mesh, like.placements
        whole = [
            DTensor.from_local(piece, mesh, places, shape=p.shape, stride=p.stride()).full_tensor()
            for p, piece in zip(params, pieces, strict=True)
        ]
        rank, size = mesh.get_local_rank(), mesh.size()
        mine = whole[rank::size]
        done = list(orthogonal(torch.stack(mine).to(self.dtype)).unbind()) if mine else []
        out = []
        for i, matrix in enumerate(whole):
            full = done[i // size] if i % size == rank else matrix.to(self.dtype)  # only its form is used
            out.append(distribute_tensor(full.contiguous(), mesh, places, src_data_rank=i % size).to_local())
        return out


def orthogonal(matrices: Tensor) -> Tensor:
    """`(K, M, N)` → matrices with the same singular vectors and values near 1 (0.7 to 1.2).

    Five quintic Newton–Schulz iterations in the matrices' own precision.
    """
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT.contiguous() if tall else matrices  # (K, m, n), m ≤ n
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT  # (K, m, m)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)  # (K, m, n)
    return x.mT if tall else x


def local(tensor: Tensor) -> Tensor:
    """Of a sharded tensor this process's piece; a whole tensor itself."""
    to_local = getattr(tensor, "to_local", None)
    return tensor if to_local is None else cast(Tensor, to_local())
