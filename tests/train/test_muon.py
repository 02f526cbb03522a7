import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sorakit.train.muon import Muon, orthogonal

SHAPES = [(24, 8), (24, 8), (8, 8), (8, 32)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_it_does_what_torch_does(dtype: torch.dtype) -> None:
    """The peer works in bfloat16 alone, so float32 agrees to that precision."""
    generator = torch.Generator().manual_seed(0)
    mine = [torch.nn.Parameter(torch.randn(s, generator=generator)) for s in SHAPES]
    peers = [torch.nn.Parameter(p.detach().clone()) for p in mine]
    ours = Muon(mine, 1e-2, dtype=dtype)
    peer = torch.optim.Muon(peers, 1e-2, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        for p, q in zip(mine, peers, strict=True):
            p.grad = torch.randn(p.shape, generator=generator)
            q.grad = p.grad.clone()
        ours.step()
        peer.step()
    for p, q in zip(mine, peers, strict=True):
        near = 1e-6 if dtype == torch.bfloat16 else 4 * 1e-2 * 0.2 * max(p.shape) ** 0.5 * 0.02
        torch.testing.assert_close(p, q, atol=near, rtol=0)
        torch.testing.assert_close(ours.state[p]["momentum_buffer"], peer.state[q]["momentum_buffer"])


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1000))
def test_singular_values_end_near_one(rows: int, columns: int, seed: int) -> None:
    x = torch.randn(2, rows, columns, generator=torch.Generator().manual_seed(seed))
    values = torch.linalg.svdvals(orthogonal(x))
    small = torch.linalg.svdvals(x) < 0.02 * x.norm(dim=(1, 2))[:, None]  # these have not arrived yet
    assert bool(((values > 0.5) | small).all())
    assert float(values.max()) < 1.3


def test_nothing_moves_without_a_gradient() -> None:
    p = torch.nn.Parameter(torch.ones(3, 3))
    Muon([p], 1.0).step()
    assert torch.equal(p, torch.ones(3, 3))
    p.grad = torch.zeros(3, 3)
    Muon([p], 1.0).step()
    assert torch.equal(p, torch.ones(3, 3))
