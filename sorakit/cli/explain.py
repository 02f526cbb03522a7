"""`sorakit explain`: what does this file say of itself, and which labelling duties does it meet?"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from sorakit.cli.ui import console, one_line, print_json, progress_bar
from sorakit.errors import InputError
from sorakit.nb.words import BADGES, credential_words, mark_words, recovery_words
from sorakit.types import Verdict

_SIGNS = {True: ("✓", "green"), False: ("✗", "red"), "unknown": ("?", "yellow")}


class Law(StrEnum):
    """Whose duties."""

    eu = "eu"
    cn = "cn"
    ca = "ca"


def explain(
    file: Annotated[Path, typer.Argument(help="A video or image.", metavar="FILE")],
    law: Annotated[
        list[Law] | None, typer.Option(help="Only these laws; may be given more than once.")
    ] = None,
    trust: Annotated[
        str | None,
        typer.Option(help="`dev` for this user's development certificate, or a PEM file of anchors."),
    ] = None,
    json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say in plain words what is known about FILE and which labelling duties it meets, with the clause.

    For each duty not met it says what would meet it. A reading aid, not legal advice.

    [bold]Example:[/]  sorakit explain clip.mp4 --law eu --law cn
    """
    from sorakit.check import check  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.moderation.duties import LAWS, NOTE  # noqa: PLC0415
    from sorakit.provenance.trust import load_trust  # noqa: PLC0415

    settings = Settings()
    extra = Path(trust) if trust and trust != "dev" else None
    anchors = load_trust(settings, extra=extra, dev=trust == "dev")
    with progress_bar(f"checking {file.name}", quiet=json_out) as progress:
        verdict = check(file, trust=anchors, settings=settings, progress=progress)
    if verdict.evidence.error is not None:
        raise InputError(verdict.evidence.error)
    wanted = [str(name) for name in law or LAWS]
    duties = {name: verdict.evidence.labels.duties[name] for name in LAWS if name in wanted}
    if json_out:
        head = {"file": str(file), "sha256": verdict.evidence.sha256, "decision": str(verdict.decision)}
        print_json(head | {"reasons": verdict.reasons, "duties": duties, "note": NOTE})
        return
    _tell(verdict)
    for name, found in duties.items():
        _tell_law(LAWS[name], found)
    console.print(Text(f"\n{NOTE}", style="dim"))


def _tell(v: Verdict) -> None:
    badge = BADGES[v.decision]
    console.print(Text.assemble((badge.title, "bold"), f"  {one_line(v.evidence.file)}"))
    console.print(Text(badge.meaning))
    for name, words in (
        ("Credential", credential_words(v)),
        ("Watermark", mark_words(v)),
        ("Registry", recovery_words(v)),
    ):
        console.print(Text.assemble((f"  {name}: ", "dim"), one_line(words)))
    for reason in v.reasons:
        console.print(Text.assemble(("  Because: ", "dim"), one_line(reason)))


def _tell_law(name: str, duties: list[dict[str, Any]]) -> None:
    met = sum(d["met"] is True for d in duties)
    console.print(Text.assemble("\n", (name, "bold"), f"  {met} of {len(duties)} met"))
    for d in duties:
        sign, colour = _SIGNS[d["met"]]
        console.print(
            Text.assemble("  ", (sign, colour), f" {one_line(d['duty'])}  ", (one_line(d["clause"]), "dim"))
        )
        console.print(Text.assemble("      ", one_line(d["why"])))
        if d["todo"] and d["met"] is not True:
            console.print(Text.assemble("      ", ("To do: ", "bold"), one_line(d["todo"])))
