"""Recipes from TOML files and from `--set`: plain tables in, a checked `Recipe` out.

A file names a `base` recipe to start from and what is different; `[space]` and `[model]` change single fields
of the base's. Without a base there must be a `[space]`. A wrong key is answered with the allowed ones.

    base = "one-object"
    batch = 16
    [model]
    width = 96
    [space]
    textures = ["plain", "striped"]
"""

import dataclasses
import difflib
import inspect
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, create_model

from sorakit.errors import UsageError
from sorakit.train.recipe import RECIPES, Recipe
from sorakit.world.scene import Space

__all__ = ["find_recipe", "override", "read_recipe", "recipe_from"]

_MAX_BYTES = 1 << 20


def find_recipe(name: str) -> Recipe:
    """The recipe of that name, or of the TOML file at that path; raises `UsageError`.

    >>> find_recipe("tiny").batch
    8
    """
    if name in RECIPES:
        return RECIPES[name]
    if name.endswith(".toml"):
        return read_recipe(Path(name))
    raise UsageError(_unknown("recipe", name, RECIPES) + "; or name a .toml file")


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file; raises `UsageError` that says what is wrong and what is allowed."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UsageError(f"{path} is larger than {_MAX_BYTES} bytes; no recipe is")
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"the recipe {path} cannot be read: {error}") from error
    base = table.pop("base", None)
    if base is not None and base not in RECIPES:
        raise UsageError(f"{path}: " + _unknown("base", str(base), RECIPES))
    start = dataclasses.asdict(RECIPES[base]) if base is not None else {}
    table.setdefault("name", path.stem)
    return recipe_from(_merged(start, table), str(path))


def override(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """`recipe` with `settings` such as "batch=16" or "model.width=96"; values are read as TOML, else as text.

    >>> override(find_recipe("tiny"), ["batch=4", "model.width=32"]).model["width"]
    32
    """
    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"`--set` takes KEY=VALUE, got {setting!r}; for example --set batch=16")
        place, *inner = key.strip().split(".")
        if len(inner) > 1:
            raise UsageError(f"`--set` reaches one level deep, such as model.width, got {key!r}")
        value = _value(text.strip())
        _merge_into(changes, {place: {inner[0]: value} if inner else value})
    return recipe_from(_merged(dataclasses.asdict(recipe), changes), "--set") if changes else recipe


def recipe_from(table: Mapping[str, Any], where: str) -> Recipe:
    """A recipe from plain values; `where` they come from is said in the `UsageError` when they do not fit."""
    fields = {f.name for f in dataclasses.fields(Recipe)}
    _check_keys(table, fields, where, "")
    for name, kind in (("space", Space), ("model", dict)):
        inner = table.get(name, {})
        if not isinstance(inner, Mapping):
            raise UsageError(f"{where}: `{name}` must be a table, got {inner!r}")
        if kind is Space:
            _check_keys(inner, {f.name for f in dataclasses.fields(Space)}, where, "space.")
    try:
        model = _model(table.get("model", {}), where)
        recipe = TypeAdapter(Recipe).validate_python({**table, "model": model})
    except ValidationError as error:
        raise UsageError(f"{where}: {_told(error)}") from error
    return recipe


def _model(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The network's arguments, checked against its signature."""
    from sorakit.model.dit import VideoDiT  # noqa: PLC0415 - torch only when a recipe is used

    signature = inspect.signature(VideoDiT.__init__).parameters
    known = {n: p for n, p in signature.items() if p.kind is p.KEYWORD_ONLY}
    _check_keys(given, set(known), where, "model.")
    fields: dict[str, Any] = {n: (p.annotation, p.default) for n, p in known.items()}
    checked = create_model("model", __config__=ConfigDict(extra="forbid"), **fields)(**given)
    return {n: getattr(checked, n) for n in given}


def _check_keys(table: Mapping[str, Any], known: set[str], where: str, prefix: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(f"{where}: " + _unknown("key", prefix + str(key), [prefix + k for k in known]))


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" (nearest: {near[0]})" if near else ""
    return f"no {what} “{name[:60]}”{hint}; allowed are {', '.join(names)}"


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`; tables are merged one level deep."""
    out = {k: dict(v) if isinstance(v, dict) else v for k, v in base.items()}
    _merge_into(out, changes)
    return out


def _merge_into(out: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(out.get(key), dict):
            out[key] = out[key] | dict(value)
        else:
            out[key] = value


def _told(error: ValidationError) -> str:
    """The first things that are wrong, in words."""
    rows = []
    for e in error.errors()[:3]:
        got = repr(e["input"])[:60]
        rows.append(f"`{'.'.join(map(str, e['loc']))}`: {e['msg']}, got {got}")
    return "; ".join(rows)
