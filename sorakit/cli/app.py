"""The `sorakit` program: gathers the commands, turns the kit's errors into one line and an exit code."""

import signal
import sys
from types import FrameType
from typing import NoReturn

import typer

from sorakit import __version__
from sorakit.cli import (
    attack,
    bench,
    check,
    demo,
    detect,
    detector,
    doctor,
    explain,
    extend,
    generate,
    inspect_latent,
    keys,
    lab,
    mark,
    policy,
    registry,
    scan,
    serve,
    train,
    trust,
)
from sorakit.cli.ui import print_error
from sorakit.errors import SorakitError

__all__ = ["app", "main"]

app = typer.Typer(
    name="sorakit",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Make AI video, mark it so that the mark survives, and check any video for what made it.",
)
app.command()(generate.generate)
app.command()(extend.extend)
app.command()(mark.mark)
app.command()(check.check)
app.command()(detect.detect)
app.command()(scan.scan)
app.command()(explain.explain)
app.command()(serve.serve)
app.command("inspect-latent")(inspect_latent.inspect_latent)
app.command()(attack.attack)
app.command()(demo.demo)
app.command()(lab.lab)
app.command()(doctor.doctor)
app.add_typer(bench.app, name="bench")
app.command()(train.train)
app.add_typer(detector.app, name="detector")
app.add_typer(policy.app, name="policy")
app.add_typer(keys.app, name="keys")
app.add_typer(registry.app, name="registry")
app.add_typer(trust.app, name="trust")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and leave."
    ),
) -> None:
    """Options before the command."""


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does, so that temporary files go away."""
    raise KeyboardInterrupt


def main() -> None:
    """Entry point of the `sorakit` script."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()  # turns Ctrl-C and a closed pipe into exit codes of its own
    except SorakitError as e:
        print_error(e)
        sys.exit(e.exit_code)
