"""`sorakit keys watermark`: the secret keys that mark, beside the public pattern that everyone can read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sorakit.cli.ui import console, print_json
from sorakit.errors import UsageError

if TYPE_CHECKING:
    from sorakit.watermark.keyring import MarkKey

app = typer.Typer(no_args_is_help=True, help="Secret watermark keys: made, rotated, moved; never shown.")

_Id = Annotated[str, typer.Argument(help="The key's id, as `list` shows it.", metavar="ID")]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command()
def new(json_out: _Json = False) -> None:
    """Make a key. Videos published from now on carry it beside the public mark.

    Older keys stay readable. To rotate: make a new one; `retire` the old one or leave it.

    [bold]Example:[/]  sorakit keys watermark new
    """
    from sorakit.config import Settings  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.watermark.keyring import new_key  # noqa: PLC0415

    _say(new_key(Settings().keys_dir), "made", json_out)


@app.command("list")
def list_(json_out: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """List the keys, newest first; the first that is not retired is the one that marks.

    [bold]Example:[/]  sorakit keys watermark list --json
    """
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.watermark.keyring import load_ring  # noqa: PLC0415

    ring = load_ring(Settings().keys_dir)
    marking = next((k.id for k in ring if not k.retired), None)
    for key in ring:
        if json_out:
            print_json(key.to_json() | {"marks": key.id == marking})
        else:
            state = "marks" if key.id == marking else "retired" if key.retired else "read only"
            console.print(f"{key.id}  {key.created:%Y-%m-%d %H:%M}  {state}")
    if not ring and not json_out:
        console.print("no secret key: videos carry the public mark alone; make one with: "
                      "sorakit keys watermark new")  # fmt: skip


@app.command()
def export(
    key_id: _Id,
    output: Annotated[Path, typer.Option("--output", "-o", help="A new file, written with mode 0600.")],
    json_out: _Json = False,
) -> None:
    """Write a key to a private file, to keep it safe or take it to another machine.

    [bold]Example:[/]  sorakit keys watermark export 0123456789abcdef -o /safe/mark.json
    """
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.watermark.keyring import export_key  # noqa: PLC0415

    _say(export_key(Settings().keys_dir, key_id, output), f"written to {output}", json_out)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A file that `export` wrote, mode 0600.", metavar="FILE")],
    json_out: _Json = False,
) -> None:
    """Take a key from a file. Its date stays: an older key is read, but does not mark.

    [bold]Example:[/]  sorakit keys watermark import /safe/mark.json
    """
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.watermark.keyring import import_key  # noqa: PLC0415

    _say(import_key(Settings().keys_dir, source), "taken", json_out)


@app.command()
def retire(key_id: _Id, json_out: _Json = False) -> None:
    """Mark no more with a key; what carries it stays readable.

    [bold]Example:[/]  sorakit keys watermark retire 0123456789abcdef
    """
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.watermark.keyring import retire_key  # noqa: PLC0415

    _say(retire_key(Settings().keys_dir, key_id), "retired", json_out)


@app.command()
def delete(
    key_id: _Id,
    yes: Annotated[bool, typer.Option("--yes", help="It cannot be undone: say that you mean it.")] = False,
    json_out: _Json = False,
) -> None:
    """Forget a key for good. Its marks in published videos can then be read by nobody.

    [bold]Example:[/]  sorakit keys watermark delete 0123456789abcdef --yes
    """
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.watermark.keyring import delete_key  # noqa: PLC0415

    if not yes:
        raise UsageError(
            "deleting a key makes its marks unreadable for ever; export it first, then add --yes"
        )
    _say(delete_key(Settings().keys_dir, key_id), "deleted", json_out)


def _say(key: "MarkKey", what: str, json_out: bool) -> None:
    if json_out:
        print_json(key.to_json())
    else:
        console.print(f"key {key.id} {what}")
