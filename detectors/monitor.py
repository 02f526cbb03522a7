"""Drift: do the clips that arrive score as those did that the model was measured on?

In: a log of evidence, JSON lines as `sorakit detect --json` or `check --json` print them or a log of
decisions holds them, and the card. Out: for the score and each family the population stability index (over
tenths; 0.1 to 0.25 is a shift, more a drift) and Kolmogorov & Smirnov's distance with its 1 % bound;
optionally a plot. The card's mix of classes is about half and half: where a queue is mostly real, its score
drifts down, and the families tell more.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sorakit.errors import InputError, ModelError
from sorakit.prior import moved
from sorakit.video._encode import new_file

__all__ = ["MIN_CLIPS", "drift", "ks_distance", "psi"]

Floats = npt.NDArray[np.float64]

MIN_CLIPS = 30
_SHIFT, _DRIFT = 0.1, 0.25
_MAX_LINES = 1_000_000
_MAX_LINE = 64 << 20
"""As a log of decisions has them: the evidence stands in each line whole."""
_ENDS = (0.001, 0.999)
"""Between which the detector keeps its chances, at the prior that its evidence names."""


def drift(log: Path, card: dict[str, Any], plot: Path | None = None) -> dict[str, Any]:
    """Compare the log with the card. Answers `n`, `drifted`, and for each distribution its figures.

    Raises `InputError` for a log with fewer than 30 judged clips, `ModelError` for a card without
    distributions or a plot without Pillow.
    """
    known = card.get("distributions")
    if not isinstance(known, dict) or "values" not in known:
        raise ModelError("the model's card holds no distributions; train it again")
    seen, priors = _read(log, known["values"])
    low, high = (moved(end, prior, 0.5) for end, prior in zip(_ENDS, (min(priors), max(priors)), strict=True))
    n = len(seen["probability"])
    if n < MIN_CLIPS:
        raise InputError(
            f"{log.name} must hold at least {MIN_CLIPS} judged clips, got {n}; gather more first"
        )
    rows = []
    for name, quantiles in known["values"].items():
        x, q = np.array(seen[name]), np.array(quantiles)
        if len(x) < MIN_CLIPS:
            continue
        if name == "probability":  # at a low prior the chances end far from 0: so do those to compare with
            x, q = x.clip(low, high), q.clip(low, high)
        index = psi(x, q)
        distance = ks_distance(x, q, np.array(known["at"]))
        bound = 1.63 * math.sqrt((len(x) + known["n"]) / (len(x) * known["n"]))
        state = "drift" if index > _DRIFT and distance > bound else "shift" if index > _SHIFT else "steady"
        rows.append(
            {"name": name, "n": len(x), "psi": round(index, 4), "ks": round(distance, 4)}
            | {"ks_bound": round(bound, 4), "state": state}
        )
    if plot is not None:
        _draw(rows, seen, known, plot)
    return {"n": n, "drifted": any(r["state"] == "drift" for r in rows), "distributions": rows}


def psi(x: Floats, quantiles: Floats) -> float:
    """Population stability index of `x` over the tenths that `quantiles` (evenly spaced) describe.

    >>> psi(np.linspace(0, 1, 1000), np.linspace(0, 1, 41)) < 0.01
    True
    """
    at = np.linspace(0, 1, len(quantiles))
    edges = np.unique(np.interp(np.arange(1, 10) / 10, at, quantiles))  # fewer where many values are one
    known = np.interp((np.arange(1000) + 0.5) / 1000, at, quantiles)
    counts = [np.bincount(np.searchsorted(edges, v, side="right"), minlength=10) / len(v) for v in (x, known)]
    share, wanted = ((c + 1e-3) / (1 + 1e-2) for c in counts)
    return float(((share - wanted) * np.log(share / wanted)).sum())


def ks_distance(x: Floats, quantiles: Floats, at: Floats) -> float:
    """Largest gap between the distribution of `x` and the one given by its quantiles."""
    values, counts = np.unique(x, return_counts=True)
    after = np.cumsum(counts) / len(x)
    before = after - counts / len(x)
    rise = quantiles + np.arange(len(quantiles)) * 1e-12  # equal quantiles: still a function
    # Just below and just above each value: where many clips have one value, the card's curve jumps too.
    below, above = (np.interp(values + d, rise, at, left=0.0, right=1.0) for d in (-1e-9, 1e-9))
    return float(max(np.abs(above - after).max(), np.abs(below - before).max()))


def _read(log: Path, names: dict[str, Any]) -> tuple[dict[str, list[float]], set[float]]:
    """Chances at even odds and families' weights of the judged clips, and the priors that the log names.

    Other lines are passed over.
    """
    seen: dict[str, list[float]] = {name: [] for name in names}
    priors = {0.5}
    try:
        with log.open("rb") as file:
            for count in range(_MAX_LINES):
                line = file.readline(_MAX_LINE)
                if not line:
                    break
                _take(line, seen, priors, count)
    except OSError as error:
        raise InputError(f"cannot read {log}: {error.strerror}; check its path") from error
    return seen, priors


def _take(line: bytes, seen: dict[str, list[float]], priors: set[float], count: int) -> None:
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"line {count + 1} of the log is no JSON: {error}") from error
    if isinstance(body, dict) and isinstance(body.get("evidence"), dict):  # a log of decisions
        body = body["evidence"]
    found = body.get("detector") if isinstance(body, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("probability"), float):
        return
    prior = found.get("prior")
    p = float(found["probability"])
    if isinstance(prior, float) and 0 < prior < 1:
        priors.add(prior)
        p = moved(p, prior, 0.5)
    seen["probability"].append(p)
    for family in found.get("families") or ():
        if (
            isinstance(family, dict)
            and str(family.get("name")) in seen
            and isinstance(family.get("weight"), int | float)
        ):
            seen[family["name"]].append(float(family["weight"]))


def _draw(
    rows: list[dict[str, Any]], seen: dict[str, list[float]], known: dict[str, Any], plot: Path
) -> None:
    """One panel a distribution: the card's curve in grey, the log's in blue, or red where it drifts."""
    try:
        from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ModelError(f"the plot needs {error.name}: pip install pillow") from error
    width, height, columns = 360, 250, 3
    lines = -(-len(rows) // columns)
    sheet = Image.new("RGB", (columns * width, lines * height), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    at = np.array(known["at"])
    for i, row in enumerate(rows):
        left, top = i % columns * width + 30, i // columns * height + 44
        w, h = width - 60, height - 80
        q, x = np.array(known["values"][row["name"]]), np.sort(np.array(seen[row["name"]]))
        low, high = min(q[0], x[0]), max(q[-1], x[-1]) + 1e-9
        colour = "#c62828" if row["state"] == "drift" else "#1f5ab4"
        pen.text(
            (left, top - 34), f"{row['name']}: {row['state']}, PSI {row['psi']:.2f}", fill="#222", font=font
        )
        pen.rectangle((left, top, left + w, top + h), outline="#ccc")
        for values, heights, ink in ((q, at, "#888888"), (x, np.arange(1, len(x) + 1) / len(x), colour)):
            points = [
                (left + w * (v - low) / (high - low), top + h * (1 - p))
                for v, p in zip(values, heights, strict=True)
            ]
            pen.line(points, fill=ink, width=2)
    with new_file(plot) as part:
        sheet.save(part, format="PNG")
