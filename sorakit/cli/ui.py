"""What all commands share: the stderr console, progress bars, and errors as one line with an exit code."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from sorakit.types import Progress as Report

__all__ = ["console", "one_line", "print_error", "print_json", "progress_bar"]

console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)  # names may hold brackets


@contextmanager
def progress_bar(title: str, *, quiet: bool = False) -> Iterator[Report]:
    """A bar on stderr; yields the callback that moves it. Vanishes when done; shows nothing when quiet."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        title = one_line(title)
        task = bar.add_task(title, total=1.0)

        def report(step: str, share: float) -> None:
            bar.update(task, description=f"{title}: {step}", completed=share)

        yield report


def print_json(value: dict[str, Any]) -> None:
    """One object, one line, on stdout."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # a file's name that is no UTF-8, or a terminal that shows less
        text = json.dumps(value)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def one_line(text: object) -> str:
    """Foreign text made fit for a terminal: no escape sequences, no line breaks."""
    return "".join(c if c.isprintable() else " " for c in " ".join(str(text).split()))


def print_error(text: object) -> None:
    """The one line on stderr that says what went wrong."""
    console.print(Text.assemble(("error: ", "bold red"), one_line(text)))
