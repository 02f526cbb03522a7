"""What the benchmarks share: the commit they measured, intervals, and tables.

In: counts and rows. Out: text. Wilson (1927) for shares; quantiles by linear interpolation.
"""

import math
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sorakit.intervals import wilson_ends

__all__ = ["ROOT", "commit", "median_interval", "table", "wilson"]

ROOT = Path(__file__).resolve().parent.parent


def commit() -> str:
    """The commit that was measured, marked `-dirty` when the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share; (0, 1) for n = 0.

    >>> [round(x, 3) for x in wilson(8, 10)]
    [0.49, 0.943]
    """
    return wilson_ends(hits / n, n) if n else (0.0, 1.0)


def median_interval(values: list[float]) -> tuple[float, float, float]:
    """Median, and the order statistics that hold it at 95 % or more; the range when there are under 6.

    >>> median_interval([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    (5.0, 2.0, 8.0)
    """
    v, n = sorted(values), len(values)
    rank = 0
    while 2 * sum(math.comb(n, i) for i in range(rank + 2)) / 2**n <= 0.05:
        rank += 1
    return statistics.median(v), v[rank], v[n - 1 - rank]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table, its columns aligned.

    >>> print(table(["a", "b"], [["x", 1]]))
    | a | b |
    |---|---|
    | x | 1 |
    """
    cells = [[str(c) for c in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)
