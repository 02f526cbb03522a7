"""`sorakit bench`: measures what the kit does on this machine: how well a model obeys, what marks survive."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from sorakit.cli.bench_watermark import watermark
from sorakit.cli.ui import console, print_json, progress_bar
from sorakit.errors import ModelError
from sorakit.model_info import DEFAULT_MODEL, model_folder

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Measure what the kit does, here.")

_FACTS = ("all_facts", "colour", "shape", "size", "motion", "count", "background", "texture", "camera", "cut")
_KINDS = {
    "one_object": "one object",
    "two_objects": "two objects",
    "with_cut": "with a cut",
    "fixed_camera": "camera still",
    "with_camera": "camera moves",
    "seen": "seen sprites",
    "held_out": "held-out sprites",
}


app.command()(watermark)


@app.command()
def generate(
    n: Annotated[int, typer.Option(min=1, max=100_000, help="Prompts to draw.")] = 200,
    seed: Annotated[int, typer.Option(min=0, max=2**53, help="Same seed, same prompts and noise.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Clips of each prompt.")] = 3,
    model: Annotated[str, typer.Option(help="A packaged model's name, or a folder.")] = DEFAULT_MODEL.name,
    steps: Annotated[int | None, typer.Option(min=1, max=1000, help="Sampling steps.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, max=100, help="Classifier-free guidance.")] = None,
    guidance_low: Annotated[
        float | None, typer.Option(min=0, max=1, help="No guidance where the noise level is lower.")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=8, max=1024, help="Frames a clip.")] = None,
    height: Annotated[int | None, typer.Option(min=16, max=4096, help="Height of the clips, px.")] = None,
    width: Annotated[int | None, typer.Option(min=16, max=4096, help="Width of the clips, px.")] = None,
    combos: Annotated[
        Literal["all", "seen", "held_out", "both"],
        typer.Option(
            help="Sprites in the prompts: any; those combined in training; those held out of it; or both "
            "kinds in turn, with their difference."
        ),
    ] = "all",
    device: Annotated[str, typer.Option(help="`cpu`, `cuda`, `mps`.")] = "cpu",
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None, typer.Option(help="Precision of the network.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="CPU threads; PyTorch's choice if left out.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="PNG to write (or replace): clips, prompts and what the oracle read."),
    ] = None,
    json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score a model on freshly drawn prompts with the oracle, which reads every fact back from the pixels.

    The intervals hold 95 % and take clips of one prompt as alike. The ceiling is the oracle's score on drawn
    scenes: no model can reach more.

    [bold]Example:[/]  sorakit bench generate --n 20 --seed 1 --picture clips.png

    [bold]Example:[/]  sorakit bench generate --combos both --json

    [bold]Example:[/]  sorakit bench generate --height 32 --width 48 --frames 24
    """
    from sorakit.fidelity import Sampling, measure  # noqa: PLC0415 - keeps `--help` quick

    gallery = None if picture is None else _gallery(picture)
    how = Sampling(steps, guidance, guidance_low, frames, height, width, device, dtype)
    _use_threads(threads)
    with progress_bar("measuring", quiet=json_out) as progress:
        result = measure(
            n, seed, seeds=seeds, model=model_folder(model), sampling=how, combos=combos, visit=gallery,
            progress=progress,
        )  # fmt: skip
    if picture is not None:
        _draw(gallery, result, picture)
    if json_out:
        print_json(result)
        return
    _print(result)
    if picture is not None:
        console.print(f"\npicture: {picture}")


def _gallery(picture: Path) -> Any:
    """What collects clips for the picture, once it is sure that it can be written and drawn."""
    try:
        from sorakit.contact_sheet import Gallery, check_picture  # noqa: PLC0415
    except ImportError as error:
        raise ModelError(f"drawing the picture needs {error.name}: pip install sorakit[gen]") from error
    check_picture(picture)
    return Gallery()


def _draw(gallery: Any, r: dict[str, Any], picture: Path) -> None:
    from sorakit.contact_sheet import draw, write_png  # noqa: PLC0415

    low, high = r["all_facts_ci"]
    title = f"{r['model']} {r['version']}: every fact right in {r['all_facts']:.3f} of clips"
    write_png(draw(gallery, f"{title} (95 %: {low:.3f} to {high:.3f})"), picture)


def _use_threads(threads: int | None) -> None:
    if threads is None:
        return
    try:
        import torch  # noqa: PLC0415
    except ImportError:
        return  # sampling says what to install
    torch.set_num_threads(threads)


def _print(r: dict[str, Any]) -> None:
    size = f"{r['frames']} frames of {r['width']} × {r['height']} px"
    how = f"{r['steps']} steps, guidance {r['guidance']:g} where σ ≥ {r['guidance_low']:g}"
    cost = f"{r['evaluations']:g} evaluations and {r['cpu_s_per_clip']:.3f} CPU-s a clip"
    console.print(
        f"{r['model']} {r['version']}: {r['n']} prompts × {r['seeds']} seeds, {size}\n"
        f"{how}\n{cost} ({r['device']}, {r['dtype']})\n",
    )
    console.print(_facts(r))
    console.print()
    console.print(_kinds(r))


def _facts(r: dict[str, Any]) -> Table:
    table = _table("fact", "share", "95 %", "ceiling")
    for name in _FACTS:
        words, style = name.replace("_", " "), "bold" if name == "all_facts" else ""
        table.add_row(words, f"{r[name]:.3f}", _interval(r, name), f"{r['ceiling'][name]:.3f}", style=style)
    return table


def _kinds(r: dict[str, Any]) -> Table:
    parts = ("colour", "shape", "size", "motion")
    table = _table("kind", "prompts", "all", "95 %", *parts)
    for name, words in _KINDS.items():
        row = r["groups"][name]
        if row["n"]:
            shares = (f"{row[f]:.3f}" for f in ("all_facts", *parts))
            table.add_row(words, str(row["n"]), next(shares), _interval(row), *shares)
    if gap := r["held_out_minus_seen"]:
        shares = (f"{gap[f]:+.3f}" for f in ("all_facts", *parts))
        table.add_row("  less the seen", "", next(shares), _interval(gap, sign="+"), *shares)
    return table


def _table(first: str, *numbers: str) -> Table:
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.add_column(first, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _interval(row: dict[str, Any], name: str = "all_facts", *, sign: str = "") -> str:
    low, high = row[f"{name}_ci"]
    return f"{low:{sign}.3f} to {high:{sign}.3f}"
