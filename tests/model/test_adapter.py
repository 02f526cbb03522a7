from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from torch import Tensor

from sorakit.errors import ModelError, UsageError
from sorakit.model.dit import VideoDiT

CONFIG = LoraConfig(r=2, target_modules=["qkv", "out"], init_lora_weights=False)


def dit() -> VideoDiT:
    torch.manual_seed(0)
    model = VideoDiT(width=16, depth=2, heads=2, text_width=8)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model.eval()


@torch.no_grad()
def run(model: VideoDiT) -> Tensor:
    g = torch.Generator().manual_seed(1)
    z, tokens = torch.randn(2, 3, 4, 16, 16, generator=g), torch.randn(2, 3, 8, generator=g)
    out: Tensor = model(z, torch.tensor([900.0, 100.0]), tokens, tokens.mean(1))
    return out


def test_off_is_the_base_and_on_is_not() -> None:
    model = dit()
    base = run(model)
    model.add_adapter(CONFIG)
    on = run(model)
    assert (on - base).abs().max() > 1e-3
    model.disable_lora()
    torch.testing.assert_close(run(model), base, rtol=0, atol=0)
    model.enable_lora()
    torch.testing.assert_close(run(model), on, rtol=0, atol=0)
    model.delete_adapters("default")
    torch.testing.assert_close(run(model), base, rtol=0, atol=0)


def test_a_saved_adapter_gives_the_same_output(tmp_path: Path) -> None:
    model = dit()
    model.add_adapter(CONFIG, "style")
    model.save_lora_adapter(tmp_path, "style")
    assert [f.suffix for f in tmp_path.iterdir()] == [".safetensors"]
    again = dit()
    again.load_lora_adapter(tmp_path, adapter_name="other")
    torch.testing.assert_close(run(again), run(model), rtol=0, atol=0)


def test_only_the_adapter_learns() -> None:
    model = dit()
    model.requires_grad_(False)
    model.add_adapter(CONFIG)
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    assert names
    assert all("lora_" in n for n in names)


def test_pickles_and_missing_adapters_are_refused(tmp_path: Path) -> None:
    model = dit()
    model.add_adapter(CONFIG)
    with pytest.raises(UsageError, match="safetensors alone"):
        model.save_lora_adapter(tmp_path, safe_serialization=False)
    torch.save({"x": torch.zeros(1)}, tmp_path / "pytorch_lora_weights.bin")
    with pytest.raises(ModelError, match="give a folder of safetensors"):
        dit().load_lora_adapter(tmp_path)
    with pytest.raises(ModelError):
        dit().load_lora_adapter(tmp_path / "nowhere")
