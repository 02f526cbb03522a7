"""`sorakit registry`: what was published from here."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sorakit.cli.ui import console, one_line, print_json, progress_bar
from sorakit.errors import RegistryError

if TYPE_CHECKING:
    from sorakit.registry.repo import Registry

app = typer.Typer(no_args_is_help=True, help="Published files: manifests, marks, fingerprints, audit log.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
LimitOption = Annotated[int, typer.Option(min=1, max=10_000, help="Newest so many.")]


def _open() -> "Registry":
    """The user's registry; never makes one just to look at it."""
    from sorakit.config import Settings  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.registry.repo import Registry  # noqa: PLC0415

    url = Settings().database_url
    if not Registry.exists(url):
        raise RegistryError("there is no registry yet; the first `sorakit generate` or `mark` makes one")
    return Registry(url)


@app.command("list")
def list_(limit: LimitOption = 20, json_out: JsonOption = False) -> None:
    """List published files, newest first.

    [bold]Example:[/]  sorakit registry list --limit 5
    """
    with _open() as registry:
        records = registry.list(limit)
    table = Table("when", "file", "state", "mark", "manifest", box=None)
    for r in records:
        mark = r.bindings[0][1] if r.bindings else "-"
        if json_out:
            print_json({k: v for k, v in r.to_json().items() if k not in ("store", "fingerprint")})
        table.add_row(f"{r.created:%Y-%m-%d %H:%M}", one_line(r.title or ""), r.state, mark, r.manifest_id)
    if not json_out:
        console.print(table)


@app.command()
def show(
    manifest_id: Annotated[str, typer.Argument(help="The manifest's id, as `check` prints it.")],
) -> None:
    """Print all that is kept of one manifest, as JSON; the manifest store in base64.

    [bold]Example:[/]  sorakit registry show urn:c2pa:…
    """
    with _open() as registry:
        print_json(registry.export(manifest_id))


@app.command()
def audit(
    limit: LimitOption = 20,
    verify: Annotated[
        bool, typer.Option("--verify", help="Only check the chain; exit 1 if it is broken.")
    ] = False,
    json_out: JsonOption = False,
) -> None:
    """Show the audit log, newest first, or verify its hash chain.

    [bold]Example:[/]  sorakit registry audit --verify
    """
    with _open() as registry:
        bad = registry.verify_audit()
        events = [] if verify else list(registry.audit_events(limit))
    table = Table("row", "when", "event", "subject", box=None)
    for e in events:
        if json_out:
            print_json(e)
        table.add_row(str(e["seq"]), e["time"][:19], one_line(e["event"]), one_line(e["subject"]))
    if events and not json_out:
        console.print(table)
    if bad is not None:
        raise RegistryError(
            f"the audit log was changed: row {bad} does not fit the chain; restore a copy of it"
        )
    console.print("the audit log is whole")


@app.command()
def tidy(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Where published files stand; looked through to the bottom.", metavar="FOLDER…"),
    ] = None,
    discard: Annotated[
        bool, typer.Option("--discard", help="Forget rows whose file stands in none of the folders.")
    ] = False,
    older: Annotated[
        float, typer.Option(min=0, max=876_000, help="Only rows of at least so many hours.")
    ] = 1.0,
    json_out: JsonOption = False,
) -> None:
    """Settle rows that a kill left pending: confirm those whose file is found, by its hash.

    Others stay as they are and still recover here, unless you say --discard; that cannot be undone.

    [bold]Example:[/]  sorakit registry tidy ~/Videos
    """
    from sorakit.registry.tidy import tidy as settle  # noqa: PLC0415 - keeps `--help` quick

    with _open() as registry, progress_bar("looking for files", quiet=json_out) as progress:
        settled = settle(
            registry, folders or [], discard=discard, min_age=timedelta(hours=older), progress=progress
        )
    for s in settled:
        if json_out:
            row = {"manifest_id": s.manifest_id, "title": s.title, "outcome": s.outcome}
            print_json(row | {"file": str(s.file) if s.file else None})
        else:
            console.print(f"{s.outcome:10} {s.manifest_id} {one_line(s.title or '')}")
    if not settled and not json_out:
        console.print("no pending rows to settle")
