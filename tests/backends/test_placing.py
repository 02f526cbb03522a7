"""Quantisation: what is asked of which package, and what is refused without one."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sorakit.backends import load_foreign
from sorakit.backends.placing import place, quantisation
from sorakit.backends.vetting import Index, Part
from sorakit.errors import ModelError, UsageError

Copy = Callable[..., Path]

PARTS = (
    Part("transformer", "diffusers", "WanTransformer3DModel"),
    Part("text_encoder", "transformers", "UMT5EncoderModel"),
    Part("vae", "diffusers", "AutoencoderKLWan"),
)


@pytest.fixture
def bitsandbytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty package of that name that can be found: enough to build a configuration."""
    for name in ("bitsandbytes", "bitsandbytes-0.49.0.dist-info"):
        (tmp_path / "site" / name).mkdir(parents=True)
    (tmp_path / "site" / "bitsandbytes" / "__init__.py").touch()
    about = "Metadata-Version: 2.1\nName: bitsandbytes\nVersion: 0.49.0\n"
    (tmp_path / "site" / "bitsandbytes-0.49.0.dist-info" / "METADATA").write_text(about)
    monkeypatch.syspath_prepend(tmp_path / "site")


ABSENT = pytest.mark.skipif(
    any(map(find_spec, ("bitsandbytes", "torchao"))), reason="a package that quantises is installed"
)
CPU, INDEX_OF_WAN = torch.device("cpu"), Index("WanPipeline", PARTS)


@ABSENT
def test_quantising_without_a_package(copy: Copy) -> None:
    assert quantisation("none", CPU, INDEX_OF_WAN, torch.bfloat16) is None
    with pytest.raises(UsageError, match="`quantise` must be"):
        quantisation("2bit", CPU, INDEX_OF_WAN, torch.bfloat16)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="pip install torchao"):
        load_foreign(copy(), quantise="8bit")
    with pytest.raises(UsageError, match="pip install bitsandbytes"):
        load_foreign(copy("ltx"), quantise="4bit")


@ABSENT
@pytest.mark.usefixtures("bitsandbytes")
def test_quantising_through_bitsandbytes_needs_cuda(copy: Copy) -> None:
    with pytest.raises(UsageError, match="bitsandbytes and CUDA"):
        load_foreign(copy(), quantise="8bit")
    with pytest.raises(UsageError, match="`device` cuda"):
        load_foreign(copy("ltx"), quantise="4bit")


@ABSENT
@pytest.mark.usefixtures("bitsandbytes")
@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_only_the_large_parts_are_quantised(bits: Any) -> None:
    config = quantisation(bits, torch.device("cuda"), INDEX_OF_WAN, torch.bfloat16)
    assert set(config.quant_mapping) == {"transformer", "text_encoder"}
    for name, library in (("transformer", "diffusers"), ("text_encoder", "transformers")):
        part = config.quant_mapping[name]
        assert type(part).__module__.partition(".")[0] == library
        assert (part.load_in_8bit, part.load_in_4bit) == (bits == "8bit", bits == "4bit")
        if bits == "4bit":
            assert (part.bnb_4bit_quant_type, part.bnb_4bit_compute_dtype) == ("nf4", torch.bfloat16)


@pytest.mark.filterwarnings("ignore::UserWarning:torch", "ignore::DeprecationWarning")
@pytest.mark.skipif(find_spec("torchao") is None, reason="torchao is not installed")
def test_eight_bits_through_torchao_stay_close(copy: Copy) -> None:
    folder, size = copy(), {"steps": 2, "frames": 9, "height": 16, "width": 32}
    full = load_foreign(folder).generate("a red circle", seed=1, **size)
    model = load_foreign(folder, quantise="8bit")
    kinds = {type(w.data).__name__ for w in model.pipe.transformer.parameters()}
    assert "Int8Tensor" in kinds
    clip = model.generate("a red circle", seed=1, **size)
    assert clip.generation is not None
    assert clip.generation.parameters["quantise"] == "8bit"
    assert 0 < np.abs(clip.frames.astype(int) - full.frames).mean() < 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_a_model_quantised_on_a_gpu_makes_a_clip(bits: Any, copy: Copy) -> None:
    model = load_foreign(copy(), device="cuda", quantise=bits)
    clip = model.generate("a red circle", seed=1, steps=2, frames=9, height=16, width=32)
    assert clip.generation is not None
    assert clip.generation.parameters["quantise"] == bits


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), ModelError, "use `offload`"),
        (RuntimeError("CUDA error: invalid device ordinal"), UsageError, "cuda:7 cannot be used: .*ordinal"),
    ],
)
def test_a_gpu_that_is_too_small_or_missing(error: Exception, kind: type[Exception], says: str) -> None:
    class Pipe:
        """As large as the error says."""

        def to(self, _device: Any) -> None:
            raise error

    with pytest.raises(kind, match=says):
        place(Pipe(), torch.device("cuda:7"), "none")
