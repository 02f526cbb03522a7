"""Exercises of notebook 00: read a card, a layer and a mark."""

from typing import Any

from sorakit.nb.exercise import Exercise, same
from sorakit.types import Verdict

__all__ = ["EXERCISES"]


def _signer(answer: Any, verdict: Verdict) -> str | None:
    signer = verdict.evidence.provenance.signer
    return same(answer, signer, "look at the line “Signed by” of the first card, and copy it word for word")


def _layer(answer: Any) -> str | None:
    return same(answer, "watermark", "the card's line “Credential” says whether there was one in the file")


def _two_marks(answer: Any) -> str | None:
    return same(answer, False, "compare second.payload with published.payload")


EXERCISES = (
    Exercise("00.1", "Who signed the clip?", _signer),
    Exercise("00.2", "Which layer answered after a social upload?", _layer),
    Exercise("00.3", "Does the same clip, published twice, carry the same mark?", _two_marks),
)
