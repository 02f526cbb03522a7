"""The mark in a foreign pipeline's noise: the code's signs, the seed's sizes, nothing else moves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sorakit.backends import load_foreign
from sorakit.backends.noise_mark import from_cells, marked, replaced, to_cells
from sorakit.errors import UsageError
from sorakit.latent_mark import payload_for
from sorakit.watermark.latent import read_noise

pytestmark = [
    pytest.mark.filterwarnings("ignore:In CPU autocast:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

KEY, SEED = b"k" * 32, 5
PICTURE = np.full((40, 48, 3), (200, 60, 40), np.uint8)
# Sizes that give each at least 384 values of noise, which a payload needs.
SIZES: dict[str, dict[str, Any]] = {
    "wan": {"frames": 9, "height": 16, "width": 32},
    "ltx": {"frames": 17, "height": 128, "width": 128},
    "cogvideox": {"frames": 9, "height": 32, "width": 64},
    "hunyuan": {"frames": 9, "height": 32, "width": 64},
    "mochi": {"frames": 13, "height": 32, "width": 32},
    "latte": {"frames": 8, "height": 32, "width": 32},
    "svd": {"frames": 6, "height": 32, "width": 32, "image": PICTURE},
    "wan-from-picture": {"frames": 9, "height": 16, "width": 32, "image": PICTURE},
    "ltx-from-picture": {"frames": 25, "height": 128, "width": 128, "image": PICTURE},
    "animatediff": {"frames": 8, "height": 32, "width": 32},
}


def prompt_of(name: str) -> str:
    return "" if name == "svd" else "a red circle"


def start_of(model: Any, name: str, **changes: Any) -> tuple[Any, Any]:
    """What the pipeline starts from, as `prepare_latents` gives it, and the clip."""
    seen: list[Any] = []
    original = type(model.pipe).prepare_latents

    def note(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        seen.append(made)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model.pipe), "prepare_latents", note)
        clip = model.generate(prompt_of(name), **({"seed": SEED, "steps": 2} | SIZES[name] | changes))
    return seen[-1], clip


def noise_in(pipe: Any, name: str, made: Any) -> Any:
    """The noise of what `prepare_latents` gave, as it was drawn."""
    first = made[0] if isinstance(made, tuple) else made
    if name.startswith("ltx"):
        size = SIZES[name]
        t, h, w = (size["frames"] - 1) // 8 + 1, size["height"] // 32, size["width"] // 32
        first = pipe._unpack_latents(first, t, h, w, 1, 1)
    return first / pipe.scheduler.init_noise_sigma if hasattr(pipe.scheduler, "init_noise_sigma") else first


@pytest.mark.parametrize("name", SIZES)
def test_the_pipeline_starts_from_the_marked_noise(name: str, family: Callable[[str], Path]) -> None:
    model = load_foreign(family(name))
    plain, before = start_of(model, name)
    made, clip = start_of(model, name, latent_key=KEY)
    noise, kind = noise_in(model.pipe, name, made), type(model.pipe).__name__
    free = slice(1, None) if name == "ltx-from-picture" else slice(None)  # its first frame is the picture
    cells = to_cells(kind, noise)
    was = to_cells(kind, noise_in(model.pipe, name, plain))
    np.testing.assert_array_equal(np.abs(cells[free]), np.abs(was[free]))
    if name == "ltx-from-picture":
        np.testing.assert_array_equal(cells[:1], was[:1])
        weak = read_noise(cells, KEY, expected=payload_for(KEY, SEED, prompt_of(name)))
        assert weak.found
    else:
        found = read_noise(cells, KEY)
        assert found.payload == f"{payload_for(KEY, SEED, prompt_of(name)):016x}"
        assert found.accuracy == 1.0
    assert not read_noise(was, KEY).found
    assert not read_noise(cells, b"x" * 32).found
    assert clip.generation.parameters["latent_mark"] == "io.github.sorakit.latent.1"
    assert KEY.hex() not in json.dumps(clip.generation.parameters)
    assert "latent_mark" not in before.generation.parameters


@pytest.mark.parametrize("name", ["wan", "ltx-from-picture", "svd"])
def test_without_a_key_nothing_changes_and_with_one_it_repeats(
    name: str, family: Callable[[str], Path]
) -> None:
    model = load_foreign(family(name))
    given = {"seed": SEED, "steps": 2} | SIZES[name]
    before = model.generate(prompt_of(name), **given).frames
    one, two = (model.generate(prompt_of(name), **given, latent_key=KEY).frames for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert (one != before).any()
    assert "prepare_latents" not in vars(model.pipe)
    np.testing.assert_array_equal(before, model.generate(prompt_of(name), **given).frames)


@pytest.mark.parametrize("kind", ["WanPipeline", "CogVideoXPipeline", "Kandinsky5T2VPipeline"])
def test_cells_and_noise_are_each_others_inverse(kind: str) -> None:
    noise = torch.randn(1, 2, 3, 4, 5)
    cells = to_cells(kind, noise)
    assert torch.equal(from_cells(kind, cells), noise)
    assert sorted(cells.shape) == [2, 3, 4, 5]


class Odd:
    """A pipeline that starts from something else than one clip's noise, once or twice."""

    def __init__(self, start: Callable[[], Any], calls: int = 1) -> None:
        self.start, self.calls = start, calls

    def prepare_latents(self) -> Any:
        return self.start()

    def __call__(self) -> None:
        for _ in range(self.calls):
            self.prepare_latents()


@pytest.mark.parametrize(
    ("pipe", "says"),
    [
        (Odd(lambda: torch.zeros(1, 4, 3, 2, 2)), "plain normal noise"),
        (Odd(lambda: torch.randn(1, 4, 1, 2, 2).expand(1, 4, 3, 2, 2)), "plain normal noise"),
        (Odd(lambda: torch.randn(1, 12, 4)), "five axes"),
        (Odd(lambda: torch.randn(2, 4, 3, 2, 2)), "one clip"),
        (Odd(lambda: torch.randn(1, 4, 3, 2, 2), calls=2), "more than once"),
        (Odd(lambda: torch.randn(1, 4, 3, 2, 2), calls=0), "drew no noise"),
    ],
    ids=["zeros", "repeated", "flat", "two clips", "twice", "never"],
)
def test_what_is_not_plain_noise_is_refused(pipe: Any, says: str) -> None:
    with pytest.raises(UsageError, match=says), marked(pipe, 7, KEY, SEED):
        pipe()
    assert "prepare_latents" not in vars(pipe)


def test_a_pipeline_without_the_method_is_refused() -> None:
    with pytest.raises(UsageError, match="has no"), replaced(object(), lambda original: original()):
        pass
