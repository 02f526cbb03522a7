"""`sorakit train`: a recipe in, a folder with checkpoints, a log and stills of samples out."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from sorakit.cli.ui import console, print_json
from sorakit.errors import ModelError, UsageError
from sorakit.model_info import model_folder

if TYPE_CHECKING:
    from sorakit.train.loop import Run, Trainer
    from sorakit.train.recipe import Recipe

_OTHERS = {
    "autoencoder": "the video autoencoder, in whose latents full-world-64 works",
    "student": "a model of few steps from a finished one: --teacher FOLDER; --start STUDENT betters one",
}
"""Trained by modules of their own, which this command only starts."""

_OWN = {
    "autoencoder": "`python -m sorakit.train.autoencoder --help`",
    "student": "`python -m sorakit.train.distill --help`, or with `--start` that of `sorakit.train.match`",
}

_TAKES = {
    "autoencoder": {"recipe", "out", "hours", "steps", "device", "threads", "export"},
    "student": {"recipe", "out", "hours", "steps", "device", "threads", "teacher", "start"},
}
"""Options of this command that they can be told."""


def train(
    ctx: typer.Context,
    recipe: Annotated[str, typer.Option(help="A recipe's name (see --list) or a .toml file.")] = "one-object",
    out: Annotated[Path | None, typer.Option(help="The run's folder: checkpoints, log, previews.")] = None,
    hours: Annotated[float, typer.Option(min=0, help="Stop after this much wall time, …")] = math.inf,
    steps: Annotated[float, typer.Option(min=0, help="… or after this many steps.")] = math.inf,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a field: batch=16, model.width=96. Repeatable.")
    ] = None,
    device: Annotated[str, typer.Option(help="`cpu`, `cuda`, `mps`.")] = "cpu",
    dtype: Annotated[
        Literal["bfloat16", "float32"] | None,
        typer.Option(
            help="Of matrix products; weights stay float32. Default: the recipe's. On a "
            "processor that only emulates bfloat16, float32."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="CPU threads of the products.")] = 1,
    workers: Annotated[int, typer.Option(min=0, max=256, help="Processes that make batches (GPU: 4).")] = 0,
    shards: Annotated[
        Path | None, typer.Option(help="Train on clips in this folder's *.tar instead of the sprite world.")
    ] = None,
    parallel: Annotated[
        Literal["auto", "ddp", "fsdp"],
        typer.Option(help="Under `accelerate launch`: how weights are spread."),
    ] = "auto",
    compiled: Annotated[
        bool, typer.Option("--compile", help="torch.compile each block (no gain on CPUs).")
    ] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Log for TensorBoard too.")] = False,
    save_every: Annotated[float, typer.Option(min=0, help="Seconds between checkpoints.")] = 300,
    log_every: Annotated[int, typer.Option(min=1, help="Steps between lines of the log.")] = 50,
    preview_every: Annotated[float, typer.Option(min=0, help="Seconds between scores and previews.")] = 600,
    watts: Annotated[
        float, typer.Option(min=0, max=1000, help="Assumed W of a busy core, for the ledger.")
    ] = 10,
    start: Annotated[
        str | None,
        typer.Option(
            help="Begin a new run from a model's weights: a packaged name or a folder. With `--recipe "
            "student` a student, which then learns what its teacher's clips are like, not their paths."
        ),
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Afterwards write a model folder with its card.")
    ] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="Only `--recipe student`: model or run to learn from.")
    ] = None,
    list_recipes: Annotated[bool, typer.Option("--list", help="List the recipes and leave.")] = False,
    json_out: Annotated[
        bool, typer.Option("--json", help="Print the run's ledger as one JSON object.")
    ] = False,
) -> None:
    """Train a model, or go on training: the same command in the same folder continues to the bit.

    Ctrl-C ends after the current step with a checkpoint. Previews are stills; videos leave by `generate`.

    [bold]Example:[/]  sorakit train --recipe one-object --out runs/mine --hours 1.5 --export models/mine

    [bold]Example:[/]  sorakit train --recipe my.toml --out runs/my --steps 2000 --set model.width=96

    [bold]Example:[/]  sorakit train --recipe full-world-64 --start full-world --out runs/large --hours 2

    [bold]Example:[/]  accelerate launch --num_processes 2 -m sorakit.train --recipe full-world --out runs/two
    --steps 20000 --device cuda --set accumulate=2 --set batch=16
    """
    _need_torch()
    if list_recipes:
        _list(json_out)
        return
    if out is None:
        raise UsageError("`--out` is missing: name the run's folder, such as --out runs/mine")
    if recipe in _OTHERS:
        limits = {"--hours": hours, "--steps": steps}
        words = ["--out", str(out), "--device", device, "--threads", str(threads)]
        words += [w for k, v in limits.items() if not math.isinf(v) for w in (k, f"{v:g}")]
        words += [] if start is None else ["--start", str(model_folder(start))]
        _other(recipe, words, _unused(ctx, recipe), teacher, export)
        return
    if teacher is not None:
        raise UsageError("`--teacher` goes with `--recipe student` alone")
    from sorakit.train.loop import Budget, Run  # noqa: PLC0415 - torch loads only here
    from sorakit.train.recipe_file import find_recipe, override  # noqa: PLC0415

    wanted = [*(settings or []), *([f"bf16={str(dtype == 'bfloat16').lower()}"] if dtype else [])]
    begin = None if start is None else model_folder(start)
    run = Run(
        device, workers, shards, compiled, tensorboard, save_every, preview_every, log_every, watts, begin
    )
    found = override(find_recipe(recipe), wanted)
    trainer = _run(found, out, Budget(hours, steps), run, parallel, threads, quiet=json_out)
    if not trainer.group.first:
        return
    if export is not None:
        from sorakit.train.export import export as write  # noqa: PLC0415

        write(trainer.recipe, out / "last.safetensors", export, "0.1.0")
    _finish(trainer, out, export, json_out=json_out)


def _unused(ctx: typer.Context, recipe: str) -> list[str]:
    """Options that were given and that the trainer of `recipe` does not take."""
    others = [p for p in ctx.command.params if p.name is not None and p.name not in _TAKES[recipe]]
    sources = [(max(p.opts, key=len), ctx.get_parameter_source(str(p.name))) for p in others]
    return [option for option, source in sources if source is not None and source.name == "COMMANDLINE"]


def _run(
    recipe: "Recipe", out: Path, budget: Any, run: "Run", parallel: str, threads: int, *, quiet: bool
) -> "Trainer":
    import torch  # noqa: PLC0415

    from sorakit.train.loop import train as loop  # noqa: PLC0415
    from sorakit.train.memory import keep_freed_pages  # noqa: PLC0415
    from sorakit.train.parallel import open_group  # noqa: PLC0415

    keep_freed_pages()
    torch.set_num_threads(threads)
    with (
        open_group(run.device, parallel) as group,
        _bar(recipe.name, quiet=quiet or not group.first) as report,
    ):
        trainer = loop(recipe, out, budget, run, group=group, report=report)
    if group.first and not quiet and recipe.bf16 and not trainer.recipe.bf16:
        console.print("Products ran in float32: this processor only emulates bfloat16.")
    if group.first and not quiet and budget.used(trainer.ledger.wall / 3600, trainer.step) < 1:
        console.print(
            f"Stopped at step {trainer.step:,}, checkpoint in {out}; the same command goes on from there.",
        )
    return trainer


@contextmanager
def _bar(name: str, *, quiet: bool) -> Iterator[Callable[["Trainer", float], None]]:
    """A bar on stderr with loss, speed and the time that is left."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[facts]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task, begun = bar.add_task(name, total=1.0, facts=""), _Begun()

        def report(trainer: "Trainer", used: float) -> None:
            bar.update(task, completed=used, facts=begun.facts(trainer, used))

        yield report


class _Begun:
    """What speed and remaining time are counted from: the first step of this call, not of the run."""

    def __init__(self) -> None:
        self.first: tuple[float, int, float] | None = None

    def facts(self, trainer: "Trainer", used: float) -> str:
        """Step, loss, clips a second, time left."""
        wall, clips = trainer.ledger.wall, trainer.ledger.clips
        if self.first is None:
            self.first = (wall, clips, used)
        past, made, share = wall - self.first[0], clips - self.first[1], used - self.first[2]
        text = f"step {trainer.step:,}  loss {trainer.loss:.4f}"
        if past <= 0 or share <= 0:
            return text
        left = past * (1 - used) / share
        return f"{text}  {made / past:.1f} clips/s  {int(left) // 60}:{int(left) % 60:02d} left"


def _finish(trainer: "Trainer", out: Path, export: Path | None, *, json_out: bool) -> None:
    ledger = trainer.ledger
    if json_out:
        facts = ledger.state() | {"step": trainer.step, "loss": trainer.loss, "out": str(out)}
        print_json(facts | {"export": None if export is None else str(export)})
        return
    console.print(
        f"{out}  step {trainer.step:,}  loss {trainer.loss:.4f}  {ledger.clips:,} clips  "
        f"{ledger.tflop:,.1f} TFLOP  {ledger.cpu:,.0f} CPU-s  about {1000 * ledger.kwh:,.1f} Wh"
        + (f"  → {export}" if export else ""),
    )


def _list(json_out: bool) -> None:
    """Name, size, cost and purpose of each recipe."""
    from sorakit.train.recipe import RECIPES  # noqa: PLC0415
    from sorakit.train.summary import summary  # noqa: PLC0415

    rows = [summary(r) for r in RECIPES.values()]
    if json_out:
        print_json({"recipes": rows, "others": _OTHERS})
        return
    table = Table(box=None)
    for head in ("recipe", "parameters", "TFLOP / 1k steps", "makes"):
        table.add_column(head, justify="left" if head in ("recipe", "makes") else "right")
    for row in rows:
        size, cost = f"{row['parameters'] / 1e6:.2f} M", f"{row['tflop_per_1000_steps']:,.1f}"
        table.add_row(row["name"], size, cost, row["about"])
    for name, about in _OTHERS.items():
        table.add_row(name, "", "", about)
    console.print(table)


def _other(
    recipe: str, words: list[str], unused: list[str], teacher: Path | None, export: Path | None
) -> None:
    """Start the trainer of another kind of network with the options `words` of its own command."""
    if unused:
        names = ", ".join(unused)
        raise UsageError(f"{names}: not for `--recipe {recipe}`; its own options: {_OWN[recipe]}")
    if recipe == "student":
        if teacher is None:
            raise UsageError("a student needs `--teacher`: the folder of a model or of a training run")
        if "--start" in words:
            from sorakit.train.match import main as learn  # noqa: PLC0415
        else:
            from sorakit.train.distill import main as learn  # noqa: PLC0415
        learn([*words, "--teacher", str(teacher)])
        return
    from sorakit.train.autoencoder import main as autoencoder  # noqa: PLC0415

    autoencoder(words)
    if export is not None:
        from sorakit.train.autoexport import main as write  # noqa: PLC0415

        write([words[1], str(export)])


def _need_torch() -> None:
    try:
        import diffusers  # noqa: F401, PLC0415
        import torch  # noqa: F401, PLC0415
    except ImportError as error:
        raise ModelError(f"training needs {error.name}: pip install sorakit[gen]") from error
