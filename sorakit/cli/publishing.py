"""What the commands that publish a video share: who signs, which labels it bears, and the last line."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sorakit.cli.ui import console, one_line, print_json
from sorakit.errors import UsageError

if TYPE_CHECKING:
    from sorakit.config import Settings
    from sorakit.publish import Published

__all__ = [
    "Cert",
    "DisclosePrompt",
    "Key",
    "Labels",
    "Signer",
    "Training",
    "Tsa",
    "TsaPolicy",
    "show_published",
    "signing_settings",
]

PANEL = "Signing"

Labels = Annotated[
    str | None,
    typer.Option(help="Laws whose labels it shall bear, drawn and signed: `eu`, `cn`, `ca`, `ca-visible`."),
]
DisclosePrompt = Annotated[
    bool, typer.Option(help="Put the prompt itself into the manifest, not only its salted HMAC.")
]


class StampPolicy(StrEnum):
    """What a missing time stamp means."""

    off = "off"
    best_effort = "best_effort"
    required = "required"


Cert = Annotated[
    Path | None,
    typer.Option("--cert", help="PEM certificate chain to sign with, signer first.", rich_help_panel=PANEL),
]
Key = Annotated[
    Path | None,
    typer.Option("--key", help="Its private key: PKCS#8, not encrypted, mode 0600.", rich_help_panel=PANEL),
]
Signer = Annotated[
    str | None,
    typer.Option(
        "--signer",
        help="A signer in code, for HSMs and key services: `module:attribute` or an installed name. "
        "It runs with your rights.",
        rich_help_panel=PANEL,
    ),
]
Tsa = Annotated[
    str | None,
    typer.Option("--tsa", help="RFC 3161 time-stamping service to ask.", rich_help_panel=PANEL),
]
TsaPolicy = Annotated[
    StampPolicy | None,
    typer.Option(
        "--tsa-policy",
        help="`required`: no stamp, no file; `best_effort`: sign without and say so.",
        rich_help_panel=PANEL,
    ),
]


class TrainingUse(StrEnum):
    """What others may do with the video in training (CAWG training and data mining 1.1)."""

    allowed = "allowed"
    not_allowed = "notAllowed"
    constrained = "constrained"


Training = Annotated[
    TrainingUse | None,
    typer.Option(
        "--training",
        help="Whether others may train models on it: `allowed`, `notAllowed`, `constrained`.",
        rich_help_panel=PANEL,
    ),
]


def signing_settings(
    cert: Path | None = None,
    key: Path | None = None,
    signer: str | None = None,
    tsa: str | None = None,
    tsa_policy: StampPolicy | None = None,
    training: TrainingUse | None = None,
) -> "Settings":
    """The environment's settings with these options over them; one way of signing replaces the other."""
    from sorakit.config import Settings  # noqa: PLC0415 - keeps `--help` quick

    given: dict[str, Any] = {}
    if signer is not None:
        if cert is not None or key is not None:
            raise UsageError("give --signer, or --cert with --key, not both")
        given = {"signer": signer, "signing_cert": None, "signing_key": None}
    elif cert is not None or key is not None:
        given = {"signer": None, "signing_cert": cert, "signing_key": key}
    if tsa is not None:
        given["tsa_url"] = tsa
    if tsa_policy is not None:
        given["tsa_policy"] = tsa_policy.value
    if training is not None:
        given["training"] = training.value
    settings = Settings(**given)
    if settings.tsa_policy == "required" and settings.tsa_url is None:
        raise UsageError("a time stamp is required but no service is named; give --tsa URL")
    return settings


def show_published(done: "Published", *, json_out: bool) -> None:
    """Where the video is, its mark and its manifest; notes go to stderr either way."""
    for note in done.notes:
        console.print(f"note: {one_line(note)}")
    if json_out:
        print_json(done.to_json())
    else:
        console.print(f"{done.path}  mark {done.payload}  {done.psnr:.1f} dB  {done.manifest_id}")
