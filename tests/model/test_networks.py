from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sorakit.errors import UsageError
from sorakit.model.dit import VideoDiT, forward_flops
from sorakit.model.text import TextEncoder
from sorakit.model.tokenizer import build_tokenizer
from sorakit.world.caption import EXAMPLE, VOCABULARY, encode

SMALL = {"width": 32, "depth": 2, "heads": 2, "text_width": 24}


def text(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(batch, 16, 24), torch.randn(batch, 24)


def stirred(model: torch.nn.Module) -> torch.nn.Module:
    """Zero-initialised layers filled, as after training."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return model.eval()


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("size", [(16, 32, 32), (4, 8, 8), (24, 32, 48), (32, 16, 8)])
def test_any_length_and_size_runs(size: tuple[int, int, int], joint: bool) -> None:
    model = stirred(VideoDiT(**SMALL, joint_text=joint))
    out = model(torch.randn(2, 3, *size), torch.tensor([10.0, 900.0]), *text(2))
    assert out.shape == (2, 3, *size)
    assert out.isfinite().all()


def test_a_side_that_is_no_multiple_is_refused() -> None:
    with pytest.raises(UsageError, match="multiples"):
        VideoDiT(**SMALL)(torch.randn(1, 3, 16, 30, 32), torch.tensor([1.0]), *text(1))
    for width, heads in ((50, 4), (36, 4), (32, 0)):
        with pytest.raises(UsageError, match=f"twice `heads`, got {width} and {heads}"):
            VideoDiT(**SMALL | {"width": width, "heads": heads})
    with pytest.raises(UsageError, match="multiple of its 4 heads, got 30"):
        TextEncoder(width=30)
    with pytest.raises(UsageError, match="prediction"):
        VideoDiT(**SMALL, prediction="z")


def test_a_new_model_predicts_zero() -> None:
    out = VideoDiT(**SMALL)(torch.randn(1, 3, 4, 8, 8), torch.tensor([500.0]), *text(1))
    assert not out.any()


@pytest.mark.parametrize("joint", [False, True])
def test_clips_of_a_batch_do_not_see_each_other(joint: bool) -> None:
    model = stirred(VideoDiT(**SMALL, joint_text=joint))
    z, t, (tokens, pooled) = torch.randn(2, 3, 4, 16, 16), torch.tensor([100.0, 700.0]), text(2)
    both = model(z, t, tokens, pooled)
    for i in range(2):
        alone = model(z[i : i + 1], t[i : i + 1], tokens[i : i + 1], pooled[i : i + 1])
        torch.testing.assert_close(both[i : i + 1], alone, rtol=1e-4, atol=1e-5)


def test_time_and_prompt_change_the_output() -> None:
    model = stirred(VideoDiT(**SMALL))
    z, (tokens, pooled) = torch.randn(1, 3, 4, 16, 16), text(1)
    first = model(z, torch.tensor([100.0]), tokens, pooled)
    assert not torch.allclose(first, model(z, torch.tensor([800.0]), tokens, pooled))
    assert not torch.allclose(first, model(z, torch.tensor([100.0]), tokens, -pooled))


def test_padding_changes_nothing_and_the_empty_prompt_is_the_null_vector() -> None:
    model = TextEncoder(length=16, width=24, heads=2).eval()
    short = torch.from_numpy(encode(EXAMPLE, 9))[None]
    long = torch.from_numpy(encode(EXAMPLE, 16))[None]
    torch.testing.assert_close(model(short)[1], model(long)[1], rtol=1e-5, atol=1e-6)
    tokens, pooled = model(torch.zeros(1, 16, dtype=torch.long))
    torch.testing.assert_close(pooled[0], model.null)
    torch.testing.assert_close(tokens, model.null.expand(1, 16, 24))
    mixed = model(torch.cat([long, torch.zeros_like(long)]))[1]
    torch.testing.assert_close(mixed[0], model(long)[1][0], rtol=1e-5, atol=1e-6)


def test_word_order_matters() -> None:
    model = TextEncoder(length=16, width=24, heads=2).eval()
    one = torch.from_numpy(encode("a red circle and a big cross", 16))[None]
    two = torch.from_numpy(encode("a big circle and a red cross", 16))[None]
    assert not torch.allclose(model(one)[1], model(two)[1], atol=1e-4)


def test_the_tokenizer_agrees_with_encode() -> None:
    tokenizer = build_tokenizer(16)
    assert len(tokenizer) == len(VOCABULARY)
    for prompt in (EXAMPLE, "", "A big red circle moves left on a striped navy background, camera pans left"):
        ids = tokenizer(prompt, padding="max_length", max_length=16).input_ids
        assert ids == encode(prompt, 16).tolist()
    assert tokenizer("a purple circle").input_ids[1] == 1


def test_weights_and_dials_survive_the_disk(tmp_path: Path) -> None:
    model = stirred(VideoDiT(**SMALL, prediction="v", joint_text=True))
    model.save_pretrained(tmp_path)
    again = VideoDiT.from_pretrained(tmp_path, use_safetensors=True, low_cpu_mem_usage=False).eval()
    assert again.prediction == "v"
    assert again.patch == model.patch
    args = (torch.randn(1, 3, 4, 8, 8), torch.tensor([300.0]), *text(1))
    torch.testing.assert_close(again(*args), model(*args), rtol=0, atol=0)


def test_flops_count_what_torch_counts() -> None:
    model = VideoDiT()
    tokens, pooled = torch.randn(1, 16, 128), torch.randn(1, 128)
    with FlopCounterMode(display=False) as counter:
        model(torch.randn(1, 3, 16, 32, 32), torch.tensor([500.0]), tokens, pooled)
    assert forward_flops(model, 16, 32, 32) == pytest.approx(counter.get_total_flops(), rel=0.02)
