"""`sorakit keys`: the identity that signs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sorakit.cli import keys_watermark
from sorakit.cli.ui import console, one_line, print_json

app = typer.Typer(no_args_is_help=True, help="The signing identity of this user.")
app.add_typer(keys_watermark.app, name="watermark")


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
    console.print(f"{identity.subject}, until {identity.not_after:%Y-%m-%d}, in {settings.keys_dir}")


@app.command()
def show(json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show which identity signs: certificate, usages, validity, fingerprint; never the key itself.

    [bold]Example:[/]  sorakit keys show --json
    """
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.provenance.chain import describe, load_chain  # noqa: PLC0415
    from sorakit.provenance.signers import resolve_signer  # noqa: PLC0415

    signer = resolve_signer(Settings())
    facts = describe(load_chain(signer.chain_pem, "the signer"))
    _print(facts | {"development": signer.development, "algorithm": signer.algorithm}, json_out)


@app.command()
def check(
    cert: Annotated[Path, typer.Argument(help="PEM certificate chain, signer first.", metavar="CERT")],
    key: Annotated[Path, typer.Argument(help="Its private key: PKCS#8, mode 0600.", metavar="KEY")],
    json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say whether a certificate chain and its key can sign, before anything is signed.

    [bold]Example:[/]  sorakit keys check chain.pem key.pem
    """
    from sorakit.provenance.chain import describe, load_chain  # noqa: PLC0415
    from sorakit.provenance.signers import identity_from_pem, sign_with  # noqa: PLC0415

    identity = identity_from_pem(cert, key)
    sign_with(identity, b"sorakit keys check")  # raises unless key and certificate work together
    facts = describe(load_chain(identity.chain_pem, str(cert)))
    _print(facts | {"algorithm": identity.algorithm, "usable": True}, json_out)


def _print(facts: dict[str, Any], json_out: bool) -> None:
    if json_out:
        print_json(facts)
        return
    for name, value in facts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        console.print(f"{name:20} {one_line(text)}")
