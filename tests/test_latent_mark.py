"""A mark through the shipped model and back: payload, tampering, wrong key, and the way through a file."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from sorakit.cli.app import app
from sorakit.errors import UsageError
from sorakit.generate import generate, load_pipeline
from sorakit.latent_mark import basis_of, marked_noise, payload_for, read_clip_mark
from sorakit.model_info import model_folder
from sorakit.watermark.keyring import new_key

KEY, PROMPT, SEED = b"k" * 32, "a big red circle moves left on a dotted navy background", 5
FOLDER = model_folder("full-world-64")


@pytest.fixture(scope="module")
def pipe() -> Any:
    return load_pipeline(FOLDER)


@pytest.fixture(scope="module")
def clip() -> Any:
    return generate(PROMPT, seed=SEED, model=FOLDER, latent_key=KEY)


def known(pipe: Any, frames: Any, key: bytes = KEY) -> Any:
    return read_clip_mark(pipe, frames, key, prompt=PROMPT, expected=payload_for(KEY, SEED, PROMPT))


def test_the_noise_is_normal_and_repeats(pipe: Any) -> None:
    a, b = (marked_noise(pipe, (16, 64, 64), 7, KEY, 3) for _ in range(2))
    assert torch.equal(a, b)
    assert a.shape == (1, 48, 4, 8, 8)
    assert float(a.mean()) == pytest.approx(0, abs=0.05)
    assert float(a.std()) == pytest.approx(1, abs=0.03)


def test_equal_arguments_give_equal_clips_and_the_manifest_names_the_scheme(clip: Any) -> None:
    again = generate(PROMPT, seed=SEED, model=FOLDER, latent_key=KEY)
    assert np.array_equal(again.frames, clip.frames)
    assert clip.generation.parameters["latent_mark"] == "io.github.sorakit.latent.1"
    assert KEY.hex() not in repr(clip.generation)


def test_the_provider_reads_it_and_nobody_else(pipe: Any, clip: Any) -> None:
    assert known(pipe, clip.frames).found
    assert not known(pipe, clip.frames, b"x" * 32).found
    assert not known(pipe, generate(PROMPT, seed=SEED, model=FOLDER).frames).found


def test_a_replaced_half_shows(pipe: Any, clip: Any) -> None:
    other, frames = generate(PROMPT, seed=SEED + 1, model=FOLDER).frames, clip.frames.copy()
    frames[8:] = other[8:]
    mark, whole = known(pipe, frames), known(pipe, clip.frames)
    assert whole.frames[2:].mean() - (mark.frames[2:].mean() if mark.found else 0) > 2
    assert not mark.found or mark.frames[:2].mean() > mark.frames[2:].mean() + 1


def test_new_noise_at_each_step_and_a_mark_in_the_first_exclude_each_other(clip: Any) -> None:
    assert clip.generation.parameters["solver"] == "euler"
    assert generate(PROMPT, seed=SEED, model=FOLDER, steps=1).generation.parameters["solver"] == "stochastic"
    with pytest.raises(UsageError, match="no mark in the first could be read; use euler"):
        generate(PROMPT, seed=SEED, model=FOLDER, latent_key=KEY, solver="stochastic")


def test_a_model_that_erases_its_noise_is_refused() -> None:
    with pytest.raises(UsageError, match="erases"):
        generate("a big red circle bounces on a navy background", seed=1, latent_key=KEY)


@pytest.mark.slow
def test_the_way_through_a_published_file(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SORAKIT_HOME", str(way.settings.home))
    key = new_key(way.settings.keys_dir)
    made = generate(PROMPT, seed=SEED, model=FOLDER, latent_key=key.secret)
    done = way.publish(made)
    run = CliRunner().invoke(
        app, ["inspect-latent", str(done.path), "--prompt", PROMPT, "--seed", str(SEED), "--json"]
    )
    assert run.exit_code == 0, run.output
    said = json.loads(run.stdout)
    assert said["algorithm"] == "io.github.sorakit.latent.1"
    assert key.secret.hex() not in run.output
    assert said["found"] is (said["log10_p"] <= -9)
    assert Path(said["file"]) == done.path


class NoDouble(torch.Tensor):
    """What an Apple GPU's tensor does: `cpu` brings it here, and it has no float64."""

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.cpu:
            return args[0].as_subclass(torch.Tensor)
        if func is torch.Tensor.double:
            raise TypeError("the device has no float64")
        return super().__torch_function__(func, types, args, kwargs or {})


def test_the_basis_needs_no_float64_on_the_device(pipe: Any) -> None:
    weight = pipe.transformer.embed.weight.detach().as_subclass(NoDouble)
    model = SimpleNamespace(embed=SimpleNamespace(weight=weight), patch=pipe.transformer.patch)
    there, here = basis_of(SimpleNamespace(transformer=model)), basis_of(pipe)  # type: ignore[arg-type]
    assert torch.equal(there.vectors, here.vectors)
