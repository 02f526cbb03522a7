"""One benchmark from start to end: choose clips and schemes, measure, write table, CSV and heat map.

In: a `Bench`. Out: `Results` and the files in its folder: `rows.jsonl`, `clips.csv`, `table.csv`,
`heatmap.png`. What is written is what was measured so far, also when the run is stopped.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sorakit.errors import OutputError
from sorakit.robustness import heatmap
from sorakit.robustness.clips import collect
from sorakit.robustness.engine import Plan, Row, measure
from sorakit.robustness.report import csv_text, write_text
from sorakit.robustness.results import Results, add_up
from sorakit.robustness.schemes import specs
from sorakit.robustness.suite import choose
from sorakit.types import Progress

__all__ = ["Bench", "run"]


@dataclass(frozen=True, slots=True)
class Bench:
    """What `sorakit bench watermark` was asked; see its options."""

    folder: Path
    clips: Path | None = None
    n: int = 8
    seed: int = 0
    split: Literal["dev", "held-out"] = "held-out"
    attacks: tuple[str, ...] = ("table",)
    peers: bool = False
    plugins: dict[str, Path] = field(default_factory=dict)
    peer_frames: int = 6
    psnr: float = 45.0
    short_side: int = 540
    seconds: float = 5.0
    jobs: int = 1


def run(bench: Bench, progress: Progress | None = None) -> tuple[Results, tuple[Path, ...]]:
    """Measure and write; a run that was stopped goes on. Raises the kit's errors."""
    attacks = choose(bench.attacks)
    schemes = specs(bench.peers, bench.plugins, bench.peer_frames)
    scratch = bench.folder / "made"
    try:
        scratch.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {bench.folder}: {error.strerror}; choose another --output") from error
    clips = collect(bench.clips, bench.n, bench.seed, bench.split, scratch)
    plan = Plan(
        bench.folder, tuple(clips), attacks, tuple(schemes), bench.psnr, bench.seed, bench.short_side,
        bench.seconds, bench.jobs,
    )  # fmt: skip
    rows: list[Row] = []
    try:
        rows.extend(measure(plan, progress))
    finally:
        results = add_up(rows, attacks, [s.name for s in schemes])
        files = _write(bench, results, rows) if results.cells else ()
    return results, files


def _write(bench: Bench, results: Results, rows: list[Row]) -> tuple[Path, ...]:
    kept = ("attack", "scheme", "clip", "exact", "found", "bits", "log10_p", "error", "cpu")
    single = [{k: r[k] for k in kept} for r in rows if r["kind"] == "attack"]
    files = [
        write_text(bench.folder / "table.csv", csv_text(results.table())),
        write_text(bench.folder / "clips.csv", csv_text(single)),
    ]
    note = f"{results.clips} clip(s) at {bench.psnr:g} dB, seed {bench.seed}; others hold 32 bits, sorakit 64"
    sheet = heatmap.draw(results, "Which marks survive what", note)
    return (*files, heatmap.write(sheet, bench.folder / "heatmap.png"))
