"""Files that a measurement leaves behind, each written whole or not at all: JSON, CSV.

In: rows. Out: a file in the folder of the measurement.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sorakit.video._encode import new_file

if TYPE_CHECKING:
    from sorakit.robustness.run import Outcome

__all__ = ["csv_text", "write_outcomes", "write_text"]


def write_text(path: Path, text: str) -> Path:
    """Write or replace a text file; raises `OutputError`."""
    with new_file(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of one shape as CSV, with a head.

    >>> csv_text([{"a": 1, "b": None}]).splitlines()
    ['a,b', '1,']
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write_outcomes(outcomes: "Sequence[Outcome]", folder: Path, source: Path) -> Path:
    """`report.json` and `report.csv` of one file's attacks; the first one's path."""
    rows = [o.to_json() for o in outcomes]
    write_text(folder / "report.csv", csv_text(rows))
    body = {
        "source": source.name,
        "purpose": "robustness of the mark; test copies without a credential",
        "attacks": rows,
    }
    return write_text(folder / "report.json", json.dumps(body, indent=1) + "\n")
