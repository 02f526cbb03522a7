"""`sorakit doctor`: is everything here that the kit needs?"""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Column, Table
from rich.text import Text

from sorakit.cli.ui import console, one_line, print_json

State = Literal["ok", "note", "problem"]
Finding = tuple[str, State, str]

_EXTRAS = {
    "torch": "generate",
    "diffusers": "generate",
    "jupyterlab": "notebooks",
    "imwatermark": "peer watermarks",
}


def doctor(json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Look over the installation, the keys and the registry; exit 1 if something is broken.

    [bold]Example:[/]  sorakit doctor
    """
    findings = list(_findings())
    broken = any(state == "problem" for _, state, _ in findings)
    if json_out:
        print_json(
            {
                "ok": not broken,
                "findings": [dict(zip(("what", "state", "detail"), f, strict=True)) for f in findings],
            }
        )
    else:
        table = Table("", "", Column(overflow="fold"), box=None, show_header=False)  # no path is cut short
        for what, state, detail in findings:
            colour = {"ok": "green", "note": "yellow", "problem": "red"}[state]
            table.add_row(Text(state, colour), what, one_line(detail))
        console.print(table)
    raise typer.Exit(1 if broken else 0)


def _findings() -> Iterator[Finding]:
    from sorakit.config import Settings  # noqa: PLC0415 - keeps `--help` quick

    settings = Settings()
    yield "python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    for name in ("sorakit", "av", "c2pa-python", "numpy"):
        yield name, "ok", importlib.metadata.version(name)
    yield _codecs()
    for module, use in _EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        yield (
            module,
            "ok" if there else "note",
            f"for {use}" if there else f"not installed; only needed for {use}",
        )
    yield _home(settings.home)
    yield _identity(settings.keys_dir)
    yield _registry(settings.database_url)


def _codecs() -> Finding:
    import av  # noqa: PLC0415

    missing = [c for c in ("libx264", "h264", "aac") if c not in av.codecs_available]
    if missing:
        return (
            "codecs",
            "problem",
            f"PyAV lacks {', '.join(missing)}; install the wheel of `av` from the registry",
        )
    return "codecs", "ok", "H.264 in and out"


def _home(home: Path) -> Finding:
    there = next(p for p in (home, *home.parents) if p.exists())
    if not there.is_dir():
        return "home", "problem", f"{there} is no folder; set SORAKIT_HOME"
    if not os.access(there, os.W_OK):
        return "home", "problem", f"{home} cannot be written; set SORAKIT_HOME"
    return "home", "ok", f"{home}, {shutil.disk_usage(there).free >> 20} MB free"


def _identity(keys_dir: Path) -> Finding:
    from sorakit.errors import IdentityError  # noqa: PLC0415
    from sorakit.provenance.keys import load_identity  # noqa: PLC0415

    try:
        identity = load_identity(keys_dir)
    except IdentityError as e:
        return "signing key", "note", str(e)
    return "signing key", "ok", f"{identity.subject}, until {identity.not_after:%Y-%m-%d}"


def _registry(url: str) -> Finding:
    from sorakit.errors import RegistryError  # noqa: PLC0415
    from sorakit.registry.repo import Registry  # noqa: PLC0415

    try:
        if not Registry.exists(url):
            return "registry", "note", "none yet; the first published file makes one"
        with Registry(url) as registry:
            bad = registry.verify_audit()
            count = registry.stats()["manifests"]
    except RegistryError as e:
        return "registry", "problem", str(e)
    if bad is not None:
        return "registry", "problem", f"the audit log was changed at row {bad}"
    return "registry", "ok", f"{count} published files, audit log whole"
