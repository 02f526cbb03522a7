"""Clips in rows and columns, each with a tick or a cross: what two settings do to one prompt, at a glance.

In: clips in memory, names of rows and columns, and which clips are right. Out: a table for a notebook, lines
of ticks and crosses for a terminal.
"""

from collections.abc import Sequence

from markupsafe import escape

from sorakit.errors import UsageError
from sorakit.nb.view import View, show
from sorakit.types import Clip

__all__ = ["grid"]


def grid(
    clips: Sequence[Sequence[Clip]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    right: Sequence[Sequence[bool]] | None = None,
    height: int = 72,
) -> View:
    """`clips` by row and column, `height` px tall; `right`: the same places, a tick or a cross each.

    Raises `UsageError` when names, clips and marks are not as many.
    """
    sizes = [len(rows), *(len(columns) for _ in rows)]
    for what, table in (("clips", clips), ("right", clips if right is None else right)):
        if [len(table), *map(len, table)] != sizes:
            raise UsageError(f"`{what}` must have {len(rows)} rows of {len(columns)}, one for each name")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ["", *columns])
    body, lines = [], []
    for i, (name, line) in enumerate(zip(rows, clips, strict=True)):
        marks = ["" if right is None else "✓" if right[i][j] else "✗" for j in range(len(line))]
        cells = [show(c, height=height, caption=_said(m)).html for c, m in zip(line, marks, strict=True)]
        body.append(f'<tr><th scope="row">{escape(name)}</th><td>{"</td><td>".join(cells)}</td></tr>')
        lines.append(f"{name}: {'  '.join(f'{c} {m}'.strip() for c, m in zip(columns, marks, strict=True))}")
    html = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return View(html, "\n".join(lines))


def _said(mark: str) -> str:
    return {"✓": "✓ as asked", "✗": "✗ not as asked"}.get(mark, " ")
