"""`sorakit inspect-latent`: the provider reads the mark in the starting noise, with the model itself."""

from pathlib import Path
from typing import Annotated

import typer

from sorakit.cli.ui import console, print_json, progress_bar
from sorakit.errors import IdentityError


def inspect_latent(
    file: Annotated[Path, typer.Argument(help="A video that this model may have made.", metavar="FILE")],
    model: Annotated[str, typer.Option(help="The model: a packaged name or its folder.")] = "full-world-64",
    prompt: Annotated[str, typer.Option(help="The prompt, where known: finds more.")] = "",
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**53, help="With --prompt: is it the clip of this seed?")
    ] = None,
    json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read the latent mark of a clip under your secret watermark keys. Needs the model, and some seconds.

    Prints how far each frame group agrees, in standard deviations: near 0 where frames were replaced.

    [bold]Example:[/]  sorakit inspect-latent clip.mp4 --prompt "a big red circle moves left on a navy
    background" --seed 7
    """
    from sorakit.config import Settings  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.watermark.keyring import load_ring  # noqa: PLC0415

    keys = load_ring(Settings().keys_dir)
    if not keys:
        raise IdentityError("no secret watermark key to read with; see: sorakit keys watermark --help")
    from sorakit.latent_mark import read_file_mark  # noqa: PLC0415 - torch loads only here
    from sorakit.model_info import model_folder  # noqa: PLC0415
    from sorakit.watermark.latent import SCHEME  # noqa: PLC0415

    with progress_bar("running the model backwards", quiet=json_out) as progress:
        progress("invert", 0.0)
        mark = read_file_mark(file, model_folder(model), keys, prompt=prompt, seed=seed)
    found = mark.evidence
    body = {
        "file": str(file), "found": found.found, "algorithm": SCHEME, "key_id": mark.key_id,
        "payload": found.payload, "log10_p": found.log10_p, "accuracy": round(found.accuracy, 4),
        "frames": [round(float(z), 2) for z in found.frames], "places": found.places.round(2).tolist(),
    }  # fmt: skip
    if json_out:
        print_json(body)
    else:
        text = f"mark {found.payload}, key {mark.key_id}" if found.found else "no mark found"
        along = "".join(f"  {z:.1f}" for z in found.frames)
        console.print(f"{text}  (chance 1e{found.log10_p:.0f}){along}", markup=False)
