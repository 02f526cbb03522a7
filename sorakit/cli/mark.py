"""`sorakit mark`: put a watermark and a signed credential on a video that already exists."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sorakit.cli.signing import Cert, Key, Signer, Training, Tsa, TsaPolicy, signing_settings
from sorakit.cli.ui import console, one_line, print_json, progress_bar
from sorakit.types import SourceType

SOURCE_NAMES = {
    "generated": SourceType.GENERATED,
    "edit": SourceType.EDITED,
    "composite": SourceType.COMPOSITE,
}


def mark(
    source: Annotated[Path, typer.Argument(help="The video to mark.", metavar="IN")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write: .mp4, .m4v, .mov, .mkv, .webm.")
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
    labels: Annotated[
        str | None,
        typer.Option(
            help="Laws whose labels it shall bear, drawn and signed: `eu`, `cn`, `ca`, `ca-visible`."
        ),
    ] = None,
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

    [bold]Example:[/]  sorakit mark clip.mp4 -o clip-marked.mp4 --tool "Some Generator"

    [bold]Example:[/]  sorakit mark clip.mp4 -o out.mp4 --cert chain.pem --key key.pem --tsa http://tsa.example
    """
    if source_type not in SOURCE_NAMES:
        raise typer.BadParameter(f"must be one of {', '.join(SOURCE_NAMES)}, got {source_type!r}")
    from sorakit.publish import publish  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.types import Generation, Ingredient  # noqa: PLC0415

    settings = signing_settings(cert, key, signer, tsa, tsa_policy, training)
    role: Literal["inputTo", "componentOf"] = "componentOf" if source_type == "composite" else "inputTo"
    made_by = Generation(tool, tool_version or "unknown") if tool else None
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
    for note in done.notes:
        console.print(f"note: {one_line(note)}", markup=False)
    if json_out:
        print_json(done.to_json())
    else:
        console.print(
            f"{done.path}  mark {done.payload}  {done.psnr:.1f} dB  {done.manifest_id}", markup=False
        )
