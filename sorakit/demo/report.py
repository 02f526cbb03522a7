"""The demo's report: a `Story` as one HTML file that needs nothing beside it.

In: a `Story` and the folder it was told in. Out: `report.html` (UTF-8, under 3 MB, no script, no request: a
content security policy in the page forbids both) and `overview.svg`, the same in one picture. File names,
signers and reasons may come from foreign files, so all text goes through autoescaping templates.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from jinja2 import ChoiceLoader, Environment, PackageLoader

from sorakit.demo.scenario import Row, Story
from sorakit.errors import OutputError
from sorakit.nb.card import CredentialCard, environment, styles
from sorakit.nb.pictures import data_uri

__all__ = ["render", "render_picture", "write_report"]

MAX_VIDEO = 500_000
"""Bytes up to which the generated clip itself is embedded."""


@dataclass(frozen=True, slots=True)
class Item:
    """One row as the templates take it."""

    row: Row
    card: CredentialCard
    stills: list[str]
    link: str | None
    raw: str


def write_report(story: Story, folder: Path) -> Path:
    """Write `report.html` and `overview.svg` into `folder`; returns the report's path.

    Raises `OutputError` when the folder cannot be written.
    """
    report = folder / "report.html"
    try:
        report.write_text(render(story, folder), encoding="utf-8")
        (folder / "overview.svg").write_text(render_picture(story, folder), encoding="utf-8")
    except OSError as e:
        raise OutputError(
            f"cannot write the report into {folder}: {e.strerror}; choose another --output"
        ) from e
    return report


def render(story: Story, folder: Path) -> str:
    """The page. Links to videos are relative to `folder`."""
    return (
        _templates()
        .get_template("report.html.j2")
        .render(
            story=story,
            items=[_item(row, folder) for row in story.rows],
            video=_video(story),
            styles=styles(),
            version=version("sorakit"),
            now=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        )
    )


def render_picture(story: Story, folder: Path) -> str:
    """The story as one SVG picture, the generated clip's rows on the left, the camera clip's on the right."""
    items = [_item(row, folder) for row in story.rows]
    columns = [[i for i in items if not i.row.step.camera], [i for i in items if i.row.step.camera]]
    return (
        _templates()
        .get_template("overview.svg.j2")
        .render(story=story, columns=[c for c in columns if c], wrap=_wrap)
    )


@cache
def _templates() -> Environment:
    overlay = environment().overlay()
    overlay.loader = ChoiceLoader([PackageLoader("sorakit.demo"), PackageLoader("sorakit.nb")])
    return overlay


def _item(row: Row, folder: Path) -> Item:
    inside = row.path.absolute().is_relative_to(folder.absolute())
    link = quote(row.path.absolute().relative_to(folder.absolute()).as_posix()) if inside else None
    shown = row.verdict.to_json() | {"file": row.path.name}  # a path would tell the reader the user's name
    return Item(
        row=row,
        card=CredentialCard(row.verdict, row.credential),
        stills=[data_uri(s) for s in row.stills],
        link=link,
        raw=json.dumps(shown, ensure_ascii=False, indent=2),
    )


def _video(story: Story) -> str | None:
    """The published clip itself, byte for byte, where it is small."""
    path = story.rows[0].path if story.rows else None
    if path is None or not path.is_file() or path.stat().st_size > MAX_VIDEO:
        return None
    return data_uri(path.read_bytes(), "video/mp4")


def _wrap(text: str, width: int, lines: int) -> list[str]:
    """`text` in at most `lines` lines of about `width` characters; … where it is cut."""
    rows = [""]
    for word in text.split():
        if rows[-1] and len(rows[-1]) + 1 + len(word) > width:
            rows.append(word)
        else:
            rows[-1] = f"{rows[-1]} {word}".strip()
    if len(rows) > lines:
        rows = [*rows[: lines - 1], rows[lines - 1].rstrip(".,;:") + " …"]
    return rows
