"""`sorakit lab`: open the course in JupyterLab, on a working copy; or a notebook as an app without code."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

import sorakit
from sorakit.cli.ui import console
from sorakit.errors import UsageError

APPS = ("00", "13")
"""Notebooks that read well with their code hidden."""


def lab(
    number: Annotated[
        str | None, typer.Argument(metavar="[NN]", help="Notebook to open, 00 to 13.", show_default=False)
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(help="Your working copy; made where it is missing.", show_default="~/sorakit-course"),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin notebook NN again; yours is kept under another name.")
    ] = False,
    app: Annotated[
        bool, typer.Option("--app", help="Show notebook 00 or 13 as an app without code (Voilà).")
    ] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8888,
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
    list_only: Annotated[bool, typer.Option("--list", help="List the notebooks and end.")] = False,
) -> None:
    """Open the course. You work on a copy; what exists in it already is never overwritten.

    [bold]Examples:[/]  sorakit lab 04     sorakit lab 13 --app     sorakit lab 02 --fresh
    """
    from sorakit.nb.course import find, titles, working_copy  # noqa: PLC0415 - keeps `--help` quick

    if list_only:
        for title in titles().values():
            typer.echo(title)
        return
    if number is None and (fresh or app):
        raise UsageError(f"`{'--fresh' if fresh else '--app'}` needs the number of a notebook")
    name = None if number is None else find(number)
    if app and (name is None or name[:2] not in APPS):
        raise UsageError(f"only notebooks {' and '.join(APPS)} are apps too; open {number} without `--app`")
    _installed("voila" if app else "jupyterlab")
    where = folder if folder is not None else Path.home() / "sorakit-course"
    added = working_copy(where, fresh=name if fresh else None)
    console.print(f"your copy: {where}" + (f" ({len(added)} files added)" if added else ""))
    raise typer.Exit(_serve(_voila(name, port, browser) if app else _jupyter(name, port, browser), where))


def _jupyter(name: str | None, port: int, browser: bool) -> list[str]:
    """JupyterLab that asks nothing of the network: no news, no update check, no gallery of extensions."""
    return [
        *("jupyterlab", f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1"),
        *("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None"),
        "--LabApp.extension_manager=readonly",
        *([] if browser else ["--no-browser"]),
        *([] if name is None else [f"notebooks/{name}"]),
    ]


def _voila(name: str | None, port: int, browser: bool) -> list[str]:
    """Voilà with our template, which loads nothing from elsewhere."""
    options = [f"--Voila.port={port}", "--Voila.ip=127.0.0.1", *([] if browser else ["--no-browser"])]
    return ["voila", f"notebooks/{name}", "--template=sorakit", *options]


def _installed(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise UsageError(
            "the course needs more packages; install them with: pip install 'sorakit[notebooks]'"
        )


def _serve(command: list[str], folder: Path) -> int:
    """Run the server until it ends; Ctrl-C is its own to answer, SIGTERM ends both."""
    ours = str(Path(sorakit.__file__).parent / "nb" / "jupyter")
    paths = os.pathsep.join(filter(None, [ours, os.environ.get("JUPYTER_PATH")]))
    with subprocess.Popen(  # noqa: S603 - our words
        [sys.executable, "-m", *command], cwd=folder, env=os.environ | {"JUPYTER_PATH": paths}
    ) as server:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return server.wait()
        except KeyboardInterrupt:
            server.terminate()
            raise
        finally:
            signal.signal(signal.SIGINT, before)
