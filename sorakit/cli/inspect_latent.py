"""`sorakit inspect-latent`: the provider reads the mark in the starting noise, with the model itself."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sorakit.cli.ui import console, print_json, progress_bar
from sorakit.errors import IdentityError, UsageError
from sorakit.model_info import model_folder
from sorakit.types import Progress


def inspect_latent(
    file: Annotated[Path, typer.Argument(help="A video that this model may have made.", metavar="FILE")],
    model: Annotated[
        str, typer.Option(help="The model: a packaged name, or the folder of a sorakit or diffusers model.")
    ] = "full-world-64",
    prompt: Annotated[str, typer.Option(help="The prompt, where known: finds more.")] = "",
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**53, help="With --prompt: is it the clip of this seed?")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Steps it was made in (diffusers; else its own).")
    ] = None,
    height: Annotated[
        int | None,
        typer.Option(min=16, max=4096, help="Height it was made in; else as its credential says."),
    ] = None,
    width: Annotated[int | None, typer.Option(min=16, max=4096, help="Its width, likewise.")] = None,
    device: Annotated[str, typer.Option(help="`cpu`, `cuda`, `mps` (diffusers).")] = "cpu",
    json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Read the latent mark of a clip under your secret watermark keys. Needs the model, and some seconds.

    Prints how far each frame group agrees, in standard deviations: near 0 where frames were replaced.

    [bold]Example:[/]  sorakit inspect-latent clip.mp4 --prompt "a big red circle moves left on a navy
    background" --seed 7

    [bold]Example:[/]  sorakit inspect-latent cat.mp4 --model Wan2.1-T2V-1.3B-Diffusers --prompt "a red cat"
    """
    from sorakit.config import Settings  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.watermark.keyring import load_ring  # noqa: PLC0415

    keys = load_ring(Settings().keys_dir)
    if not keys:
        raise IdentityError("no secret watermark key to read with; see: sorakit keys watermark --help")
    from sorakit.watermark.latent import SCHEME  # noqa: PLC0415

    with progress_bar("running the model backwards", quiet=json_out) as progress:
        progress("invert", 0.0)
        own = {"steps": steps, "size": _size(height, width), "device": device}
        mark = _read(file, model, keys, {"prompt": prompt, "seed": seed}, own, progress)
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
        console.print(f"{text}  (chance 1e{found.log10_p:.0f}){along}")


def stated_size(file: Path) -> tuple[int, int] | None:
    """(height, width) that a model drew the clip in, by the file's own credential if it is valid; else None.

    Nobody has to vouch for the signer: a wrong size only finds no mark. Asks nothing of the network.

    >>> stated_size(Path("missing.mp4")) is None
    True
    """
    from sorakit.check import check  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.moderation.policy import default_policy  # noqa: PLC0415

    alone = {"detector": "none", "resolvers": (), "ocsp": False, "decision_log": None}
    found = check(file, settings=Settings().model_copy(update=alone), policy=default_policy())
    said = found.evidence.provenance
    stated = (
        (said.generation or {}).get("parameters") if said.state in ("trusted", "valid_untrusted") else None
    )
    if not isinstance(stated, dict):
        return None
    height, width = stated.get("height"), stated.get("width")
    if type(height) is int and type(width) is int and all(16 <= side <= 4096 for side in (height, width)):
        return height, width
    return None


def _size(height: int | None, width: int | None) -> tuple[int, int] | None:
    if height is None and width is None:
        return None
    if height is None or width is None:
        raise UsageError("--height and --width go together; give both")
    return height, width


def _read(
    file: Path, model: str, keys: Any, known: dict[str, Any], own: dict[str, Any], progress: Progress
) -> Any:
    """`FileMark` by one of the kit's models, or by a model of diffusers with `own` options."""
    if (model_folder(model) / "sorakit.json").is_file():
        if own != {"steps": None, "size": None, "device": "cpu"}:
            raise UsageError("--steps, --height, --width, --device: for models of diffusers only")
        from sorakit.latent_mark import read_file_mark  # noqa: PLC0415 - torch loads only here

        return read_file_mark(file, model_folder(model), keys, **known)
    from sorakit.backends import load_foreign  # noqa: PLC0415

    loaded = load_foreign(model, device=own.pop("device"))
    own["size"] = own["size"] or stated_size(file)
    from sorakit.backends.noise_read import read_foreign_mark  # noqa: PLC0415 - torch loads only here

    return read_foreign_mark(file, loaded, keys, **known, **own, progress=progress)
