"""The C2PA manifest definition of a clip that the kit made, or of a file by another tool that it marks.

In: a `ManifestSpec`. Out: the dict that `sign` takes. C2PA 2.4 (actions v2, ingredient v3), CAWG
training-mining 1.1; the generation assertion also carries what California SB 942 asks for (provider,
system name and version, time, unique id). Every assertion is marked `created`: only those are attested by
the signer.

A generated clip opens with `c2pa.created`. A marked file opens with `c2pa.opened` on its parent: the mark
is no edit by AI, so no edit action carries the declaration. The source type stands on `c2pa.opened` and,
where the parent has no manifest of its own, on the ingredient (the two may not both be there; `sign` sees
to it).
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any, Literal

from sorakit.errors import ProvenanceError
from sorakit.provenance.disclosure import Oversight, ai_disclosure, model_identifier
from sorakit.provenance.labels import LABELS_ASSERTION
from sorakit.provenance.softbinding import SoftBinding, fingerprint_binding, soft_binding
from sorakit.types import Generation, Ingredient, SourceType

__all__ = ["GENERATION_LABEL", "IPTC", "PARENT", "ManifestSpec", "build_manifest"]

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATION_LABEL = "io.github.sorakit.generation"
PARENT = "parent"
"""The parent ingredient's id inside a definition."""

Training = Literal["allowed", "notAllowed", "constrained"]

_BY_MODELS = (SourceType.GENERATED, SourceType.EDITED)
MAX_TEXT = 4000
MAX_DEPTH = 6


@dataclass(frozen=True, slots=True)
class ManifestSpec:
    """What to declare.

    `ingredients`: files besides the one that was marked, one `parentOf` at most (none where a file was
    marked). `training`: whether others may train on it; with `constrained`, `training_info` says under which
    terms. `oversight`: how far a person watched over what the model made.

    `title`: the published file's name. `unique_id`: SB 942's id, unique to this output. `payload_hex` and
    `algorithm`: the invisible mark, both or neither. `prompt_digest`: from `prompts.prompt_digest`; the
    prompt itself goes in only with `disclose_prompt`. `parent_title`: how the source is called in public.
    `fingerprint`: (algorithm, base64) of the marked picture, so that a recovered manifest can be matched to
    a video by anyone. `labels`: from `LabelPlan.assertion`, what was drawn for whom.
    """

    title: str
    kind: Literal["generated", "marked"]
    unique_id: str
    source_type: SourceType = SourceType.GENERATED
    generation: Generation | None = None
    payload_hex: str | None = None
    algorithm: str | None = None
    when: datetime = field(default_factory=lambda: datetime.now(UTC))
    prompt_digest: str | None = None
    disclose_prompt: bool = False
    provider: str = "sorakit"
    parent_title: str = "source video"
    fingerprint: SoftBinding | None = None
    labels: dict[str, Any] | None = None
    ingredients: tuple[Ingredient, ...] = ()
    training: Training = "notAllowed"
    training_info: str | None = None
    oversight: Oversight | None = None


def build_manifest(spec: ManifestSpec) -> dict[str, Any]:
    """The manifest definition for `sign`.

    Raises `ProvenanceError` when the parts do not fit together.

    >>> m = build_manifest(ManifestSpec("a.mp4", "generated", "id-1"))
    >>> m["assertions"][0]["data"]["actions"][0]["action"]
    'c2pa.created'
    """
    if (spec.payload_hex is None) != (spec.algorithm is None):
        raise ProvenanceError("`payload_hex` and `algorithm` must be given together, got one of them")
    if spec.when.tzinfo is None:
        raise ProvenanceError(f"`when` must carry a time zone, got {spec.when.isoformat()}")
    assertions = [
        {
            "label": "c2pa.actions.v2",
            "created": True,
            "data": {"actions": _actions(spec), "allActionsIncluded": True},
        },
        {"label": GENERATION_LABEL, "created": True, "data": _generation(spec)},
        _training_mining(spec),
    ]
    if spec.source_type in _BY_MODELS:
        assertions.append(_disclosure(spec))
    if spec.algorithm is not None and spec.payload_hex is not None:
        assertions.append(soft_binding(spec.algorithm, spec.payload_hex))
    if spec.fingerprint is not None:
        assertions.append(fingerprint_binding(*spec.fingerprint))
    if spec.labels is not None:
        assertions.append({"label": LABELS_ASSERTION, "created": True, "data": spec.labels})
    manifest: dict[str, Any] = {
        "claim_generator_info": [_agent()],
        "title": spec.title[:255],
        "assertions": assertions,
    }
    if sources := _ingredients(spec):
        manifest["ingredients"] = sources
    return manifest


def _agent() -> dict[str, str]:
    return {"name": "sorakit", "version": _version()}


@cache
def _version() -> str:
    """Looked up once: it takes as long as signing a small file."""
    return version("sorakit")


def _ingredients(spec: ManifestSpec) -> list[dict[str, Any]]:
    """The definitions in the order of `sources_of`: the marked file first, then the others."""
    found: list[dict[str, Any]] = []
    if spec.kind == "marked":
        marked = {"title": spec.parent_title[:255], "relationship": "parentOf"}
        found.append(marked | _named(PARENT) | {"digital_source_type": IPTC + spec.source_type})
    for number, one in enumerate(spec.ingredients, 1):
        told = {"title": one.title[:255], "relationship": one.relationship}
        found.append(told | _named(_name_of(number, one)))
    if sum(i["relationship"] == "parentOf" for i in found) > 1:
        raise ProvenanceError("a video has one parent at most; give the other files as inputs or components")
    return found


def _named(name: str) -> dict[str, str]:
    return {"instance_id": name, "label": name}


def _name_of(number: int, ingredient: Ingredient) -> str:
    return PARENT if ingredient.relationship == "parentOf" else f"source_{number}"


def _referred(spec: ManifestSpec, relationship: str) -> dict[str, Any]:
    """The `parameters` that name an action's ingredients; empty where there are none."""
    names = [_name_of(n, i) for n, i in enumerate(spec.ingredients, 1) if i.relationship == relationship]
    return {"parameters": {"ingredientIds": names}} if names else {}


def _actions(spec: ManifestSpec) -> list[dict[str, Any]]:
    common = {"softwareAgent": _agent(), "when": _time(spec.when)}
    source = {"digitalSourceType": IPTC + spec.source_type}
    inputs = _referred(spec, "inputTo")
    if spec.kind == "marked":
        opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [PARENT]}}
        actions: list[dict[str, Any]] = [opened | source | common]
    elif parent := _referred(spec, "parentOf"):
        # Made longer or changed by a model: its own frames go on being what its credential says.
        actions = [{"action": "c2pa.opened"} | parent | common]
        actions.append({"action": "c2pa.edited"} | source | inputs | common)
    else:
        actions = [{"action": "c2pa.created"} | source | inputs | common]
    if placed := _referred(spec, "componentOf"):
        actions.append({"action": "c2pa.placed"} | placed | common)
    if spec.algorithm is not None:
        # bound: the mark is the soft binding of this manifest, so it leads back to it
        actions.append({"action": "c2pa.watermarked.bound"} | common)
    if spec.kind == "marked":
        actions.append({"action": "c2pa.transcoded"} | common)
    return actions


def _generation(spec: ManifestSpec) -> dict[str, Any]:
    """The kit's own assertion; leaves out what is not known rather than writing nulls."""
    data: dict[str, Any] = {
        "provider": spec.provider,
        "system": _agent(),
        "time": _time(spec.when),
        "uniqueId": spec.unique_id,
    }
    if (g := spec.generation) is None:
        return data
    data["model"] = {"name": g.model, "version": g.version} | ({"licence": g.licence} if g.licence else {})
    if g.seed is not None:
        data["seed"] = str(g.seed)  # text: C2PA's JSON takes no integer of 2^63 and above
    if spec.disclose_prompt and g.prompt is not None:
        data["prompt"] = g.prompt[:MAX_TEXT]
    if spec.prompt_digest is not None:
        data["promptDigest"] = spec.prompt_digest
    if shown := g.parameters if spec.disclose_prompt else _without_prompts(g.parameters):
        data["parameters"] = _plain(shown, "parameters", 0)
    return data


def _without_prompts(value: Any) -> Any:
    """What a user typed elsewhere (a negative prompt) is as private as the prompt, at whatever depth."""
    if isinstance(value, dict):
        return {k: _without_prompts(v) for k, v in value.items() if "prompt" not in str(k).lower()}
    return [_without_prompts(v) for v in value] if isinstance(value, list | tuple) else value


def _plain(value: Any, where: str, depth: int) -> Any:
    """`value` in JSON's types, refused when it cannot be."""
    if depth > MAX_DEPTH:
        raise ProvenanceError(f"`generation.{where}` must be at most {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return {str(k)[:255]: _plain(v, f"{where}.{k}", depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value)]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str):
        return value[:MAX_TEXT]
    raise ProvenanceError(
        f"`generation.{where}` must be plain JSON (text, finite numbers, lists, objects), got {value!r:.80}"
    )


def _training_mining(spec: ManifestSpec) -> dict[str, Any]:
    """CAWG training and data mining 1.1."""
    if (spec.training_info is not None) and spec.training != "constrained":
        raise ProvenanceError(f"`training_info` goes with constrained training, got {spec.training}")
    use: dict[str, str] = {"use": spec.training}
    if spec.training_info is not None:
        use["constraint_info"] = spec.training_info[:MAX_TEXT]
    uses = ("data_mining", "ai_inference", "ai_training", "ai_generative_training")
    return {
        "label": "cawg.training-mining",
        "created": True,
        "data": {"entries": {f"cawg.{u}": use for u in uses}},
    }


def _disclosure(spec: ManifestSpec) -> dict[str, Any]:
    """Our own models and those of diffusers are PyTorch's; of another tool's model only its name is known."""
    g = spec.generation
    if g is None:
        return ai_disclosure(oversight=spec.oversight)
    return ai_disclosure(
        "c2pa.types.model.pytorch" if spec.kind == "generated" else "c2pa.types.model",
        name=g.model,
        identifier=model_identifier(g.model, g.version),
        oversight=spec.oversight or ("prompt_guided" if g.prompt else None),
    )


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
