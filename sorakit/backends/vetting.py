"""Which pipeline folders may be loaded: a folder names classes and files, and must not choose what runs.

In: a folder in diffusers' layout. Out: its `Index`, or `ModelError`. Checked before anything is loaded:

- the pipeline is one that diffusers exports, and each part a model, scheduler, guider, tokenizer or processor
  of diffusers or transformers; no module is imported because a folder names it;
- weights are safetensors, also those that an index of shards lists (it can name a pickle, or a file outside);
- no file redirects the load: code beside a part, `auto_map`, an adapter's base model, a kernel to fetch;
- names are plain, so that none leads out of the folder; JSON is small enough to read.
"""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import Parameter, signature
from pathlib import Path
from types import ModuleType
from typing import Any

from sorakit.errors import ModelError

__all__ = ["INDEX", "Index", "Part", "is_model", "part_class", "read_index", "vet_classes", "vet_files"]

INDEX = "model_index.json"

_MAX_INDEX = 1 << 20
_MAX_JSON = 1 << 26  # the largest vocabularies take some 35 MB
_PART = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CLASS = re.compile(r"[A-Z][A-Za-z0-9_]{0,127}")
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}\.safetensors")
_VOCABULARIES = {"tokenizer.json", "vocab.json"}
_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl")


@dataclass(frozen=True, slots=True)
class Part:
    """One component: its folder's name, the library it comes from, and its class there."""

    name: str
    library: str
    kind: str


@dataclass(frozen=True, slots=True)
class Index:
    """What `model_index.json` says: the pipeline's class, and its parts that are not null."""

    pipeline: str
    parts: tuple[Part, ...]


def read_index(folder: Path) -> Index:
    """The folder's index, its names checked to be plain names; imports nothing.

    Raises `ModelError` when the file is missing, too large, not JSON, or names anything unusual.
    """
    if not (folder / INDEX).is_file():
        raise ModelError(
            f"{folder} holds neither sorakit.json nor {INDEX}: it is no model folder that can be used here"
        )
    data = _read_json(folder / INDEX, _MAX_INDEX)
    kind = data.get("_class_name")
    if isinstance(kind, list):
        raise ModelError(f"{folder} asks for pipeline code of its own; only diffusers' own classes are run")
    if not isinstance(kind, str) or not _CLASS.fullmatch(kind):
        raise ModelError(f"`_class_name` in {folder / INDEX} must be a class of diffusers, got {kind!r:.80}")
    parts = []
    for name, value in data.items():
        if name.startswith("_") or value is None or isinstance(value, bool | int | float):
            continue  # notes of diffusers, and plain settings of the pipeline
        if value == [None, None]:
            continue
        parts.append(_part(folder, name, value))
    return Index(kind, tuple(parts))


def vet_classes(index: Index) -> Any:
    """The pipeline's class, when it and the class of each part may be used; else `ModelError`."""
    pipeline = _pipeline_class(index.pipeline)
    for part in index.parts:
        part_class(part)
    optional = set(getattr(pipeline, "_optional_components", ()))
    needed = {
        name
        for name, p in signature(pipeline.__init__).parameters.items()
        if p.default is Parameter.empty
        and p.kind is Parameter.POSITIONAL_OR_KEYWORD
        and name not in {"self", *optional}
    }
    if missing := sorted(needed - {p.name for p in index.parts}):
        raise ModelError(f"{INDEX} lacks parts that {index.pipeline} needs: {', '.join(missing)}")
    return pipeline


def vet_files(folder: Path, index: Index) -> None:
    """Raise `ModelError` when a part's folder is missing or holds what must not be loaded."""
    for part in index.parts:
        place = folder / part.name
        if not place.is_dir():
            raise ModelError(f"{folder} lacks the folder {part.name}, which {index.pipeline} needs")
        if (place / f"{part.library}.py").exists():
            raise ModelError(f"{place} brings code of its own; only diffusers' and transformers' code is run")
        if (place / "adapter_config.json").exists():
            raise ModelError(f"{place} is an adapter to another model; merge it into its base model first")
        for path in sorted(place.glob("*.json")):
            _vet_json(path)
        if is_model(part_class(part)) and not any(place.glob("*.safetensors")):
            _refuse_weights(place)


def part_class(part: Part) -> type:
    """The class that `part` names, where it is of a kind that may be loaded; else `ModelError`."""
    import transformers  # noqa: PLC0415
    from diffusers.guiders.guider_utils import BaseGuidance  # noqa: PLC0415

    diffusers = _diffusers()
    own = (diffusers.ModelMixin, diffusers.SchedulerMixin, BaseGuidance)
    theirs = (
        transformers.PreTrainedModel,
        transformers.PreTrainedTokenizerBase,
        transformers.FeatureExtractionMixin,
        transformers.ImageProcessingMixin,
        transformers.ProcessorMixin,
    )
    found: Any = None
    bases: tuple[type, ...] = own
    if part.library == "diffusers" and part.kind in diffusers.__all__:
        found = _attribute(diffusers, part.kind)
    elif part.library == "transformers":
        found, bases = _attribute(transformers, part.kind), theirs
    else:  # a part that diffusers keeps beside one pipeline, such as LTX-2's vocoder
        module = _attribute(diffusers.pipelines, part.library)
        if isinstance(module, ModuleType) and module.__name__ == f"diffusers.pipelines.{part.library}":
            found = _attribute(module, part.kind)
    if not isinstance(found, type) or not issubclass(found, bases):
        raise ModelError(
            f"the part {part.name} names {part.library}.{part.kind}, which is no model, scheduler, tokenizer "
            "or processor of the installed diffusers and transformers"
        )
    return found


def is_model(kind: type) -> bool:
    """Whether the class has weights."""
    import torch  # noqa: PLC0415

    return issubclass(kind, torch.nn.Module)


def _part(folder: Path, name: str, value: Any) -> Part:
    pair = value if isinstance(value, list) and len(value) == 2 else ("", "")
    library, kind = (str(x) for x in pair)  # what is no text looks like no name
    if not (_PART.fullmatch(name) and _PART.fullmatch(library) and _CLASS.fullmatch(kind)):
        raise ModelError(
            f"{folder / INDEX} must give each part as a name with [library, class], "
            f"got {name!r:.80}: {value!r:.80}"
        )
    return Part(name, library, kind)


def _pipeline_class(name: str) -> Any:
    diffusers = _diffusers()
    found = _attribute(diffusers, name) if name in diffusers.__all__ else None
    if (
        not isinstance(found, type)
        or not issubclass(found, diffusers.DiffusionPipeline)
        or not found.__module__.startswith("diffusers.pipelines.")
        or found is diffusers.DiffusionPipeline
    ):
        raise ModelError(
            f"{name} is no pipeline of diffusers {diffusers.__version__}, or needs a package that is missing"
        )
    return found


def _diffusers() -> Any:
    import diffusers  # noqa: PLC0415 - heavy
    import transformers  # noqa: F401, PLC0415 - sets up its log, which `_attribute` then quiets

    return diffusers  # its lazy module tells a type checker little


def _attribute(module: ModuleType, name: str) -> Any:
    """`module.name`, or None; both libraries import lazily, and a missing package shows only here."""
    log = logging.getLogger("transformers")
    before = log.level
    log.setLevel(logging.ERROR)  # it tells at length that it does without torchvision
    try:
        return getattr(module, name, None)
    except (ImportError, RuntimeError):
        return None
    finally:
        log.setLevel(before)


def _vet_json(path: Path) -> None:
    if path.name in _VOCABULARIES:
        _check_size(path, _MAX_JSON)
        return
    data = _read_json(path, _MAX_JSON)
    if path.name.endswith(".index.json"):
        shards = data.get("weight_map")
        named = set(map(str, shards.values())) if isinstance(shards, dict) else {"no weight_map"}
        if odd := sorted(n for n in named if not _SHARD.fullmatch(n)):
            raise ModelError(f"{path} must list safetensors files beside it, got {odd[0]!r:.80}")
    for key, value in _pairs(data):
        if key == "auto_map":
            raise ModelError(f"{path} names code of its own (auto_map), which is never run")
        if key in ("attn_implementation", "_attn_implementation") and "/" in str(value):
            raise ModelError(f"{path} asks to fetch an attention kernel ({value!r:.80}), which is never done")


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    """All keys with their values, at any depth."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from item.items()
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _refuse_weights(place: Path) -> None:
    pickled = sorted(p.name for p in place.iterdir() if p.suffix in _PICKLES)
    if pickled:
        raise ModelError(
            f"{place} holds pickled weights only ({pickled[0]}), which can run code; "
            "use a model whose weights are safetensors"
        )
    raise ModelError(f"{place} holds no weights (*.safetensors)")


def _check_size(path: Path, limit: int) -> None:
    if not path.is_file():
        raise ModelError(f"{path} must be a file")
    if (size := path.stat().st_size) > limit:
        raise ModelError(f"{path} must be at most {limit} bytes, got {size}")


def _read_json(path: Path, limit: int) -> dict[str, Any]:
    _check_size(path, limit)
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not readable as JSON: {str(error)[:200]}") from error
    if not isinstance(data, dict):
        raise ModelError(f"{path} must hold a JSON object, got {type(data).__name__}")
    return data
