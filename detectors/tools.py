"""What the commands `sorakit detector …` call, one function a command: options in, a JSON-ready answer out.

Found through the entry-point group `sorakit.detector_tools`, so that the kit imports nothing of this package.
"""

from pathlib import Path
from typing import Any

from detectors.cache import Report, gather
from detectors.card import distributions, text_of, write_card
from detectors.dataset import Item, read_dataset
from detectors.evaluate import by_generator, figures
from detectors.fitting import labels_of, platt_of, thresholds
from detectors.monitor import drift
from detectors.reading import Bounds
from detectors.shipped import DEFAULT, SHA256
from detectors.store import load_model, read_card, save_model
from detectors.train import train as fit
from detectors.variants import PLAIN, SOCIAL
from sorakit.errors import UsageError
from sorakit.prior import flag_is_right

__all__ = ["calibrate", "card", "evaluate", "monitor", "train"]

_FORMS = (PLAIN, SOCIAL)


def train(options: dict[str, Any], report: Report) -> dict[str, Any]:
    """Fit on `data`, write `out`; options as those of `detectors.train.train`. Answers the card."""
    return fit(
        Path(options["data"]),
        Path(options["out"]),
        cache=Path(options["cache"]),
        name=str(options["name"]),
        version=str(options["version"]),
        seed=int(options["seed"]),
        folds=int(options["folds"]),
        prior=float(options["prior"]),
        keep_final_out=bool(options["keep_final_out"]),
        final_report=bool(options["final_report"]),
        bounds=_bounds(options),
        report=report,
    )


def evaluate(options: dict[str, Any], report: Report) -> dict[str, Any]:
    """Score `data` with `model`: figures, a line a generator, and which sources the model was trained on."""
    bundle, card_ = _load(options)
    items = [i for i in read_dataset(Path(options["data"])) if i.label != "cg"]
    table = gather(items, _FORMS, Path(options["cache"]), report, _bounds(options))
    scores = {v: bundle["fusion"].decision_function(table.of(v)) for v in _FORMS}
    known = {s for kind in card_["clips"].values() for s in kind}
    return {
        "model": f"{card_['name']}@{card_['version']}",
        "figures": figures(table.items, scores, bundle, seed=int(options["seed"])),
        "generators": by_generator(table.items, scores[PLAIN], bundle["high"]),
        "trained_on": sorted({i.source for i in table.items} & known),
        "failed": table.failed,
    }


def card(options: dict[str, Any], report: Report) -> dict[str, Any]:
    """The card of `model`: its JSON, and as Markdown under `text`."""
    report("card", 0.0)
    _, card_ = _load(options)
    beside = _path(options).with_suffix(".md")
    text = beside.read_text(encoding="utf-8") if beside.is_file() else text_of(card_, _items(card_))
    return card_ | {"text": text}


def calibrate(options: dict[str, Any], report: Report) -> dict[str, Any]:
    """Another prior, and, with `data` the model has not seen, other bands and chances.

    Writes `out` and its cards.

    Raises `UsageError` when a source in `data` is one that the model was trained on.
    """
    bundle, card_ = _load(options)
    prior = float(options["prior"])
    failed: dict[str, str] = {}
    if options.get("data"):
        items = [i for i in read_dataset(Path(options["data"])) if i.label != "cg"]
        known = {s for kind in card_["clips"].values() for s in kind} & {i.source for i in items}
        if known:
            raise UsageError(
                f"`data` must hold sources that the model has not seen, got {', '.join(sorted(known)[:5])}; "
                "train again with these clips instead, which calibrates on held-out folds"
            )
        table = gather(items, _FORMS, Path(options["cache"]), report, _bounds(options))
        scores = {v: bundle["fusion"].decision_function(table.of(v)) for v in _FORMS}
        failed = table.failed
        low, high = thresholds(table.items, scores)
        y = labels_of(table.items)
        worst = scores[PLAIN].clip(scores[SOCIAL])
        alarms = float((worst[y == 0] > high).mean())
        bundle |= {"platt": platt_of(table.items, scores), "low": low, "high": high, "false_alarms": alarms}
        card_["held_out"] = figures(table.items, scores, bundle, seed=int(options["seed"]))
        card_.pop("final", None)  # its bands and chances are no longer the model's
        card_["distributions"] = distributions(bundle, table.of(PLAIN), scores[PLAIN])
    bundle["prior"] = card_["prior"] = prior
    part = card_["held_out"][PLAIN]
    hits, limit = part["bands"]["ai"]["likely_ai"], part["false_alarms"]
    out = Path(options["out"])
    digest = save_model(bundle, card_, out)
    write_card(card_ | {"sha256": digest}, _items(card_), out.with_suffix(".md"))
    return {
        "prior": prior,
        "failed": failed,
        "sha256": digest,
        "hits": hits,
        "false_alarms": limit["share"],
        "flag_is_right": round(flag_is_right(hits, limit["share"], prior), 4),
        "flag_is_right_at_least": round(flag_is_right(hits, limit["upper_95"], prior), 4),
    }


def monitor(options: dict[str, Any], report: Report) -> dict[str, Any]:
    """Compare a log of evidence with the card's distributions; see `detectors.monitor`."""
    report("log", 0.0)
    plot = options.get("plot")
    return drift(Path(options["log"]), _card(options), Path(plot) if plot else None)


def _path(options: dict[str, Any]) -> Path:
    return Path(options["model"]) if options.get("model") else DEFAULT


def _load(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    path = _path(options)
    return load_model(path, SHA256 if path == DEFAULT else None)


def _bounds(options: dict[str, Any]) -> Bounds:
    return Bounds(float(options["seconds"]), int(options["memory_bytes"]))


def _card(options: dict[str, Any]) -> dict[str, Any]:
    return read_card(_path(options))


def _items(card_: dict[str, Any]) -> list[Item]:
    """As many items as the card counts, for its text."""
    return [
        Item(Path(), kind, source, "")
        for kind in ("ai", "real")
        for source, n in card_["clips"].get(kind, {}).items()
        for _ in range(int(n))
    ]
