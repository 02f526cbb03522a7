"""`sorakit bench watermark`: how robust marks are, ours beside others, on this machine and these clips."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table

from sorakit.cli.ui import console, one_line, print_json, progress_bar

if TYPE_CHECKING:
    from sorakit.robustness.bench import Bench
    from sorakit.robustness.results import Cell, Results


def watermark(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for rows, table and picture.")
    ] = Path("watermark-bench"),
    clips: Annotated[
        Path | None,
        typer.Option(help="A folder of videos, or one with a manifest.csv; made here if left out."),
    ] = None,
    n: Annotated[int, typer.Option(min=1, max=10_000, help="Clips.")] = 8,
    seed: Annotated[int, typer.Option(min=0, max=2**53 - 1, help="Same seed, same clips and attacks.")] = 0,
    split: Annotated[
        Literal["held-out", "dev"], typer.Option(help="Which half of a manifest's sources.")
    ] = "held-out",
    attacks: Annotated[
        str, typer.Option(help="`table`, `security`, `model`, `all`, a family, or names, with commas.")
    ] = "table",
    peers: Annotated[
        bool, typer.Option("--peers", help="Also invisible-watermark's three methods (rivaGan is slow).")
    ] = False,
    plugin: Annotated[
        list[str] | None,
        typer.Option(help="NAME=PATH of another scheme's weights: videoseal, trustmark, or one installed."),
    ] = None,
    peer_frames: Annotated[
        int, typer.Option(min=1, max=10_000, help="Frames of each clip that all others get.")
    ] = 6,
    psnr: Annotated[float, typer.Option(min=38, max=55, help="Luma PSNR of all marks, dB.")] = 45.0,
    short_side: Annotated[int, typer.Option(min=128, max=2160, help="Clips are made this small, px.")] = 540,
    seconds: Annotated[float, typer.Option(min=1, max=60, help="Clips are cut to this.")] = 5.0,
    jobs: Annotated[int, typer.Option(min=1, max=256, help="Processes.")] = 1,
    json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Attack marked clips and count whose payload comes back exactly: a table, a heat map and a CSV.

    One run, same clips, same attacks, equal PSNR. Others hold 32 bits where ours holds 64, and get a few
    frames of each clip because rivaGan takes seconds a frame; ours on those same few stands beside them.
    A run that is stopped goes on where it was when it is started again.

    [bold]Example:[/]  sorakit bench watermark -o bench --n 4 --attacks h264_crf28,crop_80

    [bold]Example:[/]  sorakit bench watermark -o bench --clips videos/ --peers --jobs 2
    """
    from sorakit.robustness.bench import Bench, run  # noqa: PLC0415 - keeps `--help` quick

    chosen = tuple(word for word in attacks.split(",") if word)
    bench = Bench(
        output, clips, n, seed, split, chosen, peers, _plugins(plugin or []),
        peer_frames, psnr, short_side, seconds, jobs,
    )  # fmt: skip
    with progress_bar("measuring", quiet=json_out) as progress:
        results, files = run(bench, progress)
    if json_out:
        print_json(summary(bench, results))
    else:
        _show(results)
        console.print(", ".join(str(f) for f in files))


def _plugins(words: list[str]) -> dict[str, Path]:
    out = {}
    for word in words:
        name, sign, path = word.partition("=")
        if not (name and sign and path):
            raise typer.BadParameter(f"--plugin takes NAME=PATH, got {word!r}")
        out[name] = Path(path)
    return out


def summary(bench: "Bench", results: "Results") -> dict[str, Any]:
    """The object that --json prints."""
    found, plain = results.false_found
    return {
        "n": results.clips,
        "seed": bench.seed,
        "psnr": bench.psnr,
        "attacks": results.table(),
        "quality": results.quality,
        "mean_exact": {s: round(results.mean(s), 4) for s in results.schemes},
        "false_found_unmarked": found,
        "unmarked": plain,
        "cpu_s": results.cpu,
    }


def _count(cell: "Cell | None", wide: bool) -> str:
    if cell is None:
        return "–"
    low, high = cell.interval
    return f"{cell.exact}/{cell.n}" + (f"  {low:.0%} to {high:.0%}" if wide else "")


def _show(results: "Results") -> None:
    table = Table("attack", box=None, pad_edge=False)
    wide = len(results.schemes) <= 2  # room for intervals; the CSV has them in any case
    for scheme in results.schemes:
        table.add_column(one_line(scheme), justify="right")
    for attack in results.attacks:
        table.add_row(attack, *(_count(results.cells.get((attack, s)), wide) for s in results.schemes))
    table.add_row("mean", *(f"{results.mean(s):.1%}" for s in results.schemes), style="bold")
    console.print(table)
    for scheme in results.schemes:
        q = results.quality.get(scheme, {})
        if "psnr_luma_min" in q:
            console.print(
                f"{scheme}: luma {q['psnr_luma_min']:.1f} dB at least, RGB {q['psnr_rgb_median']:.1f} dB "
                f"median, luma SSIM {q['ssim_min']:.4f} at least; {q['failed']} clips could not be marked",
            )
    found, plain = results.false_found
    console.print(f"marks found in {found} of {plain} unmarked clips; {results.cpu:.0f} CPU-seconds in all")
