from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorakit.errors import UsageError
from sorakit.train.recipe import RECIPES, Recipe
from sorakit.train.recipe_file import find_recipe, override, read_recipe, recipe_from
from sorakit.train.summary import summary
from sorakit.world.scene import Space


def test_a_file_changes_a_base(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'base = "one-object"\nbatch = 16\nodds = [1.0]\nshapes = [[8, 32, 32]]\n'
        '[model]\nwidth = 96\npatch = [2, 8, 8]\n[space]\ntextures = ["plain", "striped"]\n'
    )
    recipe, base = find_recipe(str(path)), RECIPES["one-object"]
    assert (recipe.name, recipe.batch, recipe.shape) == ("mine", 16, (8, 32, 32))
    assert recipe.model == base.model | {"width": 96, "patch": (2, 8, 8)}
    assert recipe.space.textures == ("plain", "striped")
    assert recipe.space.combinations == base.space.combinations
    assert recipe.lr == base.lr


def test_a_file_needs_no_base(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text("[space]\ntwo = 0.0\n")
    assert read_recipe(path) == Recipe("own", Space(two=0.0))
    path.write_text("batch = 4\n")
    with pytest.raises(UsageError, match="space"):
        read_recipe(path)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_survives_the_trip_through_json(name: str) -> None:
    assert recipe_from(asdict(RECIPES[name]), "here") == RECIPES[name]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bacth = 3", r"bacth.*nearest: batch.*allowed are about, accumulate"),
        ("[model]\nwidht = 3", r"model\.widht.*nearest: model\.width.*model\.depth"),
        ("[space]\ntow = 1", r"space\.tow.*nearest: space\.two"),
        ('batch = "many"', "batch.*integer.*many"),
        ("batch = 0", "batch.*more than 0"),
        ("text_drop = 2.0", "text_drop.*0 to 1"),
        ("shift = 0", "shift.*more than 0"),
        ("seed = -1", "seed.*0 or more"),
        ("slots = -1", "slots.*0 or more"),
        ("guidance = -1", "guidance.*0 to 100"),
        ("guidance_low = 2", "guidance_low.*0 to 1"),
        ("shapes = [[16, 30, 32]]", r"shapes.*multiples of the model's patch \(4, 8, 8\)"),
        ("[model]\npatch = [4, 8, 0]", "patch.*more than 0"),
        ("odds = [0.5]", "odds.*add up to 1"),
        ('[space]\ncombinations = "some"', "combinations.*held_out"),
        ("[model]\npatch = [1, 2]", "patch"),
        ("model = 3", "table"),
        ('base = "two-objects"', "allowed are full-world"),
        ("batch =", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_allowed(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text if text.startswith("base") else f'base = "tiny"\n{text}')
    with pytest.raises(UsageError, match=said):
        read_recipe(path)


def test_settings_override_fields() -> None:
    recipe = override(
        RECIPES["tiny"], ["batch=4", "model.width=32", 'space.textures=["plain","dotted"]', "name=x y"]
    )
    assert (recipe.batch, recipe.model["width"], recipe.name) == (4, 32, "x y")
    assert recipe.space.textures == ("plain", "dotted")
    assert override(recipe, []) is recipe
    for bad in ("batch", "=3", "model.width.x=3", "depth=3"):
        with pytest.raises(UsageError):
            override(recipe, [bad])


@given(st.text(max_size=40))
def test_any_setting_is_taken_or_refused_in_words(text: str) -> None:
    try:
        override(RECIPES["tiny"], [text])
    except UsageError as error:
        assert str(error)


def test_an_unknown_recipe_is_answered_with_the_known() -> None:
    with pytest.raises(UsageError, match="nearest: one-object"):
        find_recipe("one-objet")
    with pytest.raises(UsageError, match="cannot be read"):
        find_recipe("no-such-file.toml")


def test_a_summary_counts() -> None:
    small, large = summary(RECIPES["tiny"]), summary(RECIPES["full-world"])
    assert 0.1e6 < small["parameters"] < 1e6 < large["parameters"] < 1e7
    assert small["tflop_per_1000_steps"] < large["tflop_per_1000_steps"]
    assert all(r.about for r in RECIPES.values())
