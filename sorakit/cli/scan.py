"""`sorakit scan`: what made all these files?"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sorakit.cli.asking import LogOption, PolicyOption, ResolverOption, TrustOption, anchors
from sorakit.cli.ui import console, print_error, print_json, progress_bar

MAX_TOLD = 20


def scan(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder, a file, or a URL that fsspec knows: s3://bucket/day1, file:///data, …",
            metavar="SOURCE",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The folder for journal and reports.")
    ] = Path("sorakit-scan"),
    pattern: Annotated[
        str | None, typer.Option(help="Only these, for example `*.mov` or `day1/*`; else all videos.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=256, help="Files at a time; as many as there are cores.")
    ] = None,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(help="`local`: processes here; `ray`: the cluster of RAY_ADDRESS, or one started here."),
    ] = "local",
    trust: TrustOption = None,
    resolver: ResolverOption = None,
    policy: PolicyOption = None,
    log: LogOption = None,
    stills: Annotated[int, typer.Option(min=0, max=16, help="Pictures of each file in the report.")] = 4,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try the files again that could not be checked.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Check all files anew.")] = False,
    label_studio: Annotated[
        Path | None,
        typer.Option(help="Write Label Studio's review tasks here (.json), with its set-up beside (.xml)."),
    ] = None,
    review_all: Annotated[
        bool,
        typer.Option("--review-all", help="With --label-studio: all files, not only those for a person."),
    ] = False,
    json_out: Annotated[bool, typer.Option("--json", help="Print one JSON object, the summary.")] = False,
) -> None:
    """Check every video below a folder or URL; writes JSONL, Parquet and a page to sort and filter.

    It can be stopped, even killed, and started again: what is done is not done twice, and the same bytes are
    checked once. Bad files are reported with their reason and the rest goes on.

    Exit codes: 0 every file checked, whatever was found; 1 a file could not be checked, or an error; 2 usage;
    130 stopped by Ctrl-C. What was found stands in the reports.

    [bold]Example:[/]  sorakit scan uploads -o report --jobs 4

    [bold]Example:[/]  sorakit scan s3://bucket/day1 -o report --label-studio review.json
    """
    from sorakit.config import Settings  # noqa: PLC0415 - keeps `--help` quick
    from sorakit.moderation.policy_file import load_policy  # noqa: PLC0415
    from sorakit.registry.address import parse_url  # noqa: PLC0415
    from sorakit.scan import Order  # noqa: PLC0415
    from sorakit.scan import scan as scan_all  # noqa: PLC0415

    settings = Settings()
    for url in resolver or []:
        parse_url(url)
    order = Order(
        source,
        output,
        pattern=pattern,
        jobs=jobs or _cores(),
        engine=engine,
        trust=anchors(settings, trust),
        resolvers=tuple(resolver or ()),
        policy=load_policy(policy or settings.policy),
        log=log,
        stills=stills,
        retry=retry,
        again=again,
        label_studio=label_studio,
        review_all=review_all,
        settings=settings,
    )
    with progress_bar("scanning", quiet=json_out) as progress:
        summary = scan_all(order, progress)
    _show(summary, quiet=json_out)
    if summary["counts"]["failed"]:
        raise typer.Exit(1)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return min(256, len(os.sched_getaffinity(0)))
    return min(256, os.cpu_count() or 1)


def _show(summary: dict[str, Any], *, quiet: bool) -> None:
    failed = summary["failed"]
    for entry in failed[:MAX_TOLD]:
        print_error(f"{entry['file']}: {entry['error']}")
    if len(failed) > MAX_TOLD:
        print_error(f"… and {len(failed) - MAX_TOLD} more; see {summary['reports']['html']}")
    if quiet:
        print_json(summary)
        return
    told = ", ".join(f"{n} {state}" for state, n in summary["counts"].items() if n)
    found = ", ".join(f"{n} {decision}" for decision, n in summary["decisions"].items())
    console.print(f"{told}; {found}")
    if summary["reports"]["parquet"] is None:
        console.print("no Parquet without pyarrow: pip install 'sorakit[scan]'")
    console.print(f"report: {summary['reports']['html']}")
