"""The report of a batch: `sorakit-batch.json`, and a page with stills that needs nothing beside it.

In: the summary of a run and the output folder. Out: both files, each put in place whole. No script and no
request: a content security policy in the page forbids both. Names come from foreign folders, so all text
goes through an autoescaping template. No absolute path stands in either.
"""

import json
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import PackageLoader, Template

from sorakit.errors import OutputError, SorakitError
from sorakit.nb.card import environment
from sorakit.nb.pictures import data_uri, jpeg, stills

__all__ = ["REPORT", "put", "render", "write_report"]

REPORT = "sorakit-batch"
MAX_STILLS = 300
"""Files that get a still; a page with more would be slow to open."""

WORDS = {
    "done": "marked",
    "skipped": "done before",
    "copied": "same video as another: copied",
    "failed": "failed",
    "stopped": "not reached",
}


def write_report(summary: dict[str, Any], folder: Path) -> None:
    """Write both. Raises `OutputError`."""
    put(folder / f"{REPORT}.json", json.dumps(summary, ensure_ascii=False, indent=1) + "\n")
    put(folder / f"{REPORT}.html", render(summary, folder))


def render(summary: dict[str, Any], folder: Path) -> str:
    """The page; links to videos are relative to `folder`."""
    rows, shown = [], 0
    for entry in summary["files"]:
        good = entry["state"] in ("done", "skipped", "copied")
        picture = _still(folder / entry["output"]) if good and shown < MAX_STILLS else None
        shown += picture is not None
        rows.append({"link": quote(entry["output"]) if good else None, "still": picture} | entry)
    rows.sort(key=lambda r: r["state"] not in ("failed", "stopped"))  # what needs attention first
    return _template().render(
        rows=rows,
        counts=summary["counts"],
        total=len(rows),
        attention=sum(r["state"] in ("failed", "stopped") for r in rows),
        seconds=summary["seconds"],
        kit=summary["kit"],
        words=WORDS,
        now=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    )


def _still(path: Path) -> str | None:
    with suppress(SorakitError, OSError):
        return data_uri(jpeg(stills(path, 1, height=90)[0]))
    return None


@cache
def _template() -> Template:
    pages = environment().overlay(loader=PackageLoader("sorakit.batch"))
    return pages.get_template("report.html.j2")


def put(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, text in UTF-8. Raises `OutputError`."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        part.replace(path)
    except OSError as e:
        raise OutputError(f"cannot write {path}: {e.strerror}; check free space and permissions") from e
    finally:
        part.unlink(missing_ok=True)
