"""Exercises of notebook 13: a threshold from costs, a policy, and a model card."""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError
from sorakit.intervals import wilson_ends
from sorakit.moderation.policy import Policy, judge
from sorakit.moderation.policy_file import parse_policy
from sorakit.nb.exercise import Exercise, call
from sorakit.types import (
    Decision,
    DetectorEvidence,
    Evidence,
    ProvenanceEvidence,
    RecoveryEvidence,
    WatermarkEvidence,
)

__all__ = ["EXERCISES"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_TEAM = "festival team"


def _threshold(answer: Any) -> str | None:
    rng = np.random.default_rng()
    queues = [(60, 0.2, 3.0, 1.0), (120, 0.02, 40.0, 1.0), (90, 0.5, 1.0, 8.0)] * 3 + [(40, 0.001, 1.0, 20.0)]
    hints = (_one_threshold(answer, rng, n, (base, miss, alarm)) for n, base, miss, alarm in queues)
    return next((hint for hint in hints if hint), None)


def _one_threshold(
    answer: Any, rng: np.random.Generator, n: int, terms: tuple[float, float, float]
) -> str | None:
    """One random queue of about `n` clips, two decimals each so that scores occur twice."""
    y = (np.arange(n) % 3 == 0).astype(np.int64)
    s = np.round(1 / (1 + np.exp(-(rng.normal(0, 1, n) + 1.5 * y - 0.75))), 2)
    s[np.argmax(s)] = s.max() if terms[0] > 0.01 else 1.0
    y[np.argmax(s)] = int(terms[0] > 0.01)  # in the last queue a real clip scores highest
    got = call(answer, s.copy(), y.copy(), *terms)
    if not isinstance(got, int | float | np.number):
        return f"a threshold is one number, got {type(got).__name__}"
    best = min(_price(t, s, y, terms) for t in [*s, np.inf])
    if _price(float(got), s, y, terms) <= best + 1e-9:
        return None
    return _slip(float(got), s, y, terms)


def _slip(got: float, s: Floats, y: Ints, terms: tuple[float, float, float]) -> str:
    """What went wrong, by what it would be the best threshold of."""
    base, miss, alarm = terms
    best = min(_price(t, s, y, terms) for t in [*s, np.inf])
    slips = (
        ((base, alarm, miss), "the two costs have changed places: a missed clip costs `miss`"),
        ((float(y.mean()), miss, alarm), "the sample's own share of generated clips is not `base`; rates of "
         "each class first, weights after"),
        ((0.5, miss, alarm), "`base` does not enter: what is 1 in 100 counts as often as 99 in 100"),
    )  # fmt: skip
    for slip, hint in slips:
        if _price(got, s, y, slip) <= min(_price(t, s, y, slip) for t in [*s, np.inf]) + 1e-9:
            return hint
    if _price(np.inf, s, y, terms) <= best + 1e-9:
        return "here the cheapest is to flag nothing; is `np.inf` among the thresholds that you try?"
    after = s[s > got]
    if after.size and _price(float(after.min()), s, y, terms) <= best + 1e-9:
        return "one step too low: a clip that scores exactly the threshold is flagged (>=)"
    return f"a threshold of {got:.3g} costs more than another one would; compute the cost for each"


def _price(t: float, s: Floats, y: Ints, terms: tuple[float, float, float]) -> float:
    base, miss, alarm = terms
    flagged = s >= t
    return float(base * (1 - flagged[y == 1].mean()) * miss + (1 - base) * flagged[y == 0].mean() * alarm)


def _policy(answer: Any) -> str | None:
    if not isinstance(answer, str):
        return f"a policy is text here, got {type(answer).__name__}"
    try:
        policy = parse_policy(answer, "your policy")
    except UsageError as error:
        return str(error)
    if policy.name != "festival":
        return f"its name is {policy.name!r}"
    return _held(policy) or _labelled(policy) or _detector(policy)


def _held(policy: Policy) -> str | None:
    cases = {
        "tampered": Evidence("a.mp4", None, ProvenanceEvidence("tampered", problems=["changed"])),
        "conflict": Evidence(
            "a.mp4",
            None,
            ProvenanceEvidence("trusted", "a camera", declares_capture=True),
            WatermarkEvidence(True, "x", "0" * 16, -20.0),
        ),
        "error": Evidence("a.mp4", None, error="cut off"),
    }
    for name, evidence in cases.items():
        out = judge(evidence, policy)
        if out.decision != name:
            return f"a file that is {name} is decided as {out.decision}; look at `order`"
        if out.follow.action != "hold":
            return f"`then.{name}.action` is {out.follow.action!r}; such a file waits until somebody looked"
        if out.follow.review != _TEAM:
            return f"`then.{name}.review` is {out.follow.review!r}; who looks?"
    return None


def _labelled(policy: Policy) -> str | None:
    mark = WatermarkEvidence(True, "x", "0" * 16, -20.0)
    cases = {
        Decision.AI_DECLARED: Evidence(
            "a.mp4", None, ProvenanceEvidence("trusted", "a maker", declares_ai=True)
        ),
        Decision.AI_RECOVERED: Evidence(
            "a.mp4", None, watermark=mark, recovery=RecoveryEvidence("recovered", "urn:1", 0.99)
        ),
        Decision.AI_WATERMARKED: Evidence("a.mp4", None, watermark=mark),
    }
    for decision, evidence in cases.items():
        out = judge(evidence, policy)
        if out.follow.action != "label":
            return f"a file that is {decision} gets {out.follow.action!r}; what declares AI is shown labelled"
    return None


def _detector(policy: Policy) -> str | None:
    def said(probability: float) -> tuple[Decision, str, str | None]:
        opinion = DetectorEvidence(probability, "likely_ai", "d@1", prior=0.5)
        out = judge(Evidence("a.mp4", None, detector=opinion), policy)
        return out.decision, out.follow.action, out.follow.review

    wanted = {0.995: Decision.LIKELY_AI, 0.93: Decision.UNCERTAIN, 0.7: Decision.NO_EVIDENCE}
    for probability, decision in wanted.items():
        found = said(probability)[0]
        if found is not decision:
            return (
                f"a clip that scores {probability} where half of all clips are generated becomes {found}; "
                "look at `detector`: prior, likely_ai, uncertain"
            )
    _, action, review = said(0.995)
    if action != "none":
        return f"`then.likely_ai.action` is {action!r}; nothing is done on a detector's word here"
    if review != _TEAM:
        return f"`then.likely_ai.review` is {review!r}; who looks at it?"
    return None


_EMPTY = (
    "state of the art", "state-of-the-art", "best in class", "cutting edge", "highly accurate",
    "very accurate", "high accuracy", "robust", "reliable", "world-class", "responsibl", "as appropriate",
    "general purpose", "any purpose", "various", "all kinds", "any kind", "misuse", "tbd", "todo", "n/a",
    "lorem",
)  # fmt: skip
_PEOPLE = (
    "person", "people", "human", "moderator", "reviewer", "team", "editor", "teacher", "desk", "staff",
    "somebody", "someone", "journalist", "analyst", "operator", "expert", "jury",
)  # fmt: skip
_WORST = (
    "automat", "proof", "prove", "low score", "alone", "without", "on its own", "by itself", "unflagged",
    "not flagged", "genuine",
)  # fmt: skip


def _card(answer: Any, scores: Floats, labels: Ints) -> str | None:
    if not isinstance(answer, dict):
        return f"a dict was expected, got {type(answer).__name__}"
    fields = ("intended_use", "must_not_use", "figures", "data", "limits")
    if missing := [f for f in fields if not answer.get(f)]:
        return f"nothing stands under {', '.join(missing)}"
    return _texts(answer) or _promises(answer) or _figures(answer["figures"], scores, labels)


def _texts(card: dict[str, Any]) -> str | None:
    must_not = card["must_not_use"]
    if not isinstance(must_not, list | tuple) or len(must_not) < 2:
        return "`must_not_use` is a list of two sentences or more"
    texts = {k: card[k] for k in ("intended_use", "data", "limits")}
    texts |= {f"must_not_use[{i}]": text for i, text in enumerate(must_not)}
    return next((hint for name, text in texts.items() if (hint := _says_something(name, text))), None)


def _promises(card: dict[str, Any]) -> str | None:
    if not any(w in card["intended_use"].lower() for w in _PEOPLE):
        return (
            "`intended_use` does not say who acts on a flag; a detector that acts by itself is another thing"
        )
    if not any(w in " ".join(card["must_not_use"]).lower() for w in _WORST):
        return "`must_not_use` leaves out the worst: acting without a person, or a low score taken as proof"
    if not re.search(r"\d", card["data"]):
        return "`data` names no number: how many clips of each class?"
    return None


def _says_something(name: str, text: Any) -> str | None:
    if not isinstance(text, str):
        return f"`{name}` must be a sentence, got {type(text).__name__}"
    for phrase in _EMPTY:
        if re.search(rf"(?<!not )(?<!less )(?<!un){re.escape(phrase)}", text.lower()):
            return f"`{name}`: “{phrase}” can never turn out wrong, so it says nothing; be concrete"
    if len(text.split()) < 6:
        return f"`{name}` has {len(text.split())} words; say for whom, when, or how much"
    return None


def _figures(figures: Any, scores: Floats, labels: Ints) -> str | None:
    if not isinstance(figures, list | tuple):
        return "`figures` is a list of dicts"
    for i, figure in enumerate(figures):
        if hint := _figure(figure, len(scores)):
            return f"figures[{i}]: {hint}"
    real = np.asarray(scores)[np.asarray(labels) == 0]
    share = float((real >= 0.9).mean())
    told = [f for f in figures if abs(float(f["value"]) - share) < 0.006]
    if not told:
        return "no figure is the share of real clips that score 0.9 or more; count them"
    if all(int(f["n"]) != len(real) for f in told):
        return f"“{told[0]['what']}”: n is {told[0]['n']}, yet it is a share of the {len(real)} real clips"
    return None


def _figure(f: Any, most: int) -> str | None:
    if not isinstance(f, dict) or {"what", "value", "low", "high", "n"} - f.keys():
        return "it needs the keys what, value, low, high and n"
    try:
        value, low, high, n = (float(f[k]) for k in ("value", "low", "high", "n"))
    except (TypeError, ValueError):
        return "value, low, high and n are numbers"
    if not 0 <= low <= value <= high <= 1:
        return "expected 0 ≤ low ≤ value ≤ high ≤ 1, as shares"
    if not 1 <= n <= most or n != int(n):
        return f"n is {f['n']}, but {most} clips were measured; n counts clips"
    ends = wilson_ends(value, n)
    if high - low < 0.5 * (ends[1] - ends[0]):
        return f"an interval of {high - low:.4f} is narrower than {int(n)} clips can give"
    return None


EXERCISES = (
    Exercise("13.1", "The threshold with the lowest expected cost.", _threshold),
    Exercise("13.2", "A policy for a film festival, as YAML.", _policy),
    Exercise("13.3", "A model card with claims that can turn out wrong.", _card),
)
