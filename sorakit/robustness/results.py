"""Rows added up: for each attack and scheme how often the payload came back exactly, with its interval.

In: rows of `engine.measure`. Out: `Results`, CSV texts. Shares have Wilson's 95 % interval (1927).
"""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from sorakit.intervals import wilson_ends
from sorakit.robustness.engine import FORGERIES, UNMARKED, Row

__all__ = ["Cell", "Results", "add_up"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One attack on one scheme. `exact`: of `n` clips; `bits`: mean share of right bits where some came.

    `found`: clips on which the scheme says that there is a mark; `errors`: attacks that could not run.
    """

    exact: int
    found: int
    n: int
    bits: float | None
    errors: int

    @property
    def share(self) -> float:
        """Exact recoveries among all clips."""
        return self.exact / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 %."""
        return wilson_ends(self.share, self.n) if self.n else (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Results:
    """Cells by attack and scheme, the quality of each scheme's marks, and what was read where nothing is."""

    attacks: tuple[str, ...]
    schemes: tuple[str, ...]
    cells: dict[tuple[str, str], Cell]
    quality: dict[str, Row]
    false_found: tuple[int, int]
    clips: int
    cpu: float

    def mean(self, scheme: str) -> float:
        """Mean share of exact recoveries over the attacks that are not forgeries."""
        shares = [
            self.cells[a, scheme].share
            for a in self.attacks
            if a not in FORGERIES and (a, scheme) in self.cells
        ]
        return statistics.fmean(shares) if shares else 0.0

    def table(self) -> list[Row]:
        """One row an attack and scheme, for CSV and JSON."""
        rows = []
        for (attack, scheme), cell in self.cells.items():
            low, high = cell.interval
            rows.append(
                {"attack": attack, "scheme": scheme, "exact": cell.exact, "n": cell.n,
                 "share": round(cell.share, 4),
                 "low": round(low, 4), "high": round(high, 4), "found": cell.found,
                 "bit_accuracy": cell.bits, "errors": cell.errors}
            )  # fmt: skip
        return rows


def add_up(rows: Iterable[Row], attacks: Iterable[str], schemes: Iterable[str]) -> Results:
    """The results of what is there so far; attacks and schemes without a row are left out."""
    every = list(rows)
    cells: dict[tuple[str, str], Cell] = {}
    done = [r for r in every if r["kind"] == "attack"]
    for attack in attacks:
        for scheme in schemes:
            some = [r for r in done if r["attack"] == attack and r["scheme"] == scheme]
            if some:
                cells[attack, scheme] = _cell(some)
    marks = [r for r in every if r["kind"] == "mark"]
    plain = [r for r in done if r["scheme"] == UNMARKED.name]
    present = {s for _, s in cells}
    return Results(
        attacks=tuple(a for a in attacks if any(x == a for x, _ in cells)),
        schemes=tuple(s for s in schemes if s in present),
        cells=cells,
        quality={s: _quality([m for m in marks if m["scheme"] == s]) for s in schemes if s in present},
        false_found=(sum(r["found"] for r in plain), len(plain)),
        clips=len({r["clip"] for r in done}),
        cpu=round(sum(r["cpu"] for r in every), 1),
    )


def _cell(rows: list[Row]) -> Cell:
    bits = [r["bits"] for r in rows if r["bits"] is not None]
    return Cell(
        exact=sum(r["exact"] for r in rows),
        found=sum(r["found"] for r in rows),
        n=len(rows),
        bits=round(statistics.fmean(bits), 4) if bits else None,
        errors=sum(r["error"] is not None for r in rows),
    )


def _quality(marks: list[Row]) -> Row:
    """Least and median of what was measured, and clips that could not be marked."""
    out: Row = {"failed": sum(m["error"] is not None for m in marks)}
    for name in ("psnr_luma", "psnr_rgb", "ssim"):
        values = [m[name] for m in marks if m.get(name) is not None]
        if values:
            out |= {
                f"{name}_min": round(min(values), 4),
                f"{name}_median": round(statistics.median(values), 4),
            }
    return out
