"""`sorakit policy`: what evidence leads to, and what another policy would have done."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from sorakit.cli.ui import console, one_line, print_json

app = typer.Typer(no_args_is_help=True, help="Policies: what evidence leads to, and who looks at it.")

NAME = Annotated[str, typer.Argument(help="A shipped policy, or a YAML file.", metavar="NAME|FILE")]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
_SHOWN = 50


@app.command("list")
def list_(json_out: JSON = False) -> None:
    """List the policies that come with the kit.

    [bold]Example:[/]  sorakit policy list
    """
    from sorakit.moderation.policy_file import load_policy, shipped  # noqa: PLC0415 - keeps `--help` quick

    table = Table("policy", "what it does", box=None, padding=(0, 2))
    for policy in map(load_policy, shipped()):
        if json_out:
            print_json({"name": policy.name, "version": policy.version, "about": policy.about})
        table.add_row(policy.label, policy.about)
    if not json_out:
        console.print(table)


@app.command()
def show(name: NAME, json_out: JSON = False) -> None:
    """Draw a policy: which evidence counts first, what follows from it, and who looks.

    [bold]Example:[/]  sorakit policy show platform
    """
    from sorakit.moderation.policy import ACTIONS  # noqa: PLC0415
    from sorakit.moderation.policy_file import load_policy  # noqa: PLC0415
    from sorakit.types import Decision  # noqa: PLC0415

    policy = load_policy(name)
    if json_out:
        print_json(policy.model_dump(mode="json") | {"sha256": policy.digest})
        return
    table = Table("", box=None, padding=(0, 1))
    table.add_column("if it is", no_wrap=True)
    table.add_column("then", no_wrap=True)
    for head in ("looked at by", "note"):
        table.add_column(head)
    used = {policy.follow(d).action for d in Decision}
    for place, decision in enumerate([*policy.order, Decision.NO_EVIDENCE, Decision.ERROR], 1):
        follow = policy.follow(decision)
        colour = {"none": "dim", "label": "cyan", "hold": "yellow", "reject": "red"}[follow.action]
        then = Text(follow.action, style=colour)
        who, note = (Text(one_line(text)) for text in (follow.review or "–", follow.note or ""))
        table.add_row(str(place), str(decision), then, who, note)
    console.print(Text(f"{policy.label}: {one_line(policy.about)}\n"), table, sep="\n")
    console.print("\n" + "; ".join(f"{a}: {words}" for a, words in ACTIONS.items() if a in used) + ".")
    if bands := policy.detector:
        console.print(
            f"\nThe detector counts as likely_ai from {bands.likely_ai:g} and as uncertain from "
            f"{bands.uncertain:g}, if {bands.prior:.1%} of all clips are synthetic."
        )


@app.command()
def check(name: NAME, json_out: JSON = False) -> None:
    """Validate a policy; says on which line it is wrong. Exit code 2 if it is.

    [bold]Example:[/]  sorakit policy check ours.yaml
    """
    from sorakit.moderation.policy_file import load_policy  # noqa: PLC0415

    policy = load_policy(name)
    if json_out:
        print_json({"policy": policy.label, "sha256": policy.digest, "valid": True})
        return
    console.print(f"{policy.label} is valid, SHA-256 {policy.digest}")


@app.command()
def replay(
    log: Annotated[Path, typer.Argument(help="A log that `check --log` or `scan --log` wrote.")],
    policy: Annotated[str, typer.Option(help="A shipped policy, or a YAML file.")],
    json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Decide a log again under another policy: what would change? The log itself is checked and left alone.

    [bold]Example:[/]  sorakit policy replay decisions.jsonl --policy newsroom
    """
    from sorakit.moderation.decision_log import replay as again  # noqa: PLC0415
    from sorakit.moderation.policy_file import load_policy  # noqa: PLC0415

    found = again(log, load_policy(policy))
    if json_out:
        print_json(found.to_json())
        return
    console.print(f"{found.count} decisions, {len(found.changes)} other under {found.policy}\n")
    table = Table("was", f"under {found.policy}", "decisions", box=None, padding=(0, 2))
    for (before, after), count in found.moves.items():
        style = "" if before == after else "bold yellow"
        table.add_row(Text(one_line(before)), Text(one_line(after), style=style), str(count))
    console.print(table)
    for change in found.changes[:_SHOWN]:
        console.print(
            Text(f"{change.seq}  {one_line(change.file)}: {change.after[0]}, {change.after[1]}. ", "dim")
            + Text(one_line(change.reason))
        )
    if len(found.changes) > _SHOWN:
        console.print(f"{len(found.changes) - _SHOWN} more changes; --json prints all")
