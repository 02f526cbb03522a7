"""A `Credential`: the C2PA findings on one file or stored manifest, as JSON where it crosses a process.

In: c2pa-python's report and the store's bytes. Out: `Credential`.
"""

from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

from sorakit.provenance.codes import about_signer, plain_words
from sorakit.provenance.declarations import AI_TYPES, CAPTURE_TYPES, clean, items, source_types
from sorakit.provenance.softbinding import SoftBinding
from sorakit.types import ProvenanceEvidence

__all__ = ["Credential", "IngredientReader"]

MAX_DEPTH = 8
MAX_INGREDIENTS = 200


@dataclass(frozen=True, slots=True)
class Credential:
    """The findings, plus what the registry is compared with.

    `soft_bindings`: (algorithm, value) of the active manifest. `store_sha256`: of the whole manifest store.
    `manifest_ids`: labels of all manifests in it, the active one included. `generation`: the kit's own
    assertion, if the active manifest has one.
    """

    provenance: ProvenanceEvidence = field(default_factory=ProvenanceEvidence)
    soft_bindings: list[SoftBinding] = field(default_factory=list)
    store_sha256: str | None = None
    manifest_ids: list[str] = field(default_factory=list)
    generation: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; `from_json` gives the same credential back."""
        result: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return result

    @staticmethod
    def from_json(data: dict[str, Any]) -> "Credential":
        """Raises `pydantic.ValidationError` when `data` is not what `to_json` makes."""
        return _ADAPTER.validate_python(data)


_ADAPTER = TypeAdapter(Credential)


class IngredientReader:
    """Walks the ingredients of a report; counts and depth are bounded, cycles end.

    An ingredient's state rests on what its parent's signer recorded when taking it in, corrected by what
    the reader finds today (the deltas). An ingredient that fails declares nothing.
    """

    def __init__(self, manifests: dict[str, Any], deltas: Any) -> None:
        self._manifests = manifests
        self._deltas = {
            str(d.get("ingredientAssertionURI")): d.get("validationDeltas") for d in items(deltas)
        }
        self._seen = 0
        self.declares_ai = False
        self.declares_capture = False

    def read(self, manifest_id: str, depth: int = 0) -> list[dict[str, Any]]:
        """Summaries of the ingredients of manifest `manifest_id`, nested."""
        manifest = self._manifests.get(manifest_id)
        if depth >= MAX_DEPTH or not isinstance(manifest, dict):
            return []
        found = []
        for ingredient in items(manifest.get("ingredients")):
            self._seen += 1
            if self._seen > MAX_INGREDIENTS:
                break
            found.append(self._one(ingredient, manifest_id, depth))
        return found

    def _one(self, ingredient: dict[str, Any], parent_id: str, depth: int) -> dict[str, Any]:
        manifest_id = ingredient.get("active_manifest")
        inner = self._manifests.get(manifest_id) if isinstance(manifest_id, str) else None
        state, problems = self._state(ingredient, parent_id, present=isinstance(inner, dict))
        types = source_types(inner) if isinstance(inner, dict) else []
        own = clean(str(ingredient.get("digital_source_type") or "").rsplit("/", 1)[-1])
        types = list(dict.fromkeys([*types, *([own] if own else [])]))
        intact = state != "tampered"
        self.declares_ai |= intact and not AI_TYPES.isdisjoint(types)
        if state == "trusted" and ingredient.get("relationship") == "parentOf" and isinstance(inner, dict):
            attested = source_types(inner, attested=True)
            self.declares_capture |= not CAPTURE_TYPES.isdisjoint(attested)
        return {
            "title": clean(ingredient.get("title")),
            "relationship": clean(ingredient.get("relationship")),
            "manifest_id": clean(manifest_id),
            "state": state,
            "digital_source_types": types[:20],
            "problems": problems,
            "ingredients": self.read(str(manifest_id), depth + 1) if inner and intact else [],
        }

    def _state(self, ingredient: dict[str, Any], parent_id: str, *, present: bool) -> tuple[str, list[str]]:
        """("trusted", "valid_untrusted", "tampered" or "none", problems)."""
        if not present:
            return "none", []
        recorded = _dict(_dict(ingredient.get("validation_results")).get("activeManifest"))
        label = str(ingredient.get("label") or "c2pa.ingredient")
        uri = f"self#jumbf=/c2pa/{parent_id}/c2pa.assertions/{label}"
        now = _dict(self._deltas.get(uri))
        failures = {_code(s) for part in (recorded, now) for s in items(part.get("failure"))}
        trusted_now = any(_code(s) == "signingCredential.trusted" for s in items(now.get("success")))
        trusted_then = any(_code(s) == "signingCredential.trusted" for s in items(recorded.get("success")))
        untrusted_now = any(about_signer(_code(s)) for s in items(now.get("failure")))
        if trusted_now:
            failures.discard("signingCredential.untrusted")
        problems = [plain_words(c) for c in sorted(failures)][:20]
        if any(not about_signer(c) for c in failures):
            return "tampered", problems
        return (
            "trusted" if (trusted_now or trusted_then) and not untrusted_now else "valid_untrusted"
        ), problems


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _code(status: dict[str, Any]) -> str:
    return str(status.get("code", ""))
