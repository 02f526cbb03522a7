"""`sorakit check`: what made these files?"""

from pathlib import Path
from typing import Annotated

import typer
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sorakit.cli.asking import LogOption, PolicyOption, ResolverOption, TrustOption, anchors
from sorakit.cli.ingredients import ingredient_tree
from sorakit.cli.ui import console, one_line, print_error, print_json, progress_bar
from sorakit.nb.words import credential_words, mark_words, recovery_words
from sorakit.types import Decision, ProvenanceEvidence, Verdict

_COLOURS = {
    Decision.TAMPERED: "red",
    Decision.CONFLICT: "red",
    Decision.ERROR: "red",
    Decision.AI_DECLARED: "cyan",
    Decision.AI_RECOVERED: "cyan",
    Decision.AI_WATERMARKED: "cyan",
    Decision.AUTHENTIC_DECLARED: "green",
    Decision.LIKELY_AI: "yellow",
    Decision.UNCERTAIN: "yellow",
    Decision.NO_EVIDENCE: "white",
}


def check(
    files: Annotated[list[Path], typer.Argument(help="Videos or images.", metavar="FILE…")],
    json_out: Annotated[
        bool, typer.Option("--json", help="One JSON object a file a line, on stdout.")
    ] = False,
    trust: TrustOption = None,
    resolver: ResolverOption = None,
    fragment: Annotated[
        list[Path] | None,
        typer.Option(
            help="A media segment (.m4s) of the stream whose init segment FILE is; repeat in order."
        ),
    ] = None,
    ocsp: Annotated[
        bool | None,
        typer.Option(
            "--ocsp/--no-ocsp",
            help="Ask a trusted signer's issuer whether the certificate was revoked. Uses the network.",
        ),
    ] = None,
    policy: PolicyOption = None,
    log: LogOption = None,
    fail_above: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit 10 if a detector's probability exceeds this.")
    ] = None,
) -> None:
    """Say what is known about how each file was made: credential, watermark, registry, detector.

    Exit codes: 0 every file trusted, 1 error, 2 usage, 3 no credential, 4 invalid, tampered or in conflict,
    5 valid but signer untrusted, 6 recovered through the watermark, 10 above `--fail-above`.

    [bold]Example:[/]  sorakit check upload.mp4 --json --trust dev
    """
    from sorakit.check import check as check_file  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.check import exit_code  # noqa: PLC0415
    from sorakit.config import Settings  # noqa: PLC0415
    from sorakit.moderation.policy_file import load_policy  # noqa: PLC0415
    from sorakit.registry.address import parse_url  # noqa: PLC0415

    settings = Settings() if ocsp is None else Settings(ocsp=ocsp)
    if fragment and len(files) > 1:
        raise typer.BadParameter("give one FILE, the init segment", param_hint="--fragment")
    for url in resolver or []:
        parse_url(url)
    chosen = load_policy(policy or settings.policy)
    trusted = anchors(settings, trust)
    verdicts = []
    for path in files:
        with progress_bar(f"checking {path.name}", quiet=json_out) as progress:
            verdict = check_file(
                path,
                trust=trusted,
                settings=settings,
                resolvers=resolver or (),
                progress=progress,
                fragments=fragment or (),
                policy=chosen,
                log=log,
            )
        verdicts.append(verdict)
        if json_out:
            print_json(verdict.to_json())
        if verdict.evidence.error is not None:
            told = verdict.evidence.error
            print_error(told if path.name in told else f"{path}: {told}")
        elif not json_out:
            console.print(_panel(verdict))
    raise typer.Exit(exit_code(verdicts, fail_above))


def _panel(v: Verdict) -> Panel:
    e = v.evidence
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    rows = [
        ("credential", credential_words(v)),
        ("signer", _signer(e.provenance)),
        ("watermark", mark_words(v)),
        ("registry", recovery_words(v)),
        ("manifest", e.recovery.manifest_id or e.provenance.manifest_id or "none"),
    ]
    rows += [("resolver", problem) for problem in e.recovery.problems]
    if e.detector:
        rows.append(("detector", f"{e.detector.label} ({e.detector.model})"))
    if v.action != "none" or v.review:
        rows.append((v.policy, v.action + (f", for {v.review} to look at" if v.review else "")))
    for name, text in [*rows, *(("because", reason) for reason in v.reasons)]:
        table.add_row(name, Text(one_line(text)))
        if name == "manifest" and e.provenance.ingredients:
            table.add_row("made from", ingredient_tree(e.provenance.ingredients))
    title = Text.assemble((str(v.decision), f"bold {_COLOURS[v.decision]}"), "  ", one_line(e.file))
    return Panel(table, title=title, title_align="left", border_style=_COLOURS[v.decision])


def _signer(found: ProvenanceEvidence) -> str:
    """Who signed, through which list that counts here, and what is known of a revocation."""
    words = [found.signer or "nobody"]
    source = found.trust_list or {}
    if source.get("name"):
        date = source.get("imported")
        words.append(f"trusted through list {source['name']}" + (f" of {date[:10]}" if date else ""))
    if found.revocation:
        words.append(f"revocation: {found.revocation.get('status')}")
    return "; ".join(words)
