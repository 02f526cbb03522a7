"""The site builds without a warning and asks nobody for anything; its commands are those of the program."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from sorakit.cli.app import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("myst_nb")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", ROOT / "docs", "-b", "html"]
    command += ["-D", "nb_execution_mode=off", "-d", out / "doctrees", ROOT, out / "html"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return out / "html"


def test_it_holds_the_course_the_guides_the_cards_and_the_reference(site: Path) -> None:
    for name in ("docs/index", "docs/teachers", "docs/provenance_team", "docs/moderation_team", "README"):
        assert (site / f"{name}.html").is_file(), name
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert (site / "notebooks" / f"{path.stem}.html").is_file(), path
    for card in (ROOT / "sorakit" / "weights").glob("*/MODEL_CARD.md"):
        assert (site / card.relative_to(ROOT).with_suffix(".html")).is_file(), card
    assert "sorakit.check.check" in (site / "docs/reference/kit.html").read_text()
    assert (site / "index.html").is_file()


def test_its_pages_ask_nobody_for_anything(site: Path) -> None:
    tags = r"""script|img|iframe|link(?![^>]*rel="canonical")"""
    loads = re.compile(rf"""<(?:{tags})[^>]*(?:src|href)="(?:https?:)?//""")
    for page in site.rglob("*.html"):
        assert not loads.search(page.read_text()), page


def commands(path: Path) -> list[str]:
    """The calls of the program in a page's code blocks, continued lines joined."""
    text = path.read_text().replace("\\\n", " ")
    blocks = re.findall(r"^```(?:sh)?\n(.*?)^```", text, re.M | re.S) + re.findall(r"(?m)^ {4}(.*)$", text)
    return [x.strip() for b in blocks for x in b.splitlines() if x.strip().startswith("sorakit ")]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_its_commands_exist(path: Path) -> None:
    for line in commands(path):
        command = typer.main.get_command(app)
        words = shlex.split(line, comments=True)[1:]
        while hasattr(command, "commands"):
            assert words and words[0] in command.commands, line
            command = command.commands[words.pop(0)]
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        assert {w.partition("=")[0] for w in words if re.match(r"--?[a-z]", w)} <= known, line
