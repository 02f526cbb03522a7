"""What a line of a scan means to the people who work on it: the verdict again, and whether one should look.

In: the JSON of `sorakit check` and `sorakit scan`. Out: a typed `Verdict`; yes or no.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sorakit.errors import InputError
from sorakit.types import Decision, Evidence, Verdict

__all__ = ["needs_person", "verdict_of"]

_EVIDENCE = TypeAdapter(Evidence)
_WEAK = frozenset(
    {Decision.TAMPERED, Decision.CONFLICT, Decision.AI_WATERMARKED, Decision.LIKELY_AI, Decision.UNCERTAIN}
)


def verdict_of(said: Mapping[str, Any]) -> Verdict:
    """The verdict that `Verdict.to_json` wrote; more keys beside its own are left out.

    Raises `InputError` for what is no verdict.

    >>> verdict_of(Verdict(Decision.ERROR, Evidence("a.mp4", None), [], "x@1", 0).to_json()).decision
    <Decision.ERROR: 'error'>
    """
    own = {f.name: said[f.name] for f in fields(Verdict) if f.name in said}
    seen = {f.name: said[f.name] for f in fields(Evidence) if f.name in said}
    try:
        own |= {"decision": Decision(said["decision"]), "evidence": _EVIDENCE.validate_python(seen)}
        return Verdict(**own)
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise InputError(f"no line of a scan, or one of another version: {error}") from error


def needs_person(decision: Decision, review: str | None) -> bool:
    """Whether a person should look: the policy names one, or the evidence is weak or contradicts itself.

    >>> needs_person(Decision.AI_DECLARED, None), needs_person(Decision.AI_DECLARED, "picture desk")
    (False, True)
    """
    return bool(review) or decision in _WEAK
