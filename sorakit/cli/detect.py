"""`sorakit detect`: the detector's layer alone."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sorakit.cli.ui import console, one_line, print_error, print_json, progress_bar
from sorakit.errors import SorakitError, UsageError

if TYPE_CHECKING:
    from sorakit.types import DetectorEvidence

_COLOURS = {"likely_ai": "yellow", "uncertain": "white", "abstain": "dim", "likely_real": "green"}


def detect(
    files: Annotated[list[Path], typer.Argument(help="Videos, or folders of videos.", metavar="FILE…")],
    json_out: Annotated[
        bool, typer.Option("--json", help="One JSON object a file a line, on stdout.")
    ] = False,
    prior: Annotated[
        float | None,
        typer.Option(
            help="Share of the queue that is synthetic, for the probability: 0.01 is one in a hundred."
        ),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="An installed detector, by its name; default: the setting `detector`.")
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(help="Write a still with the heat map over it; for one FILE.", metavar="OUT.png"),
    ] = None,
) -> None:
    """Say how likely each video was made by a model, and why; never that it is real.

    Exit codes: 0 every file judged (an abstention is a judgement), 1 a file could not be read, 2 usage.

    [bold]Example:[/]  sorakit detect clip.mp4 --prior 0.01 --overlay heat.png
    """
    from sorakit.config import Settings  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.detect import detect as judge  # noqa: PLC0415
    from sorakit.detect import videos_in  # noqa: PLC0415
    from sorakit.overlay import write_overlay  # noqa: PLC0415

    if prior is not None and not 0 < prior < 1:
        raise typer.BadParameter("must lie between 0 and 1", param_hint="--prior")
    if overlay is not None and (len(files) > 1 or files[0].is_dir()):
        raise typer.BadParameter("give one FILE", param_hint="--overlay")
    settings, failed = Settings(), False
    for path in videos_in(files):
        try:
            with progress_bar(f"looking at {path.name}", quiet=json_out) as progress:
                progress("detector", 0.1)
                found = judge(path, settings=settings, name=detector, prior=prior)
                if overlay is not None and found.heatmap:
                    write_overlay(path, found.heatmap, overlay, settings.limits)
        except UsageError:
            raise
        except SorakitError as e:
            failed = True
            print_error(str(e) if path.name in str(e) else f"{path}: {e}")
            if json_out:
                print_json({"file": str(path), "detector": None, "error": str(e)})
            continue
        if json_out:
            print_json({"file": str(path), "detector": asdict(found)})
        else:
            console.print(_panel(path, found))
    raise typer.Exit(1 if failed else 0)


def _panel(path: Path, e: "DetectorEvidence") -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    chance = "none" if e.probability is None else f"{e.probability:.0%}"
    if e.probability is not None and e.prior is not None:
        chance += f", if {e.prior:.0%} of the queue is synthetic"
    rows = [("probability", chance)] + [("because", r) for r in e.reasons]
    rows += [("features", f["words"]) for f in e.families[:3]]
    if e.nearest and e.label == "likely_ai":
        near = ", ".join(str(n["generator"]) for n in e.nearest)
        rows.append(
            ("alike", f"clips of {near} (such a hint is right {e.nearest[0]['hit_rate']:.0%} of the time)")
        )
    if len(e.segments) > 1:
        parts = ", ".join(f"{s['start_ms'] / 1000:.1f} s {s['score']:.0%}" for s in e.segments)
        rows.append(("over time", parts))
    rows.append(("model", e.model))
    for name, text in rows:
        table.add_row(name, Text(one_line(text)))
    title = Text.assemble((e.label, f"bold {_COLOURS[e.label]}"), "  ", one_line(path))
    return Panel(table, title=title, title_align="left", border_style=_COLOURS[e.label])
