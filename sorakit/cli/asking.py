"""What the commands that check files share: whose signatures count, who else is asked, and what decides.

In: options. Out: a `Trust`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sorakit.config import Settings
    from sorakit.provenance.trust import Trust

__all__ = ["LogOption", "PolicyOption", "ResolverOption", "TrustOption", "anchors"]

TrustOption = Annotated[
    list[str] | None,
    typer.Option(help="`dev` for this user's development certificate, or a PEM file of anchors."),
]
ResolverOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Ask this Soft Binding Resolution API where a mark leads that the registry here does not "
        "know; sends the mark's id and nothing else.",
        metavar="URL",
    ),
]
PolicyOption = Annotated[
    str | None,
    typer.Option(help="What decides: default, platform, newsroom, classroom, or a YAML file."),
]
LogOption = Annotated[Path | None, typer.Option(help="Add every decision, with its evidence, to this file.")]


def anchors(settings: "Settings", trust: list[str] | None) -> "Trust":
    """The anchors of this user and of one check. Raises `UsageError`, `typer.BadParameter` for two files."""
    from sorakit.provenance.trust import load_trust  # noqa: PLC0415 - keeps `--help` quick

    lists = [Path(t) for t in trust or [] if t != "dev"]
    if len(lists) > 1:
        raise typer.BadParameter("give one PEM file; put several anchors into it", param_hint="--trust")
    return load_trust(settings, extra=lists[0] if lists else None, dev="dev" in (trust or []))
