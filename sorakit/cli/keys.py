"""`sorakit keys`: the identity that signs."""

from typing import Annotated

import typer

from sorakit.cli.ui import console, print_json

app = typer.Typer(no_args_is_help=True, help="The signing identity of this user.")


@app.command()
def dev(
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an existing one.")] = False,
) -> None:
    """Make a development certificate. Nobody trusts it but you, and you only with `--trust dev`.

    [bold]Example:[/]  sorakit keys dev
    """
    from sorakit.config import Settings  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.provenance.keys import create_dev_identity  # noqa: PLC0415

    settings = Settings()
    identity = create_dev_identity(settings.keys_dir, force=force)
    console.print(
        f"{identity.subject}, until {identity.not_after:%Y-%m-%d}, in {settings.keys_dir}", markup=False
    )


@app.command()
def show(json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show which identity signs; never the key itself.

    [bold]Example:[/]  sorakit keys show --json
    """
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.provenance.keys import load_identity  # noqa: PLC0415

    identity = load_identity(Settings().keys_dir)
    facts = {
        "subject": identity.subject,
        "not_after": identity.not_after.isoformat(),
        "development": identity.development,
        "algorithm": identity.algorithm,
    }
    if json_out:
        print_json(facts)
    else:
        for name, value in facts.items():
            console.print(f"{name:12} {value}", markup=False)
