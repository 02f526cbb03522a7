"""`sorakit attack`: do to a video what happens to it on its way, and see whether the mark survives."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sorakit.cli.ui import console, one_line, print_json, progress_bar

if TYPE_CHECKING:
    from sorakit.robustness.run import How, Outcome


def attack(
    source: Annotated[Path | None, typer.Argument(help="The video to attack.", metavar="IN")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; with --all a folder.")
    ] = None,
    name: Annotated[str | None, typer.Option("--attack", "-a", help="Which one; see --list.")] = None,
    strength: Annotated[
        float | None, typer.Option(help="How hard, in the attack's unit; its default if left out.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**53 - 1, help="Same seed, same result.")] = 0,
    other: Annotated[
        list[Path] | None, typer.Option("--with", help="A further video, for attacks that take some; repeat.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every attack, into the folder OUTPUT.")] = False,
    show: Annotated[bool, typer.Option("--list", help="List the attacks and leave.")] = False,
    strip_credential: Annotated[
        bool,
        typer.Option(
            "--strip-credential",
            help="Go on although IN is signed and the result will not be; the audit log notes it.",
        ),
    ] = False,
    read: Annotated[bool, typer.Option(help="Look for the mark in the result.")] = True,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace files that exist.")] = False,
    json_out: Annotated[bool, typer.Option("--json", help="Print JSON, one object an attack.")] = False,
) -> None:
    """Measure robustness: attack a video, and say whether its mark still reads.

    The result is a test copy without a credential, and its comment tag says so. A signed file is refused
    unless --strip-credential is given: this is no tool to clean files.

    [bold]Example:[/]  sorakit attack marked.mp4 -o out.mp4 --attack h264_crf28 --strength 30

    [bold]Example:[/]  sorakit attack marked.mp4 --all -o attacked/ --json

    [bold]Example:[/]  sorakit attack --list
    """
    if show:
        _list(json_out)
        return
    if source is None or output is None or (name is None) == (not every):
        raise typer.BadParameter("give IN, -o OUTPUT, and either --attack NAME or --all; or --list alone")
    if every and strength is not None:
        raise typer.BadParameter("each attack has its own unit: give --attack", param_hint="--strength")
    from sorakit.robustness.run import How, attack_file  # noqa: PLC0415 - keeps `--help` quick

    others = tuple(other or ())
    how = How(seed, others, strip_credential, force, read)
    if every:
        _all(source, output, how, json_out)
        return
    with progress_bar(f"attacking {source.name}", quiet=json_out) as progress:
        done = attack_file(source, output, str(name), how, strength=strength, progress=progress)
    _tell(done, json_out)


def _tell(done: "Outcome", json_out: bool) -> None:
    if done.stripped:
        console.print(f"note: the credential {one_line(done.stripped)} is not in the result")
    else:
        console.print("note: the result is a test copy and carries no credential of its own")
    if json_out:
        print_json(done.to_json())
    else:
        console.print(f"{done.file}  {_words(done)}")


def _words(done: "Outcome") -> str:
    if done.error:
        return one_line(done.error)
    if done.found is None:
        return "mark not looked for"
    return f"mark reads: {done.payload}, log10 p {done.log10_p:.1f}" if done.found else "mark does not read"


def _list(json_out: bool) -> None:
    from sorakit.robustness.run import listed  # noqa: PLC0415

    table = Table("attack", "family", "what it does", "from", "default", "to", "unit", box=None)
    for a in listed():
        s = a.strength
        if json_out:
            dial = {"min": s.low, "default": s.default, "max": s.high, "unit": s.unit} if s else None
            print_json(
                {"name": a.name, "family": a.family, "summary": a.summary, "strength": dial,
                 "others": a.others, "needs_others": a.needs_others}
            )  # fmt: skip
            continue
        numbers = (f"{s.low:g}", f"{s.default:g}", f"{s.high:g}", s.unit) if s else ("", "", "", "")
        table.add_row(a.name, a.family, a.summary, *numbers)
    if not json_out:
        console.print(table)


def _all(source: Path, folder: Path, how: "How", json_out: bool) -> None:
    from sorakit.robustness.report import write_outcomes  # noqa: PLC0415
    from sorakit.robustness.run import attack_all  # noqa: PLC0415

    outcomes: list[Outcome] = []
    with progress_bar(f"attacking {source.name}", quiet=json_out) as progress:
        for done in attack_all(source, folder, how, progress=progress):
            outcomes.append(done)
            if json_out:
                print_json(done.to_json())
    report = write_outcomes(outcomes, folder, source)
    if not json_out:
        table = Table("attack", "family", "result", box=None)
        for done in outcomes:
            table.add_row(done.attack, done.family, _words(done))
        console.print(table)
    read = sum(bool(o.found) for o in outcomes)
    made = sum(o.error is None for o in outcomes)
    console.print(f"the mark reads in {read} of {made} results; report: {report}")
