"""The order in which one detection tries places, likely ones first, and what it made of each stretch.

In: whitened frames and a key's carriers. Out: the best decode, and segments in time. First the untouched
geometry, found and taken for granted, once more with a louder say for flat areas, then mirrorings and quarter
turns, then halves and quarters of the time (a spliced clip carries two payloads, which blur each other), then
the search; last the picture in parts, each with a place of its own, which follows perspective and lens
distortion (piecewise affine synchronisation, as image registration does).
Every choice uses synchronisation carriers and magnitudes only: `gate` needs that.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from sorakit.watermark.detect import DIHEDRAL, Average, Decode, Place, agreement, near, read, sync
from sorakit.watermark.fourier import Spectrum
from sorakit.watermark.gate import MAX_LOG10_P, log10_chernoff
from sorakit.watermark.pattern import CANONICAL, TILE, Carriers
from sorakit.watermark.search import refine, search

__all__ = ["Reader"]

_LIST_SIZE = 256
_UPRIGHT_PLACES = 2
_PARTS = 3  # by three
_SHARE = 0.45  # of each side; parts overlap
_MAX_SEGMENTS = 8
_SEGMENT_FRAMES = 3
_PRESENT = -4.0  # log10 of the bound for one known payload, from which a stretch counts as marked
_ABSENT = 0.25  # of the whole's strength, below which it counts as unmarked
_SURE = 6.0  # standard deviations that a marked stretch would have to show for its absence to mean much

Doubles = npt.NDArray[np.float64]


class Reader:
    """One detection in one video with one key."""

    def __init__(self, lattice: Carriers, average: Average) -> None:
        self._lattice, self._average = lattice, average
        self._rank = itertools.count(1)

    def run(self, *, thorough: bool) -> Decode | None:
        """The first decode that passes the gate, else None."""
        for looks in self._ladder(thorough):
            found = self._read(looks)
            if found is not None and found.log10_p <= MAX_LOG10_P:
                return found
        return None

    def segments(self, whole: Decode) -> list[dict[str, Any]]:
        """Stretches of time, in order: `{start_ms, end_ms, state, payload, log10_p}`.

        `state`: `marked` (the payload of the whole), `other` (another payload, above the gate), `unmarked`
        (a mark as strong as the whole's would show), `unsure`. `log10_p` bounds the chance of that much
        agreement with the one payload named.
        """
        ends = self._ends()
        parts = [self._average.spectrum(a, b) for a, b in ends]
        strengths = [self._strength(part, whole) for part in parts]
        typical = float(np.median([s[0] for s in strengths if s[1] <= _PRESENT] or [0.0]))
        rows: list[dict[str, Any]] = []
        for (a, b), part, measured in zip(ends, parts, strengths, strict=True):
            row = self._span(a, b) | self._judge(part, whole, measured, typical)
            last = rows[-1] if rows else None
            if last and (last["state"], last["payload"]) == (row["state"], row["payload"]):
                last["end_ms"], last["log10_p"] = row["end_ms"], min(last["log10_p"], row["log10_p"])
            else:
                rows.append(row)
        return rows

    def _read(self, looks: list[tuple[Spectrum, Place]]) -> Decode | None:
        return read(looks, self._lattice, rank=next(self._rank), list_size=_LIST_SIZE)

    def _ladder(self, thorough: bool) -> Iterator[list[tuple[Spectrum, Place]]]:
        picture = self._average.spectrum()
        place = self._untouched(picture)
        if place.score > 0:
            yield [(picture, place)]
        # Without looking: whoever averages many clips can take off the synchronisation, not the payload.
        yield [(picture, Place(DIHEDRAL[0], self._average.centre % TILE, 0.0))]
        crisp = self._average.crisp()
        yield [(crisp, self._untouched(crisp))]
        for place in self._upright(picture)[:_UPRIGHT_PLACES]:
            yield [(picture, place)]
        for a, b in _stretches(self._average.count):
            part = self._average.spectrum(a, b)
            yield [(part, self._untouched(part))]
            yield [(part, self._upright(part)[0])]
        if not thorough:
            return
        places = search(picture, self._lattice)
        for place in places:
            yield [(picture, place)]
        for place in places[:2]:
            yield [(crisp, place)]
        for place in places[:2]:
            yield self._piecewise(place)

    def _untouched(self, picture: Spectrum) -> Place:
        return near(picture, self._lattice, DIHEDRAL[:1], self._average.centre)[0]

    def _upright(self, picture: Spectrum) -> list[Place]:
        return sorted(sync(picture, self._lattice, DIHEDRAL), key=lambda place: -place.score)

    def _piecewise(self, place: Place) -> list[tuple[Spectrum, Place]]:
        """The picture in overlapping parts, each synchronised by itself, starting from the whole's place."""
        mean = self._average.mean()
        h, w = mean.shape
        part_h, part_w = round(h * _SHARE), round(w * _SHARE)
        looks = []
        for y in np.linspace(0, h - part_h, _PARTS).astype(int):
            for x in np.linspace(0, w - part_w, _PARTS).astype(int):
                part = Spectrum(mean[y : y + part_h, x : x + part_w])
                moved = np.array([x + (part_w - w) / 2, y + (part_h - h) / 2]) * (CANONICAL / min(h, w))
                shift = place.shift + np.linalg.inv(place.matrix) @ moved
                start = near(part, self._lattice, place.matrix[None], shift % TILE)[0]
                looks.append((part, refine(part, self._lattice, start, max(part.shape) * 2.0)))
        return sorted(looks, key=lambda look: -look[1].score)

    def _ends(self) -> list[tuple[int, int]]:
        count = self._average.count
        number = max(1, min(_MAX_SEGMENTS, count // _SEGMENT_FRAMES))
        edges = [round(i * count / number) for i in range(number + 1)]
        return list(itertools.pairwise(edges))

    def _span(self, a: int, b: int) -> dict[str, Any]:
        seconds = self._average.seconds
        step = (seconds[-1] - seconds[0]) / max(1, len(seconds) - 1)
        end = seconds[b] if b < len(seconds) else seconds[-1] + step
        return {"start_ms": round(1000 * seconds[a]), "end_ms": round(1000 * end)}

    def _strength(self, part: Spectrum, whole: Decode) -> tuple[float, float]:
        """(Standard deviations of agreement with the payload, log10 of its bound)."""
        fits = agreement(part, self._lattice, whole.place, whole.payload)
        return float(fits.sum() / np.sqrt(np.sum(fits**2) + 1e-12)), log10_chernoff(fits)

    def _judge(
        self, part: Spectrum, whole: Decode, measured: tuple[float, float], typical: float
    ) -> dict[str, Any]:
        strength, log10_p = measured
        state, payload = "unsure", None
        if log10_p <= _PRESENT:
            state, payload = "marked", whole.payload
        elif (other := self._other(part, whole)) is not None:
            state, payload, log10_p = "other", other.payload, other.log10_p
        elif typical >= _SURE and strength < _ABSENT * typical:
            state = "unmarked"
        return {
            "state": state,
            "payload": None if payload is None else f"{payload:016x}",
            "log10_p": round(log10_p, 2),
        }

    def _other(self, part: Spectrum, whole: Decode) -> Decode | None:
        """Another payload that one stretch carries, above the gate."""
        moved = near(part, self._lattice, whole.place.matrix[None], whole.place.shift)[0]
        for place in (moved, self._upright(part)[0]):
            found = self._read([(part, place)])
            if found is not None and found.log10_p <= MAX_LOG10_P and found.payload != whole.payload:
                return found
        return None


def _stretches(count: int) -> list[tuple[int, int]]:
    """Halves of the time and, of longer reads, quarters."""
    parts = [2] if count >= 2 * _SEGMENT_FRAMES else []
    if count >= 8 * _SEGMENT_FRAMES:
        parts.append(4)
    return [(i * count // n, (i + 1) * count // n) for n in parts for i in range(n)]
