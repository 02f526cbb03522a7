"""What the commands that check files share: whose signatures count.

In: what `--trust` was given. Out: a `Trust`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from sorakit.config import Settings
    from sorakit.provenance.trust import Trust

__all__ = ["anchors"]


def anchors(settings: "Settings", trust: list[str] | None) -> "Trust":
    """The anchors of this user and of one check. Raises `UsageError`, `typer.BadParameter` for two files."""
    from sorakit.provenance.trust import load_trust  # noqa: PLC0415 - keeps `--help` quick

    lists = [Path(t) for t in trust or [] if t != "dev"]
    if len(lists) > 1:
        raise typer.BadParameter("give one PEM file; put several anchors into it", param_hint="--trust")
    return load_trust(settings, extra=lists[0] if lists else None, dev="dev" in (trust or []))
