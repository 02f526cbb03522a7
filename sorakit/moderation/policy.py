"""A policy: from all layers' evidence to one decision with its reasons, and what follows from it.

In: `Evidence` and a `Policy`, one of the shipped ones or a YAML file. Out: `Outcome`. A policy says which
rule counts first, from which probability at which prior the detector's word counts, what is done and who
looks at it. It can not make a rule hold that does not (`rules`), let the detector overrule anything else, or
act on the detector's word, or on a lack of evidence, without a person.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from sorakit.moderation.rules import RULES, failure, nothing
from sorakit.prior import at_prior
from sorakit.types import Decision, DetectorEvidence, Evidence

__all__ = ["ACTIONS", "POLICY", "Bands", "Follow", "Outcome", "Policy", "decide", "default_policy", "judge"]

Action = Literal["none", "label", "hold", "reject"]
ACTIONS: dict[Action, str] = {
    "none": "nothing is done",
    "label": "shown with a label that says AI",
    "hold": "not shown until somebody has looked",
    "reject": "not taken",
}
"""What may follow, in plain words."""

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Who = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]

_WEAK = (Decision.LIKELY_AI, Decision.UNCERTAIN)
_ALWAYS_LAST = frozenset({Decision.NO_EVIDENCE, Decision.ERROR})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Bands(_Strict):
    """From which probability, at which share of synthetic clips in the queue, the detector's word counts."""

    prior: float = Field(gt=0, lt=1)
    likely_ai: float = Field(gt=0, le=1)
    uncertain: float = Field(gt=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.uncertain > self.likely_ai:
            raise ValueError(
                f"`uncertain` must not lie above `likely_ai`, got {self.uncertain} and {self.likely_ai}"
            )
        return self


class Follow(_Strict):
    """What follows from a decision: `action`, who looks at it (`review`, nobody if null), and why."""

    action: Action = "none"
    review: Who | None = None
    note: Line | None = None


class Policy(_Strict):
    """A policy. `order`: which decision counts first; `then`: what follows from each, nothing by default.

    >>> default_policy().label
    'default@1'
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    version: int = Field(ge=1, le=1_000_000, strict=True)
    about: Line
    order: tuple[Decision, ...] = tuple(RULES)
    detector: Bands | None = None
    then: Mapping[Decision, Follow] = {}

    @property
    def label(self) -> str:
        """`name@version`, as verdicts and logs say it."""
        return f"{self.name}@{self.version}"

    @property
    def digest(self) -> str:
        """SHA-256 of all that it says, so that a log tells two texts of one version apart."""
        body = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(body.encode()).hexdigest()

    def follow(self, decision: Decision) -> Follow:
        """What follows from `decision`."""
        return self.then.get(decision, _NOTHING)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if sorted(self.order) != sorted(RULES):
            missing = [str(d) for d in RULES if d not in self.order]
            odd = [str(d) for d in self.order if d not in RULES or self.order.count(d) > 1]
            raise ValueError(
                f"`order` must name each of {', '.join(RULES)} once; missing {missing}, too many {odd}"
            )
        if set(self.order[-2:]) != set(_WEAK):
            raise ValueError(
                "`order` must end with likely_ai and uncertain: the detector and claims of unknown signers "
                "never overrule other evidence"
            )
        if self.order.index(Decision.CONFLICT) > self.order.index(Decision.AUTHENTIC_DECLARED):
            raise ValueError(
                "`order` must name conflict before authentic_declared: a capture's credential beside a mark "
                "of generated video is no proof of a capture"
            )
        return self

    @model_validator(mode="after")
    def _with_people(self) -> Self:
        for decision in _WEAK:
            follow = self.follow(decision)
            if follow.action == "reject" or (follow.action != "none" and follow.review is None):
                raise ValueError(
                    f"`then.{decision}` must not be {follow.action!r}"
                    + (" at all" if follow.action == "reject" else " without `review`")
                    + ": nothing is done on a detector's word alone"
                )
        failed = self.follow(Decision.ERROR)
        if failed.action != "none" and failed.review is None:
            raise ValueError(
                f"`then.error` must not be {failed.action!r} without `review`: a check also fails where a "
                "detector crashes or time runs out, which says nothing of the file"
            )
        if self.follow(Decision.NO_EVIDENCE).action != "none":
            raise ValueError("`then.no_evidence.action` must be none: a lack of evidence proves nothing")
        return self


_NOTHING = Follow()


@cache
def default_policy() -> Policy:
    """The policy of those who give none: it decides, and does nothing."""
    return Policy(name="default", version=1, about="Decides what the evidence says, and does nothing.")


POLICY = default_policy().label


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision, its reasons in the order of the policy, and what follows."""

    decision: Decision
    reasons: list[str]
    follow: Follow


def judge(evidence: Evidence, policy: Policy) -> Outcome:
    """The first decision of the policy's order whose rule holds, its reason first, weaker findings after it.

    Where no rule holds and the detector failed, that is an error: a file must not pass for one without
    evidence by ending the detector.

    >>> judge(Evidence(file="a.mp4", sha256=None), default_policy()).decision
    <Decision.NO_EVIDENCE: 'no_evidence'>
    """
    if evidence.error:
        return Outcome(Decision.ERROR, [evidence.error], policy.follow(Decision.ERROR))
    if policy.detector and evidence.detector:
        evidence = replace(evidence, detector=_banded(evidence.detector, policy.detector))
    held = [(d, r) for d in policy.order if (r := RULES[d](evidence))]
    failed = failure(evidence)
    decision = held[0][0] if held else Decision.ERROR if failed else Decision.NO_EVIDENCE
    reasons = [*(r for _, r in held), *filter(None, [failed])] or [nothing(evidence)]
    follow = policy.follow(decision)
    return Outcome(decision, [*reasons, *filter(None, [follow.note])], follow)


def decide(evidence: Evidence) -> tuple[Decision, list[str]]:
    """What the default policy says.

    >>> decide(Evidence(file="a.mp4", sha256=None))[0]
    <Decision.NO_EVIDENCE: 'no_evidence'>
    """
    outcome = judge(evidence, default_policy())
    return outcome.decision, outcome.reasons


def _banded(said: DetectorEvidence, bands: Bands) -> DetectorEvidence | None:
    """The detector's word in the policy's bands; below them there is none.

    One that abstained, or states no prior, stays as it is.
    """
    if said.label == "abstain" or said.probability is None or said.prior is None:
        return said
    moved = at_prior(said, bands.prior)
    p = moved.probability or 0.0
    if p >= bands.likely_ai:
        return replace(moved, label="likely_ai")
    if p >= bands.uncertain:
        reason = f"at {bands.prior:g} of clips synthetic the chance is {p:.2f}"
        return replace(moved, label="uncertain", reasons=[*said.reasons, reason])
    return None
