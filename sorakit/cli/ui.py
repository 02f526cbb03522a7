"""What all commands share: the stderr console, progress bars, and errors as one line with an exit code."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from sorakit.types import Progress as Report

__all__ = ["console", "print_json", "progress_bar"]

console = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(title: str, *, quiet: bool = False) -> Iterator[Report]:
    """A bar on stderr; yields the callback that moves it. Vanishes when done; shows nothing when quiet."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(title, total=1.0)

        def report(step: str, share: float) -> None:
            bar.update(task, description=f"{title}: {step}", completed=share)

        yield report


def print_json(value: dict[str, Any]) -> None:
    """One object, one line, on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
