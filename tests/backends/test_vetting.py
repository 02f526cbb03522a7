"""Hostile, broken and absent models are refused before anything of theirs is loaded or run."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sorakit.backends import load_foreign
from sorakit.backends.vetting import INDEX, Index, Part, read_index, vet_classes
from sorakit.errors import ModelError

Copy = Callable[..., Path]

TRAP = 'from pathlib import Path\nPath(__file__).with_suffix(".ran").touch()\n'


def edit(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file; None is written, `...` takes a key out."""
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not ...}))


def pickled(folder: Path, part: str = "transformer") -> Path:
    """Replace a part's safetensors by a pickle of the same weights."""
    weights = next((folder / part).glob("*.safetensors"))
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    return weights.with_suffix(".bin")


# what an index names


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"_class_name": "EvilPipeline"}, "no pipeline of diffusers"),
        ({"_class_name": "DiffusionPipeline"}, "no pipeline of diffusers"),
        ({"_class_name": "AutoencoderKLWan"}, "no pipeline of diffusers"),
        ({"_class_name": ["pipeline", "Evil"]}, "pipeline code of its own"),
        ({"_class_name": "../Evil"}, "must be a class"),
        ({"_class_name": 3}, "must be a class"),
        ({"_class_name": ...}, "must be a class"),
        ({"_class_name": "StableDiffusionPipeline", "vae": ["diffusers", "AutoencoderKL"]}, "lacks parts"),
        ({"transformer": ["antigravity", "System"]}, "antigravity.System"),
        ({"transformer": ["os", "System"]}, "os.System"),
        ({"transformer": ["diffusers", "NoSuchModel"]}, "NoSuchModel"),
        ({"transformer": ["diffusers", "WanPipeline"]}, "WanPipeline"),
        ({"transformer": ["diffusers", "OnnxRuntimeModel"]}, "OnnxRuntimeModel"),
        ({"tokenizer": ["transformers", "AutoTokenizer"]}, "AutoTokenizer"),
        ({"tokenizer": ["transformers", "Trainer"]}, "Trainer"),
        ({"transformer": ["wan", "WanPipeline"]}, "wan.WanPipeline"),
        ({"transformer": ["pipeline_utils", "DiffusionPipeline"]}, "pipeline_utils"),
        ({"transformer": ["diffusers", "__import__"]}, "must give each part"),
        ({"transformer": ["../transformer", "WanTransformer3DModel"]}, "must give each part"),
        ({"transformer": "ab"}, "must give each part"),
        ({"transformer": {"os": 1, "system": 2}}, "must give each part"),
        ({"../../evil": ["diffusers", "WanTransformer3DModel"]}, "must give each part"),
        ({"/etc": ["diffusers", "WanTransformer3DModel"]}, "must give each part"),
        ({"vae": ...}, "lacks parts that WanPipeline needs: vae"),
        ({"vae": [None, None]}, "lacks parts that WanPipeline needs: vae"),
    ],
    ids=str,
)
def test_an_index_cannot_choose_what_runs(changes: dict[str, Any], says: str, copy: Copy) -> None:
    folder = copy()
    edit(folder / INDEX, **changes)
    with pytest.raises(ModelError, match=says):
        load_foreign(folder)
    assert "antigravity" not in sys.modules


def test_a_pipeline_of_pictures_is_refused(tmp_path: Path) -> None:
    index = {
        "_class_name": "DDIMPipeline",
        "unet": ["diffusers", "UNet2DModel"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(ModelError, match="makes no video of a prompt"):
        load_foreign(tmp_path)


def test_a_part_kept_beside_a_pipeline_is_known() -> None:
    index = Index("LTX2Pipeline", (Part("vocoder", "ltx2", "LTX2Vocoder"),))
    with pytest.raises(ModelError, match="lacks parts"):  # the part itself is taken
        vet_classes(index)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"\xff\xfe", b"{" * 5000, b'{"a":' * 200_000, b'{"_class_name": NaN}'],
    ids=["empty", "list", "bytes", "cut", "deep", "odd"],
)
def test_an_index_that_is_no_json(text: bytes, tmp_path: Path) -> None:
    (tmp_path / INDEX).write_bytes(text)
    with pytest.raises(ModelError):
        load_foreign(tmp_path)


def test_huge_json_is_not_read(copy: Copy) -> None:
    folder = copy()
    os.truncate(folder / "vae" / "config.json", 1 << 30)
    with pytest.raises(ModelError, match="at most"):
        load_foreign(folder)
    os.truncate(folder / INDEX, 1 << 30)
    with pytest.raises(ModelError, match="at most 1048576 bytes"):
        read_index(folder)


def test_a_pipe_in_the_place_of_json_does_not_block(copy: Copy) -> None:
    folder = copy()
    (folder / "vae" / "config.json").unlink()
    os.mkfifo(folder / "vae" / "config.json")
    with pytest.raises(ModelError):
        load_foreign(folder)


# weights


@pytest.mark.parametrize("part", ["transformer", "text_encoder", "vae"])
def test_pickled_weights_are_never_read(part: str, copy: Copy) -> None:
    folder = copy()
    name = pickled(folder, part).name
    with pytest.raises(ModelError, match=f"pickled weights only \\({name}"):
        load_foreign(folder)


@pytest.mark.parametrize("part", ["transformer", "text_encoder"])
@pytest.mark.parametrize("target", ["{name}", "../{name}", "/dev/zero", "x/y.safetensors", "..safetensors"])
def test_an_index_of_shards_cannot_lead_elsewhere(part: str, target: str, copy: Copy) -> None:
    """Both libraries unpickle what such an index lists, even where they are told to use safetensors."""
    folder = copy()
    weights = next((folder / part).glob("*.safetensors"))
    keys = list(load_file(weights))
    (folder / part / "other.safetensors").write_bytes(weights.read_bytes())
    name = pickled(folder, part).name
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(keys, target.format(name=name))}
    (folder / part / f"{weights.name}.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="must list safetensors"):
        load_foreign(folder)


@pytest.mark.parametrize("part", ["transformer", "text_encoder", "vae"])
def test_missing_weights_are_not_made_up(part: str, copy: Copy) -> None:
    """Both libraries would fill them with noise and log it."""
    folder = copy()
    weights = next((folder / part).glob("*.safetensors"))
    tensors = load_file(weights)
    gone = sorted(tensors)[3]
    del tensors[gone]
    save_file(tensors, weights, {"format": "pt"})
    with pytest.raises(ModelError, match=f"lacks 1 weights of .*{gone}"):
        load_foreign(folder)


def test_broken_weights(copy: Copy) -> None:
    for part in ("transformer", "text_encoder"):
        folder = copy()
        weights = next((folder / part).glob("*.safetensors"))
        weights.write_bytes(weights.read_bytes()[:300])
        with pytest.raises(ModelError, match="does not load"):
            load_foreign(folder)
        weights.unlink()
        with pytest.raises(ModelError, match="no weights"):
            load_foreign(folder)
        shutil.rmtree(folder)


def test_a_missing_part(copy: Copy) -> None:
    folder = copy()
    shutil.rmtree(folder / "scheduler")
    with pytest.raises(ModelError, match="lacks the folder scheduler"):
        load_foreign(folder)


# files that redirect a load


@pytest.mark.parametrize(
    ("part", "library"), [("transformer", "diffusers"), ("text_encoder", "transformers")]
)
def test_code_beside_a_part_is_never_run(part: str, library: str, copy: Copy) -> None:
    folder = copy()
    trap = folder / part / f"{library}.py"
    trap.write_text(TRAP)
    with pytest.raises(ModelError, match="code of its own"):
        load_foreign(folder)
    assert not trap.with_suffix(".ran").exists()


def test_code_beside_the_index_is_never_run(copy: Copy) -> None:
    folder = copy()
    for name in ("pipeline", "WanPipeline", "diffusers"):
        (folder / f"{name}.py").write_text(TRAP)
    load_foreign(folder)
    assert not list(folder.rglob("*.ran"))


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("text_encoder/config.json", {"auto_map": {"AutoModel": "evil.Evil"}}, "auto_map"),
        ("tokenizer/tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}, "auto_map"),
        ("text_encoder/config.json", {"text_config": {"auto_map": {"AutoConfig": "evil.E"}}}, "auto_map"),
        ("text_encoder/config.json", {"attn_implementation": "evil/kernel"}, "kernel"),
        ("text_encoder/config.json", {"_attn_implementation": {"": "evil/kernel"}}, "kernel"),
    ],
    ids=str,
)
def test_a_configuration_cannot_bring_code(file: str, change: dict[str, Any], says: str, copy: Copy) -> None:
    folder = copy()
    edit(folder / file, **change)
    with pytest.raises(ModelError, match=says):
        load_foreign(folder)


def test_an_adapter_does_not_lead_to_another_model(copy: Copy) -> None:
    folder = copy()
    (folder / "text_encoder" / "adapter_config.json").write_text('{"base_model_name_or_path": "evil/model"}')
    with pytest.raises(ModelError, match="adapter"):
        load_foreign(folder)


def test_a_tokenizer_of_sentencepiece_loads(copy: Copy) -> None:
    """The T5 tokenizers of LTX, CogVideoX and Mochi come as `spiece.model` alone."""
    pieces = pytest.importorskip("sentencepiece.sentencepiece_model_pb2").ModelProto()
    for text, kind, score in (
        ("<pad>", 3, 0), ("</s>", 3, 0), ("<unk>", 2, 0), ("▁", 1, -2), ("▁a", 1, -1), ("▁red", 1, -1),
    ):  # fmt: skip
        piece = pieces.pieces.add()
        piece.piece, piece.type, piece.score = text, kind, score
    pieces.trainer_spec.model_type, pieces.trainer_spec.unk_id = 1, 2
    folder = copy("ltx")
    shutil.rmtree(folder / "tokenizer")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "spiece.model").write_bytes(pieces.SerializeToString())
    (folder / "tokenizer" / "tokenizer_config.json").write_text('{"tokenizer_class": "T5Tokenizer"}')
    edit(folder / INDEX, tokenizer=["transformers", "T5Tokenizer"])
    model = load_foreign(folder)
    assert model.pipe.tokenizer("a red").input_ids == [4, 5, 1]
