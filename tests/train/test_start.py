from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from sorakit.errors import ModelError, UsageError
from sorakit.generate import load_pipeline
from sorakit.model_info import model_folder
from sorakit.train.checkpoint import checkpoint_state
from sorakit.train.export import export
from sorakit.train.loop import Budget, Run, train
from sorakit.train.parallel import Group
from sorakit.train.recipe import RECIPES
from sorakit.train.start import start_from
from sorakit.train.trainer import Trainer

TINY = replace(RECIPES["tiny"], prompts=2, steps=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose weights no untrained run has."""
    base = tmp_path_factory.mktemp("start")
    train(replace(TINY, seed=5), base / "run", Budget(steps=3))
    export(TINY, base / "run" / "last.safetensors", base / "model", "0.1.0")
    return base / "model"


def test_a_run_begins_where_a_model_ended(model: Path) -> None:
    trainer, pipe = Trainer(TINY), load_pipeline(model)
    probe = trainer.pair.probe.weight.clone() if trainer.pair.probe is not None else torch.zeros(0)
    share = start_from(trainer, model)
    assert 0.9 < share < 1, "all but the probe"
    for found, wanted in ((trainer.pair.dit, pipe.transformer), (trainer.pair.text, pipe.text_encoder)):
        for (name, a), b in zip(found.state_dict().items(), wanted.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, msg=name)
    for a, b in zip(trainer.pair.parameters(), trainer.ema.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert trainer.pair.probe is not None
    assert torch.equal(trainer.pair.probe.weight, probe)


def test_only_what_fits_is_taken(model: Path) -> None:
    finer = replace(TINY, model=dict(TINY.model) | {"patch": (2, 8, 8)})
    trainer, own = Trainer(finer), Trainer(finer)
    assert 0.5 < start_from(trainer, model) < 0.95
    assert torch.equal(trainer.pair.dit.embed.weight, own.pair.dit.embed.weight)
    assert not torch.equal(trainer.pair.text.embedding.weight, own.pair.text.embedding.weight)


def test_a_restarted_run_keeps_its_own_weights_and_says_where_it_began(model: Path, tmp_path: Path) -> None:
    recipe = replace(TINY, bf16=False, warmup=1, decay=1e-9)
    run = Run(start=model)
    whole = train(recipe, tmp_path / "whole", Budget(steps=4), run)
    train(recipe, tmp_path / "parts", Budget(steps=2), run)
    parts = train(recipe, tmp_path / "parts", Budget(steps=4), run)
    for a, b in zip(whole.pair.parameters(), parts.pair.parameters(), strict=True):
        assert torch.equal(a, b)
    said = checkpoint_state(tmp_path / "parts" / "last.safetensors")["ledger"]["start"]
    assert said == "sorakit-tiny 0.1.0"
    export(recipe, tmp_path / "parts" / "last.safetensors", tmp_path / "model", "0.2.0")
    assert "the weights of sorakit-tiny 0.1.0" in (tmp_path / "model" / "MODEL_CARD.md").read_text()
    assert asdict(parts.recipe) == asdict(recipe)


def test_a_model_that_fits_nowhere_is_refused(model: Path) -> None:
    wide = replace(TINY, model=dict(TINY.model) | {"width": 60, "text_width": 60})
    trainer, own = Trainer(wide), Trainer(wide)
    with pytest.raises(ModelError, match="its width"):
        start_from(trainer, model)
    with pytest.raises(ModelError):
        start_from(trainer, model / "nothing")
    for a, b in zip(trainer.pair.parameters(), own.pair.parameters(), strict=True):
        assert torch.equal(a, b)
    trainer.group = Group("fsdp", 0, 2)
    with pytest.raises(UsageError, match="one process"):
        start_from(trainer, model)


def test_a_packaged_model_starts_one_in_latents() -> None:
    trainer = Trainer(RECIPES["full-world-64"])
    assert start_from(trainer, model_folder("full-world")) > 0.9
    assert trainer.ledger.start.startswith("sorakit-full-world ")
