import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sorakit.errors import UsageError
from sorakit.model.block import Block, attend
from sorakit.model.patch import patchify, unpatchify
from sorakit.model.rope import FRACTIONAL, fractional, rotary, rotate, turns

sides = st.integers(1, 4)


@settings(max_examples=30, deadline=None)
@given(st.tuples(sides, sides, sides), st.tuples(sides, sides, sides))
def test_unpatchify_is_the_inverse(grid: tuple[int, int, int], patch: tuple[int, int, int]) -> None:
    shape = [g * p for g, p in zip(grid, patch, strict=True)]
    clip = torch.randn(2, 3, *shape)
    tokens = patchify(clip, patch)
    assert tokens.shape == (2, grid[0] * grid[1] * grid[2], 3 * patch[0] * patch[1] * patch[2])
    torch.testing.assert_close(unpatchify(tokens, grid, patch), clip, rtol=0, atol=0)


def test_a_token_is_one_patch() -> None:
    clip = torch.zeros(1, 3, 4, 8, 8)
    clip[:, :, 2:4, 4:8, 0:4] = 1
    lit = patchify(clip, (2, 4, 4)).amax(-1)[0]
    assert lit.nonzero().flatten().tolist() == [6]  # grid (2, 2, 2): t = 1, y = 1, x = 0
    with pytest.raises(UsageError, match="multiples"):
        patchify(clip, (3, 4, 4))


def test_rotary_keeps_norms_and_depends_on_distance_alone() -> None:
    angles = rotary((4, 5, 6), 32)
    assert angles.shape == (120, 16)
    q, k = torch.randn(1, 1, 1, 32), torch.randn(1, 1, 1, 32)
    turned_q, turned_k = (rotate(x.expand(1, 1, 120, 32), turns(angles, x.dtype)) for x in (q, k))
    torch.testing.assert_close(turned_q.norm(dim=-1), q.norm(dim=-1).expand(1, 1, 120))
    logits = (turned_q @ turned_k.transpose(-1, -2))[0, 0].view(4, 5, 6, 4, 5, 6)
    torch.testing.assert_close(logits[0, 1, 2, 2, 3, 3], logits[1, 2, 3, 3, 4, 4], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(logits[0, 0, 0, 0, 0, 1], logits[0, 0, 0, 0, 1, 0])


def test_places_made_in_inference_mode_serve_training() -> None:
    with torch.inference_mode():
        made = rotary((3, 7, 5), 32), fractional((3, 7, 5))
    layer = torch.nn.Linear(FRACTIONAL, 4)
    layer(fractional((3, 7, 5))).sum().backward()
    assert not any(t.is_inference() for t in made)
    assert rotary((3, 7, 5), 32) is made[0]
    assert layer.weight.grad is not None


def test_fractional_coordinates_do_not_know_the_resolution() -> None:
    coarse, fine = fractional((1, 2, 2)), fractional((3, 6, 6)).view(3, 6, 6, FRACTIONAL)
    torch.testing.assert_close(coarse.view(1, 2, 2, FRACTIONAL)[0, 0, 1], fine[1, 1, 4], atol=1e-6, rtol=0)


@pytest.mark.parametrize("biased", [False, True])
def test_attention_written_out_equals_the_fused_kernel(biased: bool) -> None:
    q, k, v = torch.randn(3, 2, 4, 7, 8)
    bias = torch.randn(2, 1, 1, 7) if biased else None
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    torch.testing.assert_close(attend(q, k, v, bias), expected, rtol=1e-5, atol=1e-5)


def test_a_new_block_is_the_identity_and_learns() -> None:
    block = Block(32, 4)
    x, c = torch.randn(2, 5, 32), torch.randn(2, 32)
    torch.testing.assert_close(block(x, c), x)
    block(x, c).square().sum().backward()
    assert block.modulation.weight.grad.abs().sum() > 0
