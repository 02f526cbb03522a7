"""`sorakit demo`: make a video, mark it, attack it, check it, and show what is left of the truth."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from sorakit.cli.ui import console, print_json, progress_bar

if TYPE_CHECKING:
    from sorakit.demo.scenario import Row, Story
    from sorakit.types import Clip, Progress

_COLOURS = {"ai": "cyan", "found": "cyan", "mark": "magenta", "bad": "red", "good": "green", "warn": "yellow"}


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the videos and the report.")
    ] = Path("sorakit-demo"),
    source: Annotated[
        Path | None,
        typer.Option("--input", help="A camera clip of your own, up to 60 s, instead of the sample."),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="What to generate.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**53, help="Same prompt and seed, same clip.")] = 0,
    json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Generate, mark, strip, re-encode, forge and check videos, and write a report of it.

    Exits 1 if a check says something else than promised.

    [bold]Example:[/]  sorakit demo --prompt "a small green cross orbits on a black background" --seed 3
    """
    from sorakit.demo.report import write_report  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.demo.scenario import EXAMPLE_PROMPT, find_camera_clip, tell  # noqa: PLC0415

    with progress_bar("demo", quiet=json_out) as progress:
        story = tell(
            output,
            _sample,
            prompt=prompt or EXAMPLE_PROMPT,
            seed=seed,
            camera=source or find_camera_clip(),
            progress=progress,
        )
    report = write_report(story, output)
    if json_out:
        print_json(_summary(story, report))
    else:
        _show(story, report)
    raise typer.Exit(0 if story.kept else 1)


def _sample(prompt: str, seed: int, progress: "Progress") -> "Clip":
    from sorakit.generate import generate  # noqa: PLC0415 - torch loads only here

    return generate(prompt, seed=seed, progress=progress)


def _show(story: "Story", report: Path) -> None:
    from sorakit.nb.words import BADGES  # noqa: PLC0415

    if story.made_identity:
        console.print(f"made a development identity; nobody trusts it but you: {story.signer}")
    table = Table("what was done", "decision", "what it says", box=None, pad_edge=False)
    for row in story.rows:
        badge = BADGES[row.verdict.decision]
        says = badge.meaning if row.broken is None else f"NOT AS PROMISED: {row.broken}"
        decision = Text(str(row.verdict.decision), style=_COLOURS.get(badge.tone, "white"))
        table.add_row(Text(row.step.title), decision, Text(says))
    console.print(table)
    for sentence in story.left_out:
        console.print(sentence)
    console.print(f"report: {report}")


def _summary(story: "Story", report: Path) -> dict[str, Any]:
    return {
        "report": str(report),
        "kept": story.kept,
        "prompt": story.prompt,
        "seed": story.seed,
        "made_identity": story.made_identity,
        "seconds": round(story.seconds, 1),
        "left_out": list(story.left_out),
        "rows": [_row(r) for r in story.rows],
    }


def _row(row: "Row") -> dict[str, Any]:
    evidence = row.verdict.evidence
    return {
        "step": row.step.key,
        "file": str(row.path),
        "decision": str(row.verdict.decision),
        "promised": str(row.step.promise),
        "manifest_id": evidence.recovery.manifest_id or evidence.provenance.manifest_id,
        "payload": evidence.watermark.payload,
        "broken": row.broken,
    }
