"""The report: no foreign markup gets through, nothing is loaded from anywhere, and it says what was found."""

import itertools
import json
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from sorakit.demo.report import render, render_picture, write_report
from sorakit.demo.scenario import Row, Story
from sorakit.demo.story import STEPS
from sorakit.errors import OutputError
from sorakit.nb.pictures import jpeg
from sorakit.provenance.credential import Credential
from sorakit.types import Decision, Evidence, ProvenanceEvidence, RecoveryEvidence, Verdict, WatermarkEvidence

HOSTILE = "</pre><script>alert(1)</script><img src=https://evil.example/x onerror=alert(2)>\"'&"
VOID = {"meta", "img", "br", "link", "input", "hr", "rect", "path", "image"}


class Page(HTMLParser):
    """Collects tags with their attributes, and checks that they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def of(self, *names: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag in names]


def row(index: int, decision: Decision, folder: Path, words: str = "plain", broken: str | None = None) -> Row:
    """One row with every field filled; `words` stands wherever a foreign file could put text."""
    path = folder / f"{words.replace('/', '_')[:60]}.mp4"
    path.write_bytes(b"video")
    recovered = decision is Decision.AI_RECOVERED
    manifest = {"signer": words, "claim_generator": words, "actions": [words], "title": words}
    evidence = Evidence(
        file=str(path),
        sha256="0" * 64,
        provenance=ProvenanceEvidence(
            "none" if recovered else "valid_untrusted",
            signer=None if recovered else words,
            claim_generator=words,
            digital_source_type=words,
            actions=[words],
            problems=[words],
            manifest_id=None if recovered else words,
        ),
        watermark=WatermarkEvidence(True, "io.github.sorakit.lattice.1", "00" * 8, -42.0),
        recovery=RecoveryEvidence("recovered", words, 0.93, manifest) if recovered else RecoveryEvidence(),
    )
    credential = Credential(
        soft_bindings=[(words, words)],
        generation={
            "model": {"name": words, "version": words},
            "seed": words,
            "time": words,
            "prompt": words,
        },
    )
    still = jpeg(np.full((90, 120, 3), 40 * (index % 6), np.uint8))
    verdict = Verdict(decision, evidence, [words, "second reason"], "default@1", 12)
    return Row(STEPS[index], path, verdict, (still,) * 4, credential, broken)


def story(folder: Path, words: str = "plain", broken: str | None = None) -> Story:
    """All steps of the story, each answered as promised."""
    rows = tuple(row(i, s.promise, folder, words, broken) for i, s in enumerate(STEPS))
    return Story(words, 3, words, False, False, rows, 12.0, (words,))


def test_foreign_text_stays_text(tmp_path: Path) -> None:
    page = render(story(tmp_path, HOSTILE), tmp_path)
    assert "<script" not in page
    assert "<img src=https" not in page
    assert "&lt;script&gt;alert(1)" in page
    allowed = {"src", "alt"}
    for attrs in Page(page).of("img"):
        assert set(attrs) == allowed
        assert str(attrs["src"]).startswith("data:image/jpeg;base64,")
    picture = ElementTree.fromstring(render_picture(story(tmp_path, HOSTILE), tmp_path))  # noqa: S314
    assert not [e for e in picture.iter() if e.tag.endswith("script")]


def test_the_page_loads_nothing(tmp_path: Path) -> None:
    page = Page(render(story(tmp_path), tmp_path))
    assert not page.of("script", "link", "iframe", "object", "embed", "form", "base")
    for _, attrs in page.tags:
        assert not [name for name in attrs if name.startswith("on")]
        for name in ("src", "srcset", "poster", "data", "action", "background"):
            assert str(attrs.get(name) or "data:").startswith("data:")
    policy = [str(a["content"]) for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policy) == 1
    assert policy[0].startswith("default-src 'none'")
    css = render(story(tmp_path), tmp_path).split("<style>")[1].split("</style>")[0]
    assert "url(" not in css
    assert "@import" not in css


def test_links_are_relative_and_stay_in_the_folder(tmp_path: Path) -> None:
    outside = tmp_path / "elsewhere"
    inside = tmp_path / "demo"
    outside.mkdir()
    inside.mkdir()
    links = [a["href"] for a in Page(render(story(outside), inside)).of("a")]
    assert all(str(h).startswith("#") for h in links)
    links = [a["href"] for a in Page(render(story(inside, "a b?#%"), inside)).of("a")]
    assert "a%20b%3F%23%25.mp4" in links


def test_it_tells_no_local_path(tmp_path: Path) -> None:
    assert str(tmp_path) not in render(story(tmp_path), tmp_path)


def test_it_can_be_read_by_everyone(tmp_path: Path) -> None:
    text = render(story(tmp_path), tmp_path)
    page = Page(text)
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert page.open == []
    assert page.of("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.of("meta")
    assert any(a.get("name") == "viewport" for a in page.of("meta"))
    assert all(a.get("alt") for a in page.of("img"))
    assert all(a.get("aria-label") for a in page.of("svg"))
    heads = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3", "h4")]
    assert heads[0] == 1
    assert heads.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(heads))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {str(a["href"])[1:] for a in page.of("a") if str(a["href"]).startswith("#")} <= set(map(str, ids))
    assert "prefers-color-scheme: dark" in text


def test_every_decision_is_named_in_words(tmp_path: Path) -> None:
    for i, decision in enumerate(Decision):
        r = row(i % len(STEPS), decision, tmp_path)
        one = Story("p", 0, "s", True, False, (r,), 1.0)
        page = render(one, tmp_path)
        raw = (
            page.split("<pre")[1]
            .split(">", 1)[1]
            .split("</pre>")[0]
            .replace("&#34;", '"')
            .replace("&lt;", "<")
        )
        assert json.loads(raw)["decision"] == decision
    assert "0.93" in render(story(tmp_path), tmp_path)
    assert "10⁴²" in render(story(tmp_path), tmp_path)


def test_a_broken_promise_shows(tmp_path: Path) -> None:
    good, bad = render(story(tmp_path), tmp_path), render(story(tmp_path, broken="it broke"), tmp_path)
    assert "All 8 checks said what was promised" in good
    assert "Not as promised" not in good
    assert "Not every check said what was promised" in bad
    assert bad.count("Not as promised: it broke") == len(STEPS)


def test_a_small_generated_clip_is_in_the_page_and_a_large_one_is_not(tmp_path: Path) -> None:
    tale = story(tmp_path)
    assert len(Page(render(tale, tmp_path)).of("video")) == 1
    tale.rows[0].path.write_bytes(bytes(600_000))
    assert Page(render(tale, tmp_path)).of("video") == []
    tale.rows[0].path.unlink()
    assert Page(render(tale, tmp_path)).of("video") == []


def test_it_is_written_as_utf8_and_the_picture_is_xml(tmp_path: Path) -> None:
    report = write_report(story(tmp_path, "Zoë – ✓ 視"), tmp_path)
    assert "Zoë – ✓ 視" in report.read_text(encoding="utf-8")
    assert report.stat().st_size < 3_000_000
    root = ElementTree.parse(tmp_path / "overview.svg").getroot()  # noqa: S314
    assert root.tag.endswith("svg")
    titles = [e.text for e in root.iter() if e.tag.endswith("text")]
    assert all(s.title in titles for s in STEPS)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_report(story(tmp_path), tmp_path / "missing")
