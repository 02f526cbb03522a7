"""`sorakit trust`: whose signatures count on this machine."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sorakit.cli.ui import console, one_line, print_json

app = typer.Typer(no_args_is_help=True, help="Lists of trust anchors: whose signatures count here.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
NameArgument = Annotated[str, typer.Argument(help="The list's name, as `trust list` prints it.")]


class ListKind(StrEnum):
    """What a list's anchors may vouch for."""

    CLAIMS = "claims"
    TSA = "tsa"
    CAWG = "cawg"


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A PEM bundle, or JSON with certificates.")],
    kind: Annotated[
        ListKind | None,
        typer.Option(help="Signers of claims, time stamps, or identities. Default: told by the file."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Keep it under this name. Default: the file's.")] = None,
    json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Keep a published list of trust anchors; an older one of the same name is replaced.

    Get the C2PA lists from https://github.com/c2pa-org/conformance-public, folder `trust-list`. A list for
    time stamps or identities never makes a claim trusted.

    [bold]Example:[/]  sorakit trust import C2PA-TRUST-LIST.pem --kind claims
    """
    from sorakit.config import Settings  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.provenance.lists import import_list, validity  # noqa: PLC0415

    found = import_list(Settings().trust_dir, file, kind=None if kind is None else kind.value, name=name)
    facts = validity(found)
    if json_out:
        print_json({**_facts(found), **facts})
        return
    console.print(
        f"{found.name}: {facts['anchors']} anchors for {found.kind}, {len(facts['expired'])} expired, "
        f"{found.left_out} left out (no CA, or for another use)",
    )


@app.command("list")
def list_(json_out: JsonOption = False) -> None:
    """List what is trusted here: each list with its kind, date, and how many anchors have expired.

    [bold]Example:[/]  sorakit trust list
    """
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.provenance.lists import age_days, stored_lists, validity  # noqa: PLC0415

    settings = Settings()
    table = Table("name", "kind", "imported", "anchors", "expired", "source", box=None)
    lists = stored_lists(settings.trust_dir)
    for entry in lists:
        facts = validity(entry)
        if json_out:
            print_json({**_facts(entry), **facts})
        age = age_days(entry)
        old = " (old)" if age is not None and age > settings.trust_list_days else ""
        table.add_row(
            entry.name,
            entry.kind,
            (entry.imported or "-")[:10] + old,
            str(facts["anchors"]),
            str(len(facts["expired"])),
            one_line(entry.source or "-"),
        )
    if not json_out:
        console.print(table if lists else "no list yet; get one with: sorakit trust import FILE")


@app.command()
def show(name: NameArgument, json_out: JsonOption = False) -> None:
    """Show one list: its origin, hash and validity, and the subject and last day of each anchor.

    [bold]Example:[/]  sorakit trust show c2pa-trust-list
    """
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.errors import UsageError  # noqa: PLC0415
    from sorakit.provenance.lists import anchor_facts, stored_lists, validity  # noqa: PLC0415

    found = next((x for x in stored_lists(Settings().trust_dir) if x.name == name), None)
    if found is None:
        raise UsageError(f"there is no trust list `{name}`; see: sorakit trust list")
    anchors = anchor_facts(found)
    facts = {**_facts(found), **validity(found)}
    if json_out:
        print_json(facts | {"anchor_list": anchors})
        return
    for key, value in facts.items():
        text = "; ".join(value) or "none" if isinstance(value, list) else str(value)
        console.print(f"{key:14} {one_line(text)}")
    for anchor in anchors:
        console.print(f"  until {anchor['not_after']}  {one_line(anchor['subject'])}")


@app.command()
def remove(name: NameArgument) -> None:
    """Forget a list; its anchors no longer count.

    [bold]Example:[/]  sorakit trust remove c2pa-trust-list
    """
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.provenance.lists import remove_list  # noqa: PLC0415

    console.print(f"removed {one_line(remove_list(Settings().trust_dir, name))}")


def _facts(entry: object) -> dict[str, object]:
    names = ("name", "kind", "source", "imported", "sha256", "left_out")
    return {n: getattr(entry, n) for n in names}
