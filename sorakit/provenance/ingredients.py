"""Report what a video was made from, ingredient by ingredient, each with a state of its own.

In: the manifests of c2pa-python's report, and a function that verifies one manifest of the store by itself.
Out: nested summaries. That the active manifest is trusted says nothing of its ingredients (C2PA 2.4, section
15.11): each one's credential is verified with the same rules and lists as if it stood alone. What only the
parent's signer could see, that the ingredient's content fitted its credential when it was taken in, rests on
what he recorded.
"""

from collections.abc import Callable
from typing import Any

from sorakit.provenance.codes import about_signer, plain_words
from sorakit.provenance.declarations import (
    AI_TYPES,
    CAPTURE_TYPES,
    clean,
    disclosed,
    items,
    signer_of,
    source_types,
)
from sorakit.provenance.judge import Judgement

__all__ = ["MAX_DEPTH", "MAX_INGREDIENTS", "MAX_VERIFIED", "IngredientReader"]

MAX_DEPTH = 8
MAX_INGREDIENTS = 200
MAX_VERIFIED = 32
"""So many credentials of ingredients are verified by themselves; further ones count as untrusted at best."""

Verify = Callable[[str], Judgement | None]


class IngredientReader:
    """Walks the ingredients of a report; counts and depth are bounded, cycles end.

    `verify` gives the judgement on one manifest by its name, None where it cannot. An ingredient that fails
    declares nothing. `cut`: some were not read, so what they declare is not known.
    """

    def __init__(self, manifests: dict[str, Any], deltas: Any, verify: Verify) -> None:
        self._manifests = manifests
        self._deltas = {
            str(d.get("ingredientAssertionURI")): d.get("validationDeltas") for d in items(deltas, None)
        }
        self._verify = verify
        self._known: dict[str, Judgement | None] = {}
        self._seen = 0
        self.declares_ai = False
        self.declares_capture = False
        self.cut = False

    def read(self, manifest_id: str, depth: int = 0) -> list[dict[str, Any]]:
        """Summaries of the ingredients of manifest `manifest_id`, nested.

        Each has `title`, `relationship`, `manifest_id`, `state` (trusted, valid_untrusted, tampered or
        none), `signer`, `digital_source_type` and all `digital_source_types`, `declares_ai`, `problems` and
        `ingredients`.
        """
        manifest = self._manifests.get(manifest_id)
        found: list[dict[str, Any]] = []
        for ingredient in items(manifest.get("ingredients"), None) if isinstance(manifest, dict) else []:
            self._seen += 1
            if self._seen > MAX_INGREDIENTS or depth >= MAX_DEPTH:
                self.cut = True
                break
            found.append(self._one(ingredient, manifest_id, depth))
        return found

    def _one(self, ingredient: dict[str, Any], parent_id: str, depth: int) -> dict[str, Any]:
        manifest_id = ingredient.get("active_manifest")
        inner = self._manifests.get(manifest_id) if isinstance(manifest_id, str) else None
        inner = inner if isinstance(inner, dict) else None
        state, problems = self._state(ingredient, parent_id, inner)
        types = source_types(inner) if inner else []
        own = clean(str(ingredient.get("digital_source_type") or "").rsplit("/", 1)[-1])
        types = list(dict.fromkeys([*types, *([own] if own else [])]))
        intact = state != "tampered"
        declares_ai = intact and (not AI_TYPES.isdisjoint(types) or (inner is not None and disclosed(inner)))
        self.declares_ai |= declares_ai
        if state == "trusted" and ingredient.get("relationship") == "parentOf" and inner:
            attested = source_types(inner, attested=True)
            self.declares_capture |= not CAPTURE_TYPES.isdisjoint(attested)
        return {
            "title": clean(ingredient.get("title")),
            "relationship": clean(ingredient.get("relationship")),
            "manifest_id": clean(manifest_id),
            "state": state,
            "signer": signer_of(inner) if inner else None,
            "digital_source_type": types[0] if types else None,
            "digital_source_types": types[:20],
            "declares_ai": declares_ai,
            "problems": problems,
            "ingredients": self.read(str(manifest_id), depth + 1) if inner and intact else [],
        }

    def _state(
        self, ingredient: dict[str, Any], parent_id: str, inner: dict[str, Any] | None
    ) -> tuple[str, list[str]]:
        """("trusted", "valid_untrusted", "tampered" or "none", problems)."""
        recorded = _dict(_dict(ingredient.get("validation_results")).get("activeManifest"))
        if inner is None:
            # A credential that its parent's signer found broken, and did not take over.
            then = [c for c in _failures(recorded) if not about_signer(c)]
            return ("tampered", [plain_words(c) for c in then][:20]) if then else ("none", [])
        label = str(ingredient.get("label") or "c2pa.ingredient")
        uri = f"self#jumbf=/c2pa/{parent_id}/c2pa.assertions/{label}"
        failures = _failures(recorded) | _failures(_dict(self._deltas.get(uri)))
        problems = [plain_words(c) for c in sorted(failures) if not about_signer(c)][:20]
        if problems:
            return "tampered", problems
        alone = self._alone(str(ingredient.get("active_manifest")))
        if alone is None:
            return "valid_untrusted", ["its credential could not be verified by itself"]
        return alone.state, alone.problems

    def _alone(self, manifest_id: str) -> Judgement | None:
        if manifest_id not in self._known:
            spent = len(self._known) >= MAX_VERIFIED
            self._known[manifest_id] = None if spent else self._verify(manifest_id)
        return self._known[manifest_id]


def _failures(results: dict[str, Any]) -> set[str]:
    return {str(s.get("code", "")) for s in items(results.get("failure"), None)}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
