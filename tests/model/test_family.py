import runpy
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sorakit.errors import UsageError
from sorakit.model.dit import VideoDiT, forward_flops
from sorakit.model.family import Memory, describe, dit_config, on_meta

CLIP = (16, 32, 32)
FILM = (21, 60, 104)
"""81 frames of 480 × 832 in latents."""


def test_the_small_ones_are_the_recipes_models() -> None:
    for depth, width, heads in ((4, 128, 4), (6, 192, 6)):
        config = dit_config(depth)
        assert (config["width"], config["heads"], config["depth"]) == (width, heads, depth)


def test_the_dial_spans_a_million_to_three_thousand_million() -> None:
    configs = [dit_config(depth, latent=True) for depth in range(1, 65)]
    for config in configs:
        assert config["width"] % config["heads"] == 0
        assert config["width"] // config["heads"] in (32, 64, 128)
    widths = [config["width"] for config in configs]
    assert widths == sorted(widths)
    sizes = {d: sum(p.numel() for p in on_meta(dit_config(d)).parameters()) for d in (3, 4, 30)}
    assert sizes[3] < 1e6 < sizes[4]
    assert 3.0e9 < sizes[30] < 3.4e9
    with pytest.raises(UsageError, match="depth"):
        dit_config(0)


@pytest.mark.parametrize("latent", [False, True])
@pytest.mark.parametrize("depth", [4, 12, 24, 30])
def test_large_ones_have_the_parameters_that_the_dial_promises(depth: int, latent: bool) -> None:
    model = on_meta(dit_config(depth, latent=latent))
    assert all(p.is_meta for p in model.parameters())
    d, text, size = model.width, model.text_width, model.embed.in_features
    blocks = depth * (18 * d * d + 11 * d)
    ends = 2 * size * d + size + d + 25 * d + 257 * d + d * d + d + 2 * (text * d + d) + 2 * d * d + 2 * d
    assert sum(p.numel() for p in model.parameters()) == blocks + ends + model.patch[0] * d
    assert blocks > 0.75 * (blocks + ends)


def test_flops_of_the_largest_are_what_torch_counts() -> None:
    model = on_meta(dit_config(30, latent=True))
    text = torch.empty(1, 8, 1024, device="meta"), torch.empty(1, 1024, device="meta")
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 48, *FILM, device="meta"), torch.empty(1, device="meta"), *text)
    flops = forward_flops(model, *FILM, words=8)
    assert flops == pytest.approx(counter.get_total_flops(), rel=0.001)
    cost = describe(dit_config(30, latent=True), FILM)
    assert (cost.forward_flops, cost.training_flops, cost.tokens) == (flops, 3 * flops, 21 * 30 * 52 + 8)
    assert cost.training_flops == pytest.approx(1.359e15, rel=0.001)


def test_training_is_three_forward_passes() -> None:
    model = on_meta(dit_config(12))
    text = torch.empty(2, 8, 384, device="meta"), torch.empty(2, 384, device="meta")
    with FlopCounterMode(display=False) as counter:
        model(torch.empty(2, 3, *CLIP, device="meta"), torch.empty(2, device="meta"), *text).sum().backward()
    assert 2 * describe(dit_config(12), CLIP).training_flops == pytest.approx(
        counter.get_total_flops(), rel=0.02
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_activations_are_what_a_real_pass_keeps(dtype: torch.dtype) -> None:
    config = dit_config(3)
    model = torch.nn.ModuleList([VideoDiT(**config)]).to(dtype)[0]
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if (where := tensor.untyped_storage().data_ptr()) not in own:
            kept[where] = tensor.untyped_storage().nbytes()
        return tensor

    inputs = torch.randn(4, 3, *CLIP), torch.rand(4), torch.randn(4, 8, 128), torch.randn(4, 128)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = model(*(x if i == 1 else x.to(dtype) for i, x in enumerate(inputs)))
    assert out.requires_grad  # and so the graph, and all that it keeps, lives
    cost = describe(config, CLIP, batch=4)
    memory = cost.fp32 if dtype == torch.float32 else cost.bf16
    assert memory.activations + memory.maps == pytest.approx(sum(kept.values()), rel=0.01)
    assert memory.maps == 3 * 4 * 3 * 72 * 72 * dtype.itemsize


def test_state_is_counted_as_the_training_loop_holds_it() -> None:
    cost = describe(dit_config(30, latent=True), FILM)
    count = cost.parameters
    hidden = 30 * 12 * 2432**2
    assert cost.bf16.weights == 6 * count
    assert cost.fp32.weights == cost.fp32.gradients == cost.fp32.average == 4 * count
    assert cost.fp32.optimiser == 8 * count - 4 * hidden
    assert 60e9 < cost.bf16.state < 65e9
    assert cost.bf16.total == cost.bf16.state + cost.bf16.activations
    assert cost.bf16.activations == pytest.approx(130.3e9, rel=0.01)
    assert cost.fp32.activations == pytest.approx(2 * cost.bf16.activations, rel=0.2)
    assert Memory(1, 2, 3, 4, 5, 6).total == 15


def test_activations_grow_with_the_batch_and_state_does_not() -> None:
    one, four = (describe(dit_config(4), CLIP, batch=b).bf16 for b in (1, 4))
    assert one.state == four.state
    assert four.activations == pytest.approx(4 * one.activations, rel=0.1)  # angles serve all clips


def test_the_table_prints(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(__file__).parents[2] / "benchmarks"
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "argv", ["family.py", "--depths", "4", "30", "--latent"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(folder / "family.py"), run_name="__main__")
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 30")]
    assert len(rows) == 1
    assert "3,219" in rows[0]
    assert "1,359" in rows[0]  # TFLOP to train on a clip
