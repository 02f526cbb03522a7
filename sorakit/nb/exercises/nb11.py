"""Exercises of notebook 11: count wrong bits, bound a false find, and answer for a registry."""

import base64
import math
import random
import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from sorakit.nb.exercise import Exercise, call, near, numbers
from sorakit.registry.record import Record
from sorakit.registry.repo import Registry

__all__ = ["EXERCISES"]

_ALG, _OTHER = "io.github.sorakit.lattice.1", "org.example.mark"


def _error_rate(answer: Any) -> str | None:
    dice = np.random.default_rng()
    for shape in ((32,), (64,), (5, 32), (3, 4, 16)):
        sent = dice.choice([-1.0, 1.0], shape)
        soft = sent * np.abs(dice.normal(2, 1, shape)) * np.where(dice.random(shape) < 0.2, -1, 1)
        soft.flat[0], soft.flat[1] = -sent.flat[0] * 3, sent.flat[1] * 0.5  # one wrong, one right at least
        wrong = float(np.mean(sent * soft < 0))
        got = numbers(call(answer, sent.copy(), soft.copy()))
        if hint := near(got, wrong, _error_hint(got, sent, soft)):
            return hint
    return None


def _error_hint(got: Any, sent: Any, soft: Any) -> str:
    wrong, n = float(np.mean(sent * soft < 0)), sent.size
    told = float(got) if got.ndim == 0 else math.nan
    if math.isclose(told, 1 - wrong, abs_tol=1e-6) and not math.isclose(wrong, 0.5):
        return "that is the share of bits that are right; the error rate counts the others"
    if math.isclose(told, wrong * n, abs_tol=1e-6):
        return "that is a number of bits; a rate is a share, from 0 to 1"
    if math.isclose(told, float(np.mean(sent != soft)), abs_tol=1e-6):
        return "soft values are seldom exactly ±1: compare their signs with what was sent"
    return (
        f"for bits of shape {sent.shape} the share of wrong signs is not {told:.4f}; count over all of them"
    )


def _bound(answer: Any) -> str | None:
    dice = random.Random()  # noqa: S311 - fresh inputs, no secrets
    for n in (64, 404, 1024, dice.randint(100, 2000)):
        for spread in (0.0, 1.0, 2.0, 4.0, 7.5, -2.0):
            k = min(n, round(n / 2 + spread * math.sqrt(n) / 2))
            got = call(answer, n, k)
            try:
                told = float(got)
            except (TypeError, ValueError):
                return f"one number was expected, got {type(got).__name__}"
            if hint := _bound_hint(told, n, k):
                return f"{hint} (n = {n}, k = {k}, yours {told:.3f})"
    return None


def _bound_hint(got: float, n: int, k: int) -> str | None:
    """None where `got` is a valid bound that is no looser than Hoeffding's."""
    exact = math.log10(sum(math.comb(n, i) for i in range(k, n + 1))) - n * math.log10(2)
    lead = max(0, 2 * k - n)
    hoeffding = -(lead**2) / (2 * n) / math.log(10)
    slack = 1e-6 + 1e-4 * abs(hoeffding)
    if exact - slack <= got <= hoeffding + slack:
        return None
    mistakes = {
        -(lead**2) / (2 * n): "that is a natural logarithm; log10 was asked for",
        -(k**2) / (2 * n) / math.log(10): "t is how far agreement leads: votes for minus votes against",
        -((k - n / 2) ** 2) / (2 * n) / math.log(10): "each vote more for is one less against: t counts both",
        -((2 * k - n) ** 2)
        / (2 * n)
        / math.log(10): "at or below half there is nothing to explain: P can be 1",
        10**hoeffding: "that is the probability itself; its log10 was asked for",
    }
    for value, hint in mistakes.items():
        if math.isclose(got, value, rel_tol=1e-3, abs_tol=1e-9):
            return hint
    if not got <= 0:
        return "the log10 of a probability is never above 0"
    if got < exact:
        return "that is below the true chance, so it promises too much; a bound may only err upwards"
    return "that is true, but looser than exp(-t²/2n) allows"


def _resolver(answer: Any) -> str | None:
    dice = random.Random()  # noqa: S311 - fresh inputs, no secrets
    with tempfile.TemporaryDirectory() as folder, Registry(f"sqlite:///{Path(folder) / 'r.db'}") as registry:
        marks = [dice.randbytes(8).hex() for _ in range(3)]
        published = [_add(registry, marks[0], hours) for hours in (1, 5, 3)]
        pending = _add(registry, marks[0], 2, confirm=False)
        foreign = _add(registry, marks[0], 2, algorithm=_OTHER)
        single = _add(registry, marks[1], 1)
        newest_first = [published[0], published[2], published[1]]
        for alg, mark, wanted in (
            (_ALG, marks[0], newest_first),
            (_ALG, marks[1], [single]),
            (_OTHER, marks[0], [foreign]),
            (_ALG, marks[2], []),
        ):
            value = base64.b64encode(bytes.fromhex(mark)).decode()
            got = call(answer, registry, alg, value)
            if hint := _resolver_hint(got, wanted, pending, foreign):
                return hint
    return None


def _add(registry: Registry, mark: str, hours: int, *, algorithm: str = _ALG, confirm: bool = True) -> str:
    name = f"urn:c2pa:{uuid.uuid4()}"
    created = datetime.now(UTC) - timedelta(hours=hours)
    registry.add_pending(Record(name, b"store", "0" * 64, bindings=((algorithm, mark),), created=created))
    if confirm:
        registry.confirm(name)
    return name


def _resolver_hint(got: Any, wanted: list[str], pending: str, foreign: str) -> str | None:
    if not isinstance(got, list | tuple):
        return f"a list of manifest ids was expected, got {type(got).__name__}"
    if any(not isinstance(g, str) for g in got):
        return f"ids were expected, got {type(got[0]).__name__}; each record has a `manifest_id`"
    ids = list(got)
    if ids == wanted:
        return None
    faults = {
        "one of these is pending: its file was perhaps never published, so nobody may learn of it": pending
        in ids,
        "one of these carries that value under another algorithm; ask for both": foreign
        in {*ids} - {*wanted},
        "nothing came back for a mark that is registered; how does the registry write values?": not ids,
        "the right ids in another order; the newest comes first": sorted(ids) == sorted(wanted),
    }
    told = f"{len(ids)} ids came back where {len(wanted)} belong to the mark"
    return next((words for words, holds in faults.items() if holds), told)


EXERCISES = (
    Exercise("11.1", "Compute a bit error rate from what was sent and soft values.", _error_rate),
    Exercise("11.2", "Bound the chance that k of n votes agree on an unmarked video.", _bound),
    Exercise("11.3", "Answer a resolver's query: from a mark's base64 value to manifest ids.", _resolver),
)
