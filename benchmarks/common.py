"""What the benchmarks share: the commit they measured, intervals, and tables.

In: counts and rows. Out: text. Wilson (1927) for shares; quantiles by linear interpolation.
"""

import math
import subprocess
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ROOT", "commit", "table", "wilson"]

ROOT = Path(__file__).resolve().parent.parent


def commit() -> str:
    """The commit that was measured, marked `-dirty` when the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share; (0, 1) for n = 0.

    >>> [round(x, 3) for x in wilson(8, 10)]
    [0.49, 0.943]
    """
    if n == 0:
        return 0.0, 1.0
    p = hits / n
    middle = p + z * z / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


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
