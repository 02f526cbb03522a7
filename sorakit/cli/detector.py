"""`sorakit detector`: train, measure, calibrate, describe and watch a detector."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from sorakit.cli.ui import console, one_line, print_error, print_json, progress_bar
from sorakit.errors import UsageError

app = typer.Typer(
    no_args_is_help=True, help="Train, measure, calibrate and watch a detector of generated clips."
)

DRIFTED = 10
"""Exit code of `monitor` where the log has drifted, as that of `check --fail-above`."""

Data = Annotated[
    Path, typer.Option(help="A folder with manifest.csv, or with folders real/ and ai/.", metavar="DIR")
]
Model = Annotated[
    Path | None, typer.Option(help="A .skops file with its card beside it; default: the shipped one.")
]
Cache = Annotated[
    Path | None,
    typer.Option(help="Where features of clips are kept; default: in SORAKIT_HOME.", metavar="DIR"),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Seed = Annotated[int, typer.Option(min=0, help="Of folds and intervals; the same seed gives the same file.")]


@app.command()
def train(
    data: Data,
    out: Annotated[
        Path, typer.Option(help="The model file to write; its card goes beside it.", metavar="FILE.skops")
    ],
    name: Annotated[str, typer.Option(help="What evidence calls the model.")] = "own",
    version: Annotated[str, typer.Option(help="Its version.")] = "1",
    folds: Annotated[int, typer.Option(min=2, max=50, help="Groups are dealt into so many parts.")] = 5,
    prior: Annotated[float, typer.Option(help="Share of synthetic clips that probabilities assume.")] = 0.5,
    keep_final_out: Annotated[
        bool, typer.Option("--keep-final-out", help="Keep the final set out of everything, and report on it.")
    ] = False,
    final_report: Annotated[
        bool,
        typer.Option("--final-report", help="Report on the final set by a model without it; fit on all."),
    ] = False,
    cache: Cache = None,
    seed: Seed = 0,
    json_out: Json = False,
) -> None:
    """Fit a detector on your own clips; sources and generators are held out for every figure.

    Clips in one folder under real/ or ai/ count as one source; a manifest.csv has the columns path, label
    (ai, real, cg) and generator_or_source. Features are computed once a clip and kept.

    [bold]Example:[/]  sorakit detector train --data clips --out mine.skops
    """
    if out.suffix != ".skops":
        raise typer.BadParameter("must end in .skops", param_hint="--out")
    if not 0 < prior < 1:
        raise typer.BadParameter("must lie between 0 and 1", param_hint="--prior")
    options = {"data": str(data), "out": str(out), "seed": seed, "folds": folds} | _reading(cache)
    options |= {"name": name, "version": version, "prior": prior}
    options |= {"keep_final_out": keep_final_out, "final_report": final_report}
    answer = _run("train", options, "training", json_out)
    _left_out(answer)
    if not json_out:
        console.print(_figures(answer["held_out"], "held-out folds"))
        if "final" in answer:
            console.print(_figures(answer["final"], "final set"))
        console.print(f"{out} is written, with its card beside it.")


@app.command()
def evaluate(
    data: Data, model: Model = None, cache: Cache = None, seed: Seed = 0, json_out: Json = False
) -> None:
    """Measure a model on clips, beside what container metadata alone reaches on them.

    [bold]Example:[/]  sorakit detector evaluate --data new-clips --model mine.skops
    """
    options = {"data": str(data), "model": model and str(model), "seed": seed} | _reading(cache)
    answer = _run("evaluate", options, "measuring", json_out)
    _left_out(answer)
    if json_out:
        return
    console.print(_figures(answer["figures"], answer["model"]))
    table = Table(
        "generator", "clips", "AUC", "likely_ai", title="against all real clips", title_justify="left"
    )
    for row in answer["generators"]:
        table.add_row(
            one_line(row["generator"]), str(row["n"]), f"{row['auc']:.3f}", f"{row['likely_ai']:.0%}"
        )
    console.print(table)
    if answer["trained_on"]:
        shown = one_line(", ".join(answer["trained_on"][:8]))
        console.print(f"The model was trained on clips of {shown}: these figures flatter it.")


@app.command()
def card(model: Model = None, json_out: Json = False) -> None:
    """Print a model's card: data, figures, limits, and what it must not be used for.

    [bold]Example:[/]  sorakit detector card > CARD.md
    """
    answer = _run("card", {"model": model and str(model)}, "reading", json_out)
    if not json_out:
        typer.echo(answer["text"])


@app.command()
def calibrate(
    out: Annotated[Path, typer.Option(help="The calibrated model file to write.", metavar="FILE.skops")],
    prior: Annotated[float, typer.Option(help="Share of your queue that is synthetic.")] = 0.01,
    data: Annotated[
        Path | None, typer.Option(help="Clips of sources the model has not seen: for bands and chances.")
    ] = None,
    model: Model = None,
    cache: Cache = None,
    seed: Seed = 0,
    json_out: Json = False,
) -> None:
    """Fit probabilities, and with --data the bands too, to your queue; says how often a flag will be right.

    [bold]Example:[/]  sorakit detector calibrate --prior 0.01 --out mine.skops
    """
    if out.suffix != ".skops":
        raise typer.BadParameter("must end in .skops", param_hint="--out")
    if not 0 < prior < 1:
        raise typer.BadParameter("must lie between 0 and 1", param_hint="--prior")
    options: dict[str, Any] = {"data": data and str(data), "model": model and str(model)}
    options |= {"out": str(out), "prior": prior, "seed": seed} | _reading(cache)
    answer = _run("calibrate", options, "calibrating", json_out)
    _left_out(answer)
    if not json_out:
        console.print(
            f"If {prior:.1%} of the queue is synthetic, {answer['flag_is_right']:.0%} of clips in the band "
            f"likely_ai are (at least {answer['flag_is_right_at_least']:.0%}, at the upper limit of false "
            f"alarms), and {answer['hits']:.0%} of the synthetic ones get there.",
        )


@app.command()
def monitor(
    log: Annotated[Path, typer.Argument(help="JSON lines of detect, check or scan.", metavar="LOG")],
    plot: Annotated[Path | None, typer.Option(help="Draw the distributions.", metavar="OUT.png")] = None,
    model: Model = None,
    json_out: Json = False,
) -> None:
    """Compare what arrives with what the model was measured on; exit 10 where it has drifted.

    [bold]Example:[/]  sorakit detector monitor verdicts.jsonl --plot drift.png
    """
    options = {"log": str(log), "plot": plot and str(plot), "model": model and str(model)}
    answer = _run("monitor", options, "comparing", json_out)
    if not json_out:
        table = Table("distribution", "clips", "PSI", "KS", "1 % bound", "state")
        for row in answer["distributions"]:
            numbers = (f"{row[k]:.3f}" for k in ("psi", "ks", "ks_bound"))
            table.add_row(row["name"], str(row["n"]), *numbers, row["state"])
        console.print(table)
    raise typer.Exit(DRIFTED if answer["drifted"] else 0)


def _run(tool: str, options: dict[str, Any], title: str, json_out: bool) -> dict[str, Any]:
    from sorakit.detector_tools import run_tool  # noqa: PLC0415 - keeps `--help` quick

    try:
        with progress_bar(title, quiet=json_out) as progress:
            answer = run_tool(tool, options, progress)
    except OSError as e:
        raise UsageError(f"cannot write: {e.strerror or e}; check the path") from e
    if json_out:
        print_json(answer)
    return answer


def _left_out(answer: dict[str, Any]) -> None:
    """Name on stderr each clip that could not be read, and why."""
    for path, why in answer["failed"].items():
        print_error(f"left out: {path}: {why}")


def _reading(cache: Path | None) -> dict[str, Any]:
    """Where features are kept, and what reading one clip may cost."""
    from sorakit.config import Settings  # noqa: PLC0415

    settings = Settings()
    return {
        "cache": str(cache or settings.home / "detector-features"),
        "seconds": settings.limits.check_seconds,
        "memory_bytes": settings.limits.memory_bytes,
    }


def _figures(found: dict[str, Any], title: str) -> Table:
    words = f"{title}: {found['ai']} AI, {found['real']} real clips, {found['groups']} groups"
    table = Table("figure", "plain", "social", "codec only", "fps only", title=words, title_justify="left")
    probes = [found["codec_only"], found["fps_only"]]
    for key, name in (("auc", "AUC"), ("auc_rate_matched", "AUC, frame rates matched")):
        row = [_cell(found[form][key]) for form in ("plain", "social")]
        table.add_row(name, *row, *(_cell(p[key]) for p in probes))
    table.add_row("AUC, codecs matched", *(_cell(found[f]["auc_codec_matched"]) for f in ("plain", "social")))
    table.add_row("TPR at 1 % FPR", *(_cell(found[f]["tpr_at_1_percent"]) for f in ("plain", "social")))
    table.add_row("pairs of one page", *(_cell(found[f]["pairs"]) for f in ("plain", "social")))
    table.add_row("calibration error", *(f"{found[f]['calibration_error']:.3f}" for f in ("plain", "social")))
    alarms = [found[f]["false_alarms"] for f in ("plain", "social")]
    cells = (f"{a['hits']} of {a['n']}, limit {a['upper_95']:.3f}" for a in alarms)
    table.add_row("real clips in likely_ai", *cells)
    return table


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, dict) and value["value"] is None):
        return "none"
    if isinstance(value, dict):
        return f"{value['value']:.3f} ({value['ci'][0]:.3f}–{value['ci'][1]:.3f})"
    return f"{value:.3f}"
