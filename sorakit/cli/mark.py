"""`sorakit mark`: put a watermark and a signed credential on a video that already exists."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sorakit.cli.publishing import (
    Cert,
    Key,
    Labels,
    Signer,
    Training,
    Tsa,
    TsaPolicy,
    show_published,
    signing_settings,
)
from sorakit.cli.ui import console, print_error, print_json, progress_bar
from sorakit.types import SourceType

if TYPE_CHECKING:
    from sorakit.batch import Order

SOURCE_NAMES = {
    "generated": SourceType.GENERATED,
    "edit": SourceType.EDITED,
    "composite": SourceType.COMPOSITE,
}


def mark(
    source: Annotated[
        Path, typer.Argument(help="The video to mark, or with --batch a folder.", metavar="IN")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The file to write: .mp4, .m4v, .mov, .mkv, .webm; or a folder."),
    ],
    source_type: Annotated[
        str,
        typer.Option(help="What the video is: `generated` by another tool, an AI `edit`, or a `composite`."),
    ] = "generated",
    tool: Annotated[str | None, typer.Option(help="Name of the tool that made the video.")] = None,
    tool_version: Annotated[str | None, typer.Option(help="That tool's version.")] = None,
    ingredient: Annotated[
        list[Path] | None,
        typer.Option(
            help="A picture or video that it was made from; may be given several times. It is an input, or "
            "with `--source-type composite` a component."
        ),
    ] = None,
    labels: Labels = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="Mark every video below the folder IN into the folder -o.")
    ] = False,
    pattern: Annotated[
        str | None, typer.Option(help="With --batch: only these, for example `*.mov` or `day1/*`.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="With --batch: videos at a time.")] = 1,
    cert: Cert = None,
    key: Key = None,
    signer: Signer = None,
    tsa: Tsa = None,
    tsa_policy: TsaPolicy = None,
    training: Training = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace OUTPUT if it exists.")] = False,
    json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Watermark, sign and register a video file; audio and frame times stay as they are.

    With --batch a whole folder, mirrored. It can be stopped and started again: what is done is skipped, by
    its SHA-256 and the settings. Bad files are reported and the rest goes on; the exit code is then 1. The
    output folder gets a journal (sorakit-batch.jsonl) and a report (sorakit-batch.json and .html).

    [bold]Example:[/]  sorakit mark clip.mp4 -o clip-marked.mp4 --tool "Some Generator"

    [bold]Example:[/]  sorakit mark clip.mp4 -o out.mp4 --cert chain.pem --key key.pem --tsa http://tsa.example

    [bold]Example:[/]  sorakit mark --batch videos -o marked --labels eu,cn --jobs 4
    """
    if source_type not in SOURCE_NAMES:
        raise typer.BadParameter(f"must be one of {', '.join(SOURCE_NAMES)}, got {source_type!r}")
    from sorakit.publish import publish  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.types import Generation, Ingredient  # noqa: PLC0415

    settings = signing_settings(cert, key, signer, tsa, tsa_policy, training)
    role: Literal["inputTo", "componentOf"] = "componentOf" if source_type == "composite" else "inputTo"
    made_by = Generation(tool, tool_version or "unknown") if tool else None
    if pattern is not None and not batch:
        raise typer.BadParameter("goes with --batch", param_hint="--pattern")
    if batch:
        from sorakit.batch import Order  # noqa: PLC0415

        if ingredient:
            raise typer.BadParameter("goes with a single video", param_hint="--ingredient")
        if labels is not None:
            settings = settings.model_copy(update={"labels": labels})
        kind = SOURCE_NAMES[source_type]
        _batch(Order(source, output, pattern, jobs, kind, made_by, force, settings), quiet=json_out)
        return
    with progress_bar(f"marking {source.name}", quiet=json_out) as progress:
        done = publish(
            source,
            output,
            source_type=SOURCE_NAMES[source_type],
            generation=made_by,
            labels=labels,
            ingredients=[Ingredient(path, role) for path in ingredient or ()],
            overwrite=force,
            settings=settings,
            progress=progress,
        )
    show_published(done, json_out=json_out)


def _batch(order: "Order", *, quiet: bool) -> None:
    from sorakit.batch import mark_folder  # noqa: PLC0415
    from sorakit.publish import check_labels  # noqa: PLC0415

    check_labels(None, order.settings)
    with progress_bar(f"marking {order.folder}", quiet=quiet) as progress:
        summary = mark_folder(
            order, lambda name, done, total, share: progress(f"{done} of {total} files, {name}", share)
        )
    for entry in summary["files"]:
        if entry["state"] == "failed":
            print_error(f"{entry['source']}: {entry['error']}")
    if quiet:
        print_json(summary)
    else:
        told = ", ".join(f"{n} {state}" for state, n in summary["counts"].items() if n)
        console.print(f"{told}; report: {order.out / 'sorakit-batch.html'}")
    if summary["counts"]["failed"]:
        raise typer.Exit(1)
