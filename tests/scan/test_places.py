"""Places that answer oddly: web listings, URLs that are none, backends that raise what they like."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sorakit.errors import InputError, UsageError
from sorakit.scan.source import open_source

ROOT = "http://host/day1"


class Web:
    """What fsspec's HTTP file system answers: all that exists is a file, listings hold quoted names."""

    pages: ClassVar = {f"{ROOT}/a%20b.mp4": b"a", f"{ROOT}/sub/c.mp4": b"c", "http://host/one.mp4": b"one"}

    def find(self, root: str, detail: bool) -> dict[str, dict[str, Any]]:
        if root in self.pages:
            return {root: {}}
        return {n: {"name": n, "size": None, "type": "file"} for n in self.pages if n.startswith(root)}

    def isfile(self, _path: str) -> bool:
        return True

    def open(self, name: str, _mode: str) -> io.BytesIO:
        return io.BytesIO(self.pages.get(name, b"<html>the listing</html>"))


def opens(monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], Any]) -> None:
    pytest.importorskip("fsspec")
    monkeypatch.setattr("fsspec.core.url_to_fs", answer)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (ROOT, {"a%20b.mp4": (b"a", f"{ROOT}/a%20b.mp4"), "sub/c.mp4": (b"c", f"{ROOT}/sub/c.mp4")}),
        ("http://host/one.mp4", {"one.mp4": (b"one", "http://host/one.mp4")}),
    ],
)
def test_a_web_listing_gives_its_files_and_not_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, found: dict[str, tuple[bytes, str]]
) -> None:
    opens(monkeypatch, lambda url: (Web(), url))
    source, seen = open_source(url), {}
    for entry in source.entries():
        with source.fetched(entry, 1000, tmp_path) as path:
            seen[entry.name] = path.read_bytes(), source.link(entry.name, tmp_path)
    assert seen == found


@pytest.mark.parametrize("error", [ConnectionRefusedError(111, "Connection refused"), TypeError("2 missing")])
def test_a_backend_that_cannot_be_opened_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(_url: str) -> Any:
        raise error

    opens(monkeypatch, refuse)
    with pytest.raises(InputError, match=r"ftp://host/x cannot be opened .*; check") as told:
        open_source("ftp://user:secret@host/x").entries()
    assert "\n" not in str(told.value)


def test_a_url_that_is_none_is_told_in_one_line() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(UsageError, match="Invalid IPv6"):
        open_source("http://[bad/x").entries()
