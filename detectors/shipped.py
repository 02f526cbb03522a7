"""The shipped detector: read, describe, judge; for short clips in a quarter of a second on one core.

In: a path. Out: `DetectorEvidence`. Clips up to 8 s are judged by their first window, longer ones by three. A
score near the upper band is taken again from a re-encoded copy, and has to stand it.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2

from detectors.clip import FRAMES, SIDE, Canonical, Squares, pack, read_squares, unpack
from detectors.describe import VERSION, describe, reencoded
from detectors.evidence import Judge, Window
from detectors.store import load_model
from sorakit.errors import ModelError, NotAVideoError, UsageError
from sorakit.types import DetectorEvidence
from sorakit.video.convert import resize
from sorakit.video.roundtrip import compress, planes_of

__all__ = ["DEFAULT", "SHA256", "Shipped", "judge_of"]

DEFAULT = Path(__file__).parent / "models" / "default.skops"
SHA256 = "3380bdcaaf610481a9d9e5ec4e7813cb03fa72d6e0bf37744fc735943d4ef989"
"""Of the shipped model; a card beside a swapped file cannot vouch for it."""

_LONG = 8.0
_SPAN = 1.7
_CRF, _PRESET = 28, "superfast"
"""Of the copy: it tells which scores a social re-encode takes out of the band as well as `veryfast` does."""


@cache
def judge_of(path: Path = DEFAULT) -> Judge:
    """A model file, loaded once a process.

    Raises `ModelError` when it is missing, changed, of another version, or skops is not installed.
    """
    bundle, card = load_model(path, SHA256 if path == DEFAULT else None)
    if not isinstance(bundle, dict) or bundle.get("features") != VERSION:
        raise ModelError(f"{path.name} was trained on other features than version {VERSION}; train it again")
    return Judge(bundle, f"{card.get('name', path.stem)}@{card.get('version', '0')}")


class Shipped:
    """The detector behind the entry point `default`. `model`: another model file with its card."""

    def __init__(self, model: Path | None = None, prior: float | None = None) -> None:
        self._model = model or DEFAULT
        if prior is not None and not 0 < prior < 1:
            raise UsageError(f"`prior` must lie between 0 and 1, got {prior}")
        self._prior = prior

    @property
    def name(self) -> str:
        """`name@version` of the model."""
        return judge_of(self._model).name

    def detect(self, path: Path) -> DetectorEvidence:
        """Judge one video; a still picture gets an abstention, a broken file an error of the kit."""
        judge = judge_of(self._model)
        prior = self._prior if self._prior is not None else judge.prior
        cv2.setNumThreads(1)
        try:
            first = read_squares(path)
        except NotAVideoError as error:
            if "still picture" not in str(error):
                raise
            return DetectorEvidence(None, "abstain", judge.name, reasons=[str(error)], prior=prior)
        first = _shrunk(first)
        windows = [_described(s) for s in (first, *_later(path, first))]
        return judge.evidence(windows, prior, _again(judge, windows, first))


def _later(path: Path, first: Squares) -> Sequence[Squares]:
    if first.duration <= _LONG:
        return ()
    starts = (first.duration / 2, first.duration - _SPAN)
    found = [read_squares(path, at=at) for at in starts]
    return [s for s in found if len(s.frames) == FRAMES]


def _shrunk(squares: Squares) -> Squares:
    """At the canonical side, which both passes start from."""
    return replace(squares, frames=tuple(resize(f, SIDE, SIDE) for f in squares.frames))


def _described(squares: Squares) -> Window:
    clip = unpack(pack(squares.frames))
    return Window(squares.start, squares.end, len(squares.frames), describe(clip))


def _again(judge: Judge, windows: Sequence[Window], first: Squares) -> float | None:
    """The first window's score at a stronger compression, where that could take it out of the upper band."""
    described = windows[0].described
    if judge.refuse(windows) or not judge.close(judge.score(described)):
        return None
    copy = Canonical(*planes_of(compress(first.frames, crf=_CRF, preset=_PRESET)))
    return judge.score(reencoded(described, copy))
