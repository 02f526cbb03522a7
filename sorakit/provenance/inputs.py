"""Take the files that a video was made from into its manifest, each with its own credential if it has one.

In: a builder, the definitions of ingredients and their files. Out: nothing; the builder holds them. C2PA 2.4,
section 18.16 (ingredients): `parentOf` for what was opened, `componentOf` for what was placed in it,
`inputTo` for what a model was given.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from c2pa import Builder, C2paError, Context, Reader

from sorakit.provenance.context import safe_context
from sorakit.provenance.media import sniff
from sorakit.types import Ingredient, Progress

if TYPE_CHECKING:
    from sorakit.config import Limits

__all__ = ["add_ingredients", "look_at", "look_task"]


def add_ingredients(
    builder: Builder, context: Context, definitions: Sequence[dict[str, Any]], files: Sequence[Path]
) -> None:
    """Record each file by its definition; a manifest of its own already says its source type."""
    for definition, path in zip(definitions, files, strict=True):
        mime = sniff(path) or "application/octet-stream"
        with path.open("rb") as stream:
            has_own = _has_manifest(stream, mime, context)
            told = {k: v for k, v in definition.items() if not (has_own and k == "digital_source_type")}
            stream.seek(0)
            builder.add_ingredient(json.dumps(told), mime, stream)


def look_at(ingredients: Sequence[Ingredient], limits: "Limits") -> tuple[Ingredient, ...]:
    """The ingredients, after their files were read once in a child that may crash or stall.

    Raises the guarded reader's errors for a file that is missing, no picture or video, or hostile.

    >>> look_at([], Limits())  # doctest: +SKIP
    ()
    """
    # Only here, as signing alone does without the video package.
    from sorakit.video.guard import prescan, run_guarded  # noqa: PLC0415

    for one in ingredients:
        prescan(one.path, limits)
    if ingredients:
        run_guarded(
            "sorakit.provenance.inputs:look_task",
            {"paths": [str(i.path.absolute()) for i in ingredients]},
            timeout=limits.check_seconds,
            memory_bytes=limits.memory_bytes,
        )
    return tuple(ingredients)


def look_task(request: dict[str, Any], _progress: Progress) -> dict[str, Any]:
    """Read each file as `add_ingredients` will: in a guarded child, where a hostile one does no harm."""
    with safe_context() as context:
        for path in map(Path, request["paths"]):
            with path.open("rb") as stream:
                _has_manifest(stream, sniff(path) or "application/octet-stream", context)
    return {}


def _has_manifest(stream: BinaryIO, mime: str, context: Context) -> bool:
    try:
        reader = Reader.try_create(mime, stream, context=context)
    except C2paError:
        return False  # a damaged store, or a container that carries none: nothing to take over
    if reader is None:
        return False
    reader.close()
    return True
