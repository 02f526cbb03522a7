"""`sorakit generate`: a prompt in, a published video out."""

from pathlib import Path
from typing import Annotated

import typer

from sorakit.cli.ui import console, print_json, progress_bar


def generate(
    prompt: Annotated[str, typer.Argument(help="What to show, in the words the model knows.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write: .mp4, .m4v or .mov.")],
    seed: Annotated[int, typer.Option(min=0, max=2**53, help="Same prompt and seed, same clip.")] = 0,
    steps: Annotated[int, typer.Option(min=1, max=200, help="Sampling steps.")] = 16,
    guidance: Annotated[float, typer.Option(min=0, max=20, help="Classifier-free guidance.")] = 3.0,
    frames: Annotated[int, typer.Option(min=4, max=256, help="Frames to make.")] = 16,
    size: Annotated[int, typer.Option(min=16, max=256, help="Short and long side of the sample, px.")] = 32,
    model: Annotated[Path | None, typer.Option(help="Folder of another sorakit model.")] = None,
    device: Annotated[str, typer.Option(help="`cpu`, `cuda`, `mps`.")] = "cpu",
    disclose_prompt: Annotated[
        bool, typer.Option(help="Put the prompt itself into the manifest, not only its salted HMAC.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace OUTPUT if it exists.")] = False,
    json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Generate a clip; it leaves watermarked, signed and registered.

    [bold]Example:[/]  sorakit generate "a big red circle moves left on a navy background" -o red.mp4 --seed 7
    """
    from sorakit.generate import generate as sample  # noqa: PLC0415 - torch loads only here
    from sorakit.publish import check_output, publish  # noqa: PLC0415

    check_output(output, overwrite=force)
    with progress_bar("generating", quiet=json_out) as progress:
        clip = sample(
            prompt,
            seed=seed,
            steps=steps,
            guidance=guidance,
            frames=frames,
            height=size,
            width=size,
            model=model,
            device=device,
            progress=progress,
        )
        done = publish(clip, output, disclose_prompt=disclose_prompt, overwrite=force, progress=progress)
    if json_out:
        print_json(done.to_json())
    else:
        console.print(
            f"{done.path}  mark {done.payload}  {done.psnr:.1f} dB  {done.manifest_id}", markup=False
        )
