"""`sorakit extend`: any video in, a longer one out, published."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sorakit.cli.publishing import (
    Cert,
    DisclosePrompt,
    Key,
    Labels,
    Signer,
    Training,
    Tsa,
    TsaPolicy,
    show_published,
    signing_settings,
)
from sorakit.cli.ui import progress_bar
from sorakit.model_info import model_folder
from sorakit.types import Clip, Progress


class Direction(StrEnum):
    """Which end grows."""

    forward = "forward"
    backward = "backward"


def extend(
    source: Annotated[Path, typer.Argument(help="The video to go on from.", metavar="IN")],
    prompt: Annotated[list[str], typer.Argument(help="What to show; several take turns, as a story.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write: .mp4, .m4v, .mov, .mkv, .webm.")
    ],
    seconds: Annotated[float, typer.Option(min=1, max=600, help="Length of the whole, IN included.")] = 60,
    direction: Annotated[Direction, typer.Option(help="Which end grows.")] = Direction.forward,
    seed: Annotated[int, typer.Option(min=0, max=2**53, help="Same input and seed, same video.")] = 0,
    known: Annotated[int, typer.Option(min=1, max=64, help="Frames that each window is given: 4 or 8.")] = 8,
    steps: Annotated[int | None, typer.Option(min=1, max=200, help="Sampling steps.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, max=20, help="Classifier-free guidance.")] = None,
    model: Annotated[
        str, typer.Option(help="Name or folder of a sorakit model that takes frames.")
    ] = "full-world",
    device: Annotated[str, typer.Option(help="`cpu`, `cuda`, `mps`.")] = "cpu",
    disclose_prompt: DisclosePrompt = False,
    labels: Labels = None,
    cert: Cert = None,
    key: Key = None,
    signer: Signer = None,
    tsa: Tsa = None,
    tsa_policy: TsaPolicy = None,
    training: Training = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace OUTPUT if it exists.")] = False,
    json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Go on from a video, or lead up to it; the whole leaves watermarked, signed and registered.

    The video is made as small as the model works, at most 12 frames a second, without sound. The manifest
    takes it in as its parent, with its own credential if it has one.

    [bold]Example:[/]  sorakit extend red.mp4 "a big red circle orbits on a navy background" -o long.mp4
    --seconds 60
    """
    from sorakit.publish import check_labels, check_output, publish  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.video.guard import prescan  # noqa: PLC0415

    check_output(output, overwrite=force, source=source)
    check_labels(labels)
    about_signing = signing_settings(cert, key, signer, tsa, tsa_policy, training)
    prescan(source, about_signing.limits)  # before seconds go into loading a model
    with progress_bar(f"extending {source.name}", quiet=json_out) as progress:
        settings: dict[str, object] = {"steps": steps, "guidance": guidance, "device": device}
        task: dict[str, object] = {
            "seconds": seconds,
            "direction": direction.value,
            "known": known,
            "seed": seed,
        }
        clip = _made(source, prompt, model, settings, task, progress)
        done = publish(
            clip,
            output,
            disclose_prompt=disclose_prompt,
            labels=labels,
            overwrite=force,
            settings=about_signing,
            progress=progress,
        )
    show_published(done, json_out=json_out)


def _made(
    source: Path,
    prompt: Sequence[str],
    model: str,
    settings: dict[str, object],
    task: dict[str, object],
    progress: Progress,
) -> Clip:
    """The longer clip, with the source named in what goes into the manifest."""
    from sorakit.extend import extend as grow  # noqa: PLC0415 - torch loads only here
    from sorakit.extend import open_sampler  # noqa: PLC0415
    from sorakit.shrink import read_small  # noqa: PLC0415

    progress("load", 0.0)
    sampler = open_sampler(model_folder(model), **settings)  # type: ignore[arg-type]  # options of the same names
    progress("read", 0.0)
    small = read_small(source, sampler.pipe.size[1:], step=sampler.side)
    texts = prompt[0] if len(prompt) == 1 else list(prompt)
    clip = grow(sampler, small, texts, progress=progress, **task)  # type: ignore[arg-type]
    about = clip.generation
    if about is None:
        return clip
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return replace(
        clip, generation=replace(about, parameters=about.parameters | {"source_file": f"sha256:{digest}"})
    )
