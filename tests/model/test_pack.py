from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sorakit.errors import UsageError
from sorakit.model.block import attend
from sorakit.model.dit import VideoDiT
from sorakit.model.pack import apart, fill, pack, run_packed, unpack

PATCH = (4, 8, 8)
SIZES = ((16, 32, 32), (4, 8, 8), (8, 16, 48), (8, 16, 48), (24, 40, 8))
CPU = torch.device("cpu")


def stirred(**options: object) -> VideoDiT:
    """A small model with its zero-initialised layers filled, as after training."""
    torch.manual_seed(0)
    model = VideoDiT(width=32, depth=3, heads=2, text_width=24, **options)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model


def inputs(sizes: Sequence[tuple[int, int, int]] = SIZES) -> dict[str, object]:
    generator = torch.Generator().manual_seed(1)
    k = len(sizes)
    return {
        "clips": [torch.randn(3, *s, generator=generator) for s in sizes],
        "timesteps": torch.linspace(990, 10, k),
        "tokens": [torch.randn(2 + i, 24, generator=generator) for i in range(k)],
        "pooled": torch.randn(k, 24, generator=generator),
        "given": [(torch.rand(s[0], generator=generator) < 0.4).float() for s in sizes],
    }


def alone(model: VideoDiT, x: dict[str, object]) -> list[Tensor]:
    """Each clip in a pass of its own."""
    rows = zip(x["clips"], x["timesteps"], x["tokens"], x["pooled"], x["given"], strict=True)
    return [model(*(value[None] for value in row))[0] for row in rows]


def gradients(model: VideoDiT, out: list[Tensor]) -> list[Tensor]:
    loss = sum((i + 1) * o.square().mean() for i, o in enumerate(out))
    return list(torch.autograd.grad(loss, list(model.parameters())))


def worst(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """Largest difference, as a share of the largest value."""
    pairs = [(x.detach(), y.detach()) for x, y in zip(a, b, strict=True)]
    return max(float((x - y).abs().max() / y.abs().max().clamp(min=1e-3)) for x, y in pairs)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("joint", [False, True])
def test_packed_equals_alone_gradients_too(joint: bool, masked: bool) -> None:
    model, x = stirred(joint_text=joint, given_frames=True, keep_given=True), inputs()
    packed, separate = run_packed(model, **x, masked=masked), alone(model, x)
    assert [o.shape for o in packed] == [c.shape for c in x["clips"]]
    assert worst(packed, separate) < 1e-4
    names = [n for n, _ in model.named_parameters() if joint or not n.startswith("text_tokens")]
    a, b = gradients(model, packed), gradients(model, separate)
    assert len(a) == len(names)
    assert worst(a, b) < 1e-4


def test_packed_equals_padded() -> None:
    """Shorter clips filled up to the longest with junk that a mask hides, as one would without packing."""
    model, x = stirred(), inputs(SIZES[:3])
    packed = pack(x["clips"], PATCH)
    longest = max(packed.lengths)
    seen = {}

    class Padded(torch.nn.Module):
        """A block that runs on the padded row and hands back the real tokens."""

        def __init__(self, block: torch.nn.Module) -> None:
            super().__init__()
            self.block = block

        def forward(self, x: Tensor, c: Tensor, turned: Tensor, **_: object) -> Tensor:
            real = torch.cat([torch.arange(longest) < n for n in packed.lengths])  # (K · longest,)
            owner = torch.arange(len(c)).repeat_interleave(longest)
            row, turns = torch.randn(1, len(real), x.shape[2]), torch.randn(len(real), turned.shape[1])
            row[:, real], turns[real] = x, turned
            visible = (owner[:, None] == owner) & real
            bias = torch.zeros(visible.shape).masked_fill(~visible, float("-inf"))
            seen["padding"] = int((~real).sum())
            return self.block(row, c, turns, bias, owner=owner)[:, real]

    plain = run_packed(model, x["clips"], x["timesteps"], x["tokens"], x["pooled"])
    model.blocks = torch.nn.ModuleList([Padded(b) for b in model.blocks])
    padded = run_packed(model, x["clips"], x["timesteps"], x["tokens"], x["pooled"])
    assert seen["padding"] == 3 * longest - sum(packed.lengths) > 0
    assert worst(plain, padded) < 1e-4


@pytest.mark.parametrize("masked", [False, True])
def test_clips_do_not_see_each_other(masked: bool) -> None:
    model, x = stirred(joint_text=True, given_frames=True), inputs()
    x["clips"] = [c.requires_grad_() for c in x["clips"]]
    out = run_packed(model, **x, masked=masked)
    seen = torch.autograd.grad(out[2].square().sum(), x["clips"], allow_unused=True)
    assert [g is not None and bool(g.any()) for g in seen] == [False, False, True, False, False]


def test_every_condition_is_the_clips_own() -> None:
    model = stirred(joint_text=True, given_frames=True)
    base = run_packed(model, **inputs())
    for name in ("timesteps", "tokens", "pooled", "given"):
        x = inputs()
        x[name] = list(x[name])
        x[name][1] = x[name][1] + 50 if name == "timesteps" else 1 - x[name][1]
        if name in ("timesteps", "pooled"):
            x[name] = torch.stack(x[name])
        moved = [not torch.equal(a, b) for a, b in zip(base, run_packed(model, **x), strict=True)]
        assert moved == [False, True, False, False, False], name


def test_unpack_is_the_inverse() -> None:
    clips = inputs()["clips"]
    for a, b in zip(unpack(pack(clips, PATCH), PATCH), clips, strict=True):
        assert torch.equal(a, b)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=7))
def test_one_by_one_equals_masked(lengths: list[int]) -> None:
    q, k, v = torch.randn(3, 1, 2, sum(lengths), 8)
    looped, masked = (apart(lengths, CPU, masked=m)(q, k, v, None) for m in (False, True))
    torch.testing.assert_close(looped, masked, rtol=1e-5, atol=1e-5)
    edges = [0, *torch.tensor(lengths).cumsum(0).tolist()]
    for a, b in pairwise(edges):
        torch.testing.assert_close(
            looped[:, :, a:b], attend(q[:, :, a:b], k[:, :, a:b], v[:, :, a:b]), rtol=1e-5, atol=1e-5
        )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 50), max_size=40), st.integers(50, 200))
def test_rows_hold_each_clip_once_and_no_two_could_be_one(lengths: list[int], budget: int) -> None:
    rows = fill(lengths, budget)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    loads = sorted(sum(lengths[i] for i in row) for row in rows)
    assert all(0 < load <= budget for load in loads)
    assert len(loads) < 2 or loads[0] + loads[1] > budget


def test_what_does_not_fit_is_refused() -> None:
    model, x = stirred(), inputs()
    with pytest.raises(UsageError, match="as many"):
        run_packed(model, x["clips"][:2], x["timesteps"], x["tokens"], x["pooled"])
    with pytest.raises(UsageError, match="given_frames"):
        run_packed(model, **x)
    with pytest.raises(UsageError, match="multiples"):
        pack([torch.zeros(3, 4, 9, 8)], PATCH)
    with pytest.raises(UsageError, match=r"\(C, T, H, W\)"):
        pack([], PATCH)
    with pytest.raises(UsageError, match="budget"):
        fill([10, 40], 32)
