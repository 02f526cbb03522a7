"""`sorakit generate`: a prompt in, a published video out."""

from pathlib import Path
from typing import Annotated, Any

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
from sorakit.cli.ui import console, progress_bar
from sorakit.errors import UsageError
from sorakit.model_info import model_folder
from sorakit.types import Clip, Progress


def generate(
    prompt: Annotated[str, typer.Argument(help="What to show, in the words the model knows.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write: .mp4, .m4v, .mov, .mkv, .webm.")
    ],
    seed: Annotated[int, typer.Option(min=0, max=2**53, help="Same prompt and seed, same clip.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, max=200, help="Sampling steps.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, max=20, help="Classifier-free guidance.")] = None,
    solver: Annotated[
        str | None,
        typer.Option(
            help="`euler`, `stochastic` (new noise at each step), `heun`, `dpm`; default: the model's own "
            "(sorakit models)."
        ),
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, max=1024, help="Frames to make.")] = None,
    size: Annotated[int | None, typer.Option(min=16, max=4096, help="Both sides of the sample, px.")] = None,
    height: Annotated[int | None, typer.Option(min=16, max=4096, help="Its height alone, px.")] = None,
    width: Annotated[int | None, typer.Option(min=16, max=4096, help="Its width alone, px.")] = None,
    fps: Annotated[int | None, typer.Option(min=1, max=240, help="Frames a second.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A packaged model's name (one-object, full-world-64, …), the folder of a sorakit or "
            "diffusers model, or a hub id `owner/name`."
        ),
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="Picture to start from, for models that take one.")
    ] = None,
    last_image: Annotated[Path | None, typer.Option(help="Picture to end with (sorakit models).")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What not to show (diffusers).")] = None,
    device: Annotated[str, typer.Option(help="`cpu`, `cuda`, `mps`.")] = "cpu",
    dtype: Annotated[
        str | None,
        typer.Option(
            help="`float32`, `bfloat16`, `float16`. Default: float32 on the CPU; bfloat16 for a "
            "diffusers model elsewhere."
        ),
    ] = None,
    offload: Annotated[
        str, typer.Option(help="Save GPU memory: `none`, `model`, `sequential` (diffusers).")
    ] = "none",
    quantise: Annotated[str, typer.Option(help="Save memory: `none`, `8bit`, `4bit` (diffusers).")] = "none",
    download: Annotated[bool, typer.Option("--download", help="Fetch a hub model that is not here.")] = False,
    latent_mark: Annotated[
        bool,
        typer.Option(help="Mark the starting noise too, with the secret key (not one-object, full-world)."),
    ] = False,
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
    """Generate a clip; it leaves watermarked, signed and registered.

    Options left out take the model's own values. Nothing is fetched from the net without --download.

    [bold]Example:[/]  sorakit generate "a big red circle moves left on a navy background" -o red.mp4 --seed 7

    [bold]Example:[/]  sorakit generate "a small cyan cross bounces and a big red square orbits on a dotted
    navy background" -o two.mp4 --model full-world-64

    [bold]Example:[/]  sorakit generate "a red cat" -o cat.mp4 --model Wan-AI/Wan2.1-T2V-1.3B-Diffusers
    --device cuda --offload model --download
    """
    from sorakit.publish import check_labels, check_output, publish  # noqa: PLC0415 - loads codecs

    check_output(output, overwrite=force)
    check_labels(labels)
    settings = signing_settings(cert, key, signer, tsa, tsa_policy, training)
    asked: dict[str, Any] = {
        "seed": seed, "steps": steps, "guidance": guidance, "frames": frames, "fps": fps,
        "height": height or size, "width": width or size,
    }  # fmt: skip
    foreign = {"negative_prompt": negative_prompt}
    loading = {"offload": offload, "quantise": quantise, "allow_download": download}
    with progress_bar("generating", quiet=json_out) as progress:
        if model is None or (model_folder(model) / "sorakit.json").is_file():
            _only_foreign(foreign | loading)
            pictures = {"image": image, "last_image": last_image}
            own: dict[str, Any] = asked | pictures | {"solver": solver, "dtype": dtype}
            own["latent_key"] = _latent_key() if latent_mark else None
            clip = _own(prompt, own, model, device, progress)
        else:
            for name, value in {"--last-image": last_image, "--solver": solver}.items():
                if value is not None:
                    raise UsageError(f"{name}: for models of sorakit only")
            wanted = asked | foreign | {"image": image}
            wanted["latent_key"] = _latent_key() if latent_mark else None
            clip = _foreign(prompt, wanted, model, loading | {"device": device, "dtype": dtype}, progress)
        done = publish(
            clip,
            output,
            disclose_prompt=disclose_prompt,
            labels=labels,
            overwrite=force,
            settings=settings,
            progress=progress,
        )
    show_published(done, json_out=json_out)


def _own(prompt: str, asked: dict[str, Any], model: str | None, device: str, progress: Progress) -> Clip:
    """One of the kit's own models, with its own values where nothing was asked."""
    from sorakit.generate import generate as sample  # noqa: PLC0415 - torch loads only here

    given = {k: v for k, v in asked.items() if v is not None}
    folder = None if model is None else model_folder(model)
    return sample(prompt, model=folder, device=device, progress=progress, **given)


def _latent_key() -> bytes:
    """The secret key that marks now; says how to make one where there is none."""
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.watermark.keyring import marking_keys  # noqa: PLC0415

    (key,) = marking_keys(Settings(watermark_keys="secret"))
    return key


def _foreign(
    prompt: str, asked: dict[str, Any], model: str, loading: dict[str, Any], progress: Progress
) -> Clip:
    """Any other model: a folder or hub id that diffusers loads."""
    from sorakit.backends import load_foreign  # noqa: PLC0415

    progress("load", 0.0)
    loaded = load_foreign(model, **loading)
    if asked["latent_key"] is not None:
        from sorakit.backends.noise_read import why_not_read  # noqa: PLC0415 - loads torch

        if reason := why_not_read(loaded.pipe):
            console.print(f"note: the mark in the noise is made, but not read back: {reason}")
    return loaded.generate(prompt, progress=progress, **asked)


def _only_foreign(options: dict[str, Any]) -> None:
    """Refuse what the kit's own models do not have, rather than ignore it."""
    if given := [k for k, v in options.items() if v not in (None, False, "none")]:
        names = ", ".join("--" + k.removeprefix("allow_").replace("_", "-") for k in given)
        raise UsageError(f"{names}: for models of diffusers only; name one with --model")
