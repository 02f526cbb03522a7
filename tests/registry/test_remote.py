"""Resolvers, honest and hostile, on real sockets: only signed bytes that fit the picture count."""

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import cv2
import pytest

from sorakit.config import Settings
from sorakit.errors import UsageError
from sorakit.private_files import write_private
from sorakit.provenance.keys import load_identity
from sorakit.provenance.manifest import ManifestSpec, build_manifest
from sorakit.provenance.sign import sign
from sorakit.provenance.trust import Trust, load_trust
from sorakit.provenance.verify import read_store
from sorakit.registry.fingerprint import Fingerprint, fingerprint
from sorakit.registry.remote import ask_resolvers

MARK = ("io.github.sorakit.lattice.1", "1f00000000000001")
Answer = tuple[int, dict[str, str], bytes]
Answers = Callable[[str, dict[str, list[str]]], Answer]


def luma_of(clip: Any) -> list[tuple[float, Any]]:
    return [(i / 24, cv2.cvtColor(f, cv2.COLOR_RGB2GRAY)) for i, f in enumerate(clip.frames)]


@pytest.fixture(scope="module")
def prints(clip_factory: Callable[..., Any]) -> list[Fingerprint]:
    """Fingerprints of two videos."""
    return [fingerprint(luma_of(clip_factory(1.0, seed=s))) for s in (1, 2)]


@pytest.fixture(scope="module")
def stores(
    prints: list[Fingerprint],
    clip_factory: Callable[..., Any],
    file_factory: Callable[..., Path],
    module_settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[str, bytes]]:
    """(id, store) of signed manifests: the right one, and ones that must not count."""
    folder = tmp_path_factory.mktemp("stores")
    source = file_factory(folder / "in.mp4", clip_factory(1.0, seed=1))
    right = ManifestSpec(
        "a.mp4", "generated", "id", payload_hex=MARK[1], algorithm=MARK[0], fingerprint=prints[0].binding
    )
    kinds = {
        "right": right,
        "another mark": replace(right, payload_hex="1f00000000000002"),
        "another picture": replace(right, fingerprint=prints[1].binding),
        "no fingerprint": replace(right, fingerprint=None),
        "no mark": replace(right, payload_hex=None, algorithm=None),
        "broken fingerprint": replace(right, fingerprint=(prints[0].binding[0], "AAEC")),
    }
    made = {}
    for name, spec in kinds.items():
        identity = load_identity(module_settings.keys_dir)
        store = sign(source, folder / "out.mp4", build_manifest(spec), identity)
        made[name] = (str(read_store(store, Trust()).provenance.manifest_id), store)
    return made


@contextmanager
def serving(answers: Answers) -> Iterator[tuple[str, list[Any]]]:
    """A server on loopback; yields its address and the requests it saw."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            seen.append((parts.path, parse_qs(parts.query), {k.lower(): v for k, v in self.headers.items()}))
            status, headers, body = answers(unquote(parts.path), parse_qs(parts.query))
            self.send_response(status)
            for k, v in headers.items():
                self.send_header(k, v)
            self.end_headers()
            with suppress(OSError):  # the caller may have had enough
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def giving(manifests: dict[str, bytes], matches: list[dict[str, Any]] | None = None) -> Answers:
    """A resolver that has these manifests for every mark."""
    listed = (
        matches if matches is not None else [{"manifestId": i, "similarityScore": 100} for i in manifests]
    )

    def answers(path: str, _query: dict[str, list[str]]) -> Answer:
        if path == "/matches/byBinding":
            return 200, {}, json.dumps({"matches": listed}).encode()
        store = manifests.get(path.removeprefix("/manifests/"))
        return (200, {"content-type": "application/c2pa"}, store) if store else (404, {}, b"")

    return answers


def quick(settings: Settings, seconds: float = 10) -> Settings:
    return settings.model_copy(update={"resolver_seconds": seconds})


def test_an_honest_resolver(stores: Any, prints: Any, module_settings: Settings) -> None:
    name, store = stores["right"]
    with serving(giving({name: store})) as (url, seen):
        trust = load_trust(module_settings, dev=True)
        hit, told = ask_resolvers(MARK, prints[0], [url, url], trust, quick(module_settings))
    assert hit is not None and told.problems == []
    assert (hit.credential.provenance.manifest_id, hit.credential.provenance.state) == (name, "trusted")
    assert hit.similarity > 0.9
    (path, query, headers), (second, *_) = seen  # asked once, and nothing but the mark was sent
    assert path == "/matches/byBinding"
    assert query["alg"] == [MARK[0]]
    assert base64.b64decode(query["value"][0]).hex() == MARK[1]
    assert set(query) == {"alg", "value", "maxResults"}
    assert unquote(second) == f"/manifests/{name}"
    assert "authorization" not in headers and headers["user-agent"] == "sorakit"


def test_manifests_that_do_not_count(stores: Any, prints: Any, module_settings: Settings) -> None:
    bad = {k: v for k, v in stores.items() if k != "right"}
    told = []
    for chunk in (list(bad.values())[:3], list(bad.values())[3:]):
        with serving(giving(dict(chunk))) as (url, _):
            hit, evidence = ask_resolvers(MARK, prints[0], [url], Trust(), quick(module_settings))
        assert hit is None
        told += evidence.problems
    for words in ("not name this mark", "another picture", "no fingerprint", "malformed"):
        assert any(words in t for t in told), told
    assert len(told) == len(bad)


def test_bytes_that_are_not_what_was_asked_for(stores: Any, prints: Any, module_settings: Settings) -> None:
    name, store = stores["right"]
    flipped = bytearray(store)
    flipped[flipped.index(b"generated.1" if b"generated.1" in flipped else b"trainedAlgorithmicMedia")] ^= 1
    given = {"urn:c2pa:other": store, name: bytes(flipped), "urn:x": b"\0" * 100, "urn:y": b"<html>"}
    with serving(giving(given)) as (url, _):
        hit, told = ask_resolvers(MARK, prints[0], [url], Trust(), quick(module_settings))
    assert hit is None
    assert len(told.problems) == 4
    assert any("another one than was asked for" in p for p in told.problems)


def test_a_copied_mark_borrows_nothing(stores: Any, prints: Any, module_settings: Settings) -> None:
    name, store = stores["right"]
    with serving(giving({name: store})) as (url, _):
        hit, told = ask_resolvers(MARK, prints[1], [url], Trust(), quick(module_settings))
    assert hit is None
    assert told.state == "no_match" and told.similarity is not None and told.similarity < 0.68


def failing(kind: str) -> Answers:
    def answers(_path: str, _query: dict[str, list[str]]) -> Answer:
        if kind == "slow":
            time.sleep(4)
        bodies = {
            "html": b"<html>",
            "list": b"[]",
            "deep": b"[" * 100_000,
            "numbers": b'{"matches": [1, 2]}',
            "huge": b" " * (300 << 10),
        }
        status = {"redirect": 302, "error": 500}.get(kind, 200)
        headers = {"location": "http://127.0.0.1:1/"} if kind == "redirect" else {}
        if kind == "compressed":
            headers = {"content-encoding": "gzip"}
        return status, headers, bodies.get(kind, b'{"matches": []}')

    return answers


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("redirect", "status 302"),
        ("error", "status 500"),
        ("huge", "more than"),
        ("deep", "not as C2PA has it"),
        ("numbers", "not as C2PA has it"),
        ("compressed", "compressed"),
        ("slow", "longer than|cannot be asked|in time"),
    ],
)
def test_answers_that_are_none(kind: str, words: str, prints: Any, module_settings: Settings) -> None:
    with serving(failing(kind)) as (url, seen):
        settings = quick(module_settings, 1 if kind == "slow" else 10)
        hit, told = ask_resolvers(MARK, prints[0], [url], Trust(), settings)
    assert hit is None
    assert (told.state, len(told.problems)) == ("unavailable", 1)
    assert re.search(words, told.problems[0]), told.problems
    assert len(seen) == 1


def test_other_endpoints_are_not_visited(stores: Any, prints: Any, module_settings: Settings) -> None:
    name, store = stores["right"]
    with serving(giving({name: store})) as (elsewhere, seen):
        matches = [
            {"manifestId": name, "endpoint": elsewhere},
            {"manifestId": "../../secret", "endpoint": None},
        ]
        with serving(giving({}, matches)) as (url, _):
            hit, _ = ask_resolvers(MARK, prints[0], [url], Trust(), quick(module_settings))
    assert hit is None and seen == []


def test_the_better_signer_wins_and_one_that_is_down_is_told(
    stores: Any, prints: Any, module_settings: Settings
) -> None:
    name, store = stores["right"]
    with serving(giving({name: store})) as (url, _):
        down = "http://127.0.0.1:9"
        hit, told = ask_resolvers(MARK, prints[0], [down, url], Trust(), quick(module_settings))
    assert hit is not None and hit.resolver == url
    assert hit.credential.provenance.state == "valid_untrusted"
    assert len(told.problems) == 1 and down in told.problems[0]


def test_a_token_goes_to_its_resolver_alone(prints: Any, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with serving(giving({})) as (url, seen), serving(giving({})) as (other, unseen):
        port = urlsplit(url).port
        write_private(tmp_path / "resolvers" / f"127.0.0.1_{port}.token", b"s3cret\n")
        ask_resolvers(MARK, prints[0], [url, other], Trust(), quick(settings))
    assert seen[0][2]["authorization"] == "Bearer s3cret"
    assert "authorization" not in unseen[0][2]


def test_addresses_that_cannot_be_used(prints: Any, module_settings: Settings) -> None:
    with pytest.raises(UsageError, match="https"):
        ask_resolvers(MARK, prints[0], ["http://example.org"], Trust(), module_settings)
    hit, told = ask_resolvers(MARK, prints[0], ["https://10.1.2.3"], Trust(), module_settings)
    assert hit is None and "not public" in told.problems[0]
