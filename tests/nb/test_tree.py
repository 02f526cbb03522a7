"""The manifest tree: what stands in a store, what no longer fits, and that foreign text stays text."""

import json
import struct
from pathlib import Path
from typing import Any

import cbor2
import pytest

from sorakit.config import Settings
from sorakit.errors import InputError, UsageError
from sorakit.nb import ManifestTree
from sorakit.nb.manifest import MAX_DEPTH, MAX_ITEMS, manifests_of, store_of
from sorakit.watermark import attacks

HOSTILE = '<img src=x onerror="x()">&\'</details><script>\u202e\x07'


def box(kind: bytes, *inner: bytes) -> bytes:
    body = b"".join(inner)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def superbox(label: str, *inner: bytes) -> bytes:
    return box(b"jumb", box(b"jumd", bytes(16), b"\x03", label.encode(), b"\0"), *inner)


def store(claim: Any, **assertions: Any) -> bytes:
    inside = [superbox(label, box(b"cbor", cbor2.dumps(data))) for label, data in assertions.items()]
    parts = superbox("c2pa.assertions", *inside), superbox("c2pa.claim.v2", box(b"cbor", cbor2.dumps(claim)))
    return superbox("c2pa", superbox(HOSTILE, *parts))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, module_settings: Settings, clip_factory: Any) -> Any:
    from sorakit.publish import publish  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("tree")
    return publish(clip_factory(seconds=1), folder / "a.mp4", settings=module_settings)


def test_it_shows_what_was_signed(published: Any) -> None:
    tree = ManifestTree(published.path)
    assert tree.active["id"] == published.manifest_id
    assert tree.assertions["c2pa.actions.v2"]["actions"][0]["action"] == "c2pa.created"
    assert all(a["fits"] for a in tree.active["assertions"])
    assert tree.active["signature"]["algorithm"] == "ES256"
    assert "NOT TRUSTED - DEV" in tree.active["signature"]["certificates"][0]["subject"]
    bound = {b["value"] for k, v in tree.assertions.items() if "soft-binding" in k for b in v["blocks"]}
    assert published.payload in bound
    html = tree._repr_html_()
    assert html.count("<details") == html.count("</details>") > 10
    assert html.count("hash fits the claim ✓") == len(tree.assertions)
    assert "c2pa.created" in html
    text = repr(tree).splitlines()
    assert text[0].startswith("a.mp4: Manifest store: ")
    assert text[1] == f"  Manifest: {published.manifest_id}"
    assert len(text) < 60


def test_a_changed_statement_shows(published: Any, tmp_path: Path) -> None:
    data = bytearray(published.path.read_bytes())
    data[data.index(b"trainedAlgorithmicMedia")] ^= 1
    (tmp_path / "x.mp4").write_bytes(data)
    tree = ManifestTree(tmp_path / "x.mp4")
    assert [a["label"] for a in tree.active["assertions"] if not a["fits"]] == ["c2pa.actions.v2"]
    assert "differs from the claim ✗" in tree._repr_html_()


def test_a_file_without_a_store_says_so(published: Any, tmp_path: Path) -> None:
    attacks.apply("remux", published.path, tmp_path / "x.mp4")
    tree = ManifestTree(tmp_path / "x.mp4")
    assert tree.manifests == []
    assert repr(tree) == "x.mp4: No manifest store: in this file or beside it"
    assert "<details" not in tree._repr_html_()
    with pytest.raises(UsageError, match=r"x\.mp4 holds no manifest"):
        _ = tree.active
    with pytest.raises(InputError):
        _ = ManifestTree(tmp_path / "missing.mp4").manifests


def test_a_store_beside_the_file_is_read(published: Any, tmp_path: Path, file_factory: Any, way: Any) -> None:
    way.publish(way.clip(seconds=1), "a.webm")
    (found,) = ManifestTree(way.out / "a.webm").manifests
    assert all(a["fits"] for a in found["assertions"])
    assert store_of(way.out / "a.webm") == (way.out / "a.c2pa").read_bytes()


def test_foreign_text_stays_text_and_is_bounded(published: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    deep: Any = HOSTILE
    for _ in range(40):
        deep = [deep]
    assertions = {
        HOSTILE: {HOSTILE: HOSTILE, "deep": deep},
        "long": "x" * 100_000,
        "many": list(range(20_000)),
    }
    found = manifests_of(store({"created_assertions": HOSTILE}, **assertions))
    assert len(found) == 1
    shown = json.dumps(found)
    assert "\u202e" not in shown
    assert len(shown) < 8 * MAX_ITEMS + 20_000
    assert shown.count("[" * MAX_DEPTH) <= 1
    tree = ManifestTree(published.path)
    monkeypatch.setitem(tree.__dict__, "_found", {"bytes": 1, "manifests": found})
    html = tree._repr_html_()
    assert "<img" not in html
    assert "<script" not in html
    assert html.count("</details>") == html.count("<details")
    assert "&lt;img src=x" in html
    assert "… and more than fits here" in html
    assert len(html) < 1_000_000


@pytest.mark.parametrize("cut", [0, 7, 50, 400, 3000, 9000])
def test_broken_stores_show_what_is_left(published: Any, cut: int) -> None:
    whole = store_of(published.path)
    manifests_of(whole[:cut])
    junk = bytearray(whole)
    junk[cut : cut + 40] = b"\xff" * 40
    manifests_of(bytes(junk))


def test_odd_values_stay_json() -> None:
    (found,) = manifests_of(
        store([1, float("nan"), {b"k": 2}], big=10**6000, small=-(2**70), tag=cbor2.CBORTag(6, "x"))
    )
    json.dumps(found, allow_nan=False)
    assert [a["data"] for a in found["assertions"]] == ["…", str(-(2**70)), "x"]
    plain = superbox(
        "c2pa.assertions",
        superbox("old", box(b"json", b'{"a": [1, "b"]}')),
        superbox("bad", box(b"json", b"{")),
    )
    (found,) = manifests_of(superbox("c2pa", superbox("urn:1", plain)))
    assert [a["data"] for a in found["assertions"]] == [{"a": [1, "b"]}, None]
    assert found["claim"] is found["signature"] is None


def test_ingredients_have_a_branch_and_their_manifests_too(published: Any, way: Any) -> None:
    done = way.publish(published.path, "again.mp4")
    tree = ManifestTree(done.path)
    assert [m["id"] for m in tree.manifests] == [published.manifest_id, done.manifest_id]
    assert tree.root.children[0].value == done.manifest_id
    sources = next(b for b in tree.root.children[0].children if b.name == "Ingredients")
    assert sources.value == "1 file it was made from"
    assert "a file it was made from" in sources.children[0].value
