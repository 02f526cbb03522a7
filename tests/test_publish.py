"""The one door out: what leaves is whole, marked, signed and registered; what is refused leaves nothing."""

import hashlib
import os
import shutil
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sorakit.errors import IdentityError, InputError, OutputError, SorakitError, UnsupportedError, UsageError
from sorakit.provenance.keys import DEV_FILE
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import read_store
from sorakit.publish import STEPS, Published
from sorakit.registry.repo import Registry
from sorakit.types import Clip, Decision, Generation, Ingredient, SourceType

PROMPT = "zebra7391 walks through an unannounced product"


def assert_complete(done: Published, way: Any) -> None:
    """File, mark, credential and registry row agree."""
    assert done.sha256 == hashlib.sha256(done.path.read_bytes()).hexdigest()
    verdict = way.check(done.path)
    found = verdict.evidence
    assert verdict.decision is Decision.AI_DECLARED, verdict.reasons
    assert found.in_registry
    assert (found.provenance.manifest_id, found.watermark.payload) == (done.manifest_id, done.payload)
    assert found.provenance.state == "valid_untrusted"
    assert found.labels.aigc is not None
    assert found.labels.aigc["Label"] == "1"
    with Registry(way.settings.database_url) as registry:
        row = registry.get(done.manifest_id)
        assert registry.verify_audit() is None
    assert row is not None
    assert (row.file_sha256, row.state, row.title) == (done.sha256, "published", done.path.name)
    assert row.fingerprint is not None
    carried = read_store(row.store, Trust()).soft_bindings
    assert carried == [(str(found.watermark.algorithm), done.payload), row.fingerprint.binding]
    assert not list(done.path.parent.glob(".sorakit-*"))


# what leaves


def test_a_clip_leaves_whole(way: Any) -> None:
    seen: list[str] = []
    done = way.publish(way.clip(), progress=lambda step, _: seen.append(step))
    assert_complete(done, way)
    assert [s for s in dict.fromkeys(seen) if s in STEPS] == list(STEPS)
    assert [p.name for p in way.out.iterdir()] == ["a.mp4"]
    assert shape(done.path) == (320, 256, 48)


def shape(path: Path) -> tuple[int, int, int]:
    """(width, height, frames)."""
    with av.open(path) as box:
        frames = sum(1 for _ in box.decode(video=0))
        return box.streams.video[0].width, box.streams.video[0].height, frames


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".m4v"])
def test_a_file_leaves_whole_with_its_sound(suffix: str, way: Any) -> None:
    source = way.file(2, sound=True)
    done = way.publish(source, f"a{suffix}")
    assert_complete(done, way)
    assert packets(source, "audio") == packets(done.path, "audio")
    assert [t for t, _ in packets(source, "video")] == [t for t, _ in packets(done.path, "video")]


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """(time in seconds, bytes) of each packet of one kind, by time."""
    with av.open(path) as box:
        stream = next(s for s in box.streams if s.type == kind)
        found = [(p.pts * p.time_base, bytes(p)) for p in box.demux(stream) if p.size]
    assert found
    return sorted(found)


def test_a_sample_of_32_px_is_enlarged(way: Any) -> None:
    done = way.publish(way.clip(3, size=(40, 32)))
    assert_complete(done, way)
    assert shape(done.path) == (320, 256, 48)


def test_marking_again_keeps_the_id_and_the_first_credential(way: Any) -> None:
    first = way.publish(way.clip(4))
    second = way.publish(first.path, "b.mp4", source_type=SourceType.EDITED)
    assert second.payload == first.payload
    assert second.manifest_id != first.manifest_id
    assert any("carried a mark already" in n for n in second.notes)
    assert_complete(second, way)
    ingredients = way.check(second.path).evidence.provenance.ingredients
    assert [i["manifest_id"] for i in ingredients] == [first.manifest_id]
    assert_complete(first, way)


@pytest.mark.parametrize("kind", ["clip", "file"])
def test_two_at_once_to_one_place(kind: str, way: Any) -> None:
    source, together = way.source(kind, 5), threading.Barrier(2, timeout=60)

    def wait(step: str, _: float) -> None:
        if step == "rename":
            together.wait()

    def one(_: int) -> Published | SorakitError:
        try:
            return way.publish(source, progress=wait)  # type: ignore[no-any-return]
        except SorakitError as e:
            return e

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(one, range(2)))
    done = [r for r in results if isinstance(r, Published)]
    assert (len(done), sum(isinstance(r, UsageError) for r in results)) == (1, 1), results
    assert way.rows() == [done[0].manifest_id]
    assert_complete(done[0], way)


# private data


def prompted(clip: Clip) -> Clip:
    made_by = Generation("m", "1", prompt=PROMPT, seed=3, parameters={"negative_prompt": f"no {PROMPT}"})
    return replace(clip, generation=made_by)


def test_no_private_data_leaves(way: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "USERNAME", "HOSTNAME"):
        monkeypatch.setenv(name, "quaggauser")
    clip = prompted(way.clip(6))
    told = way.publish(clip)
    marked = way.publish(way.file(6, name="quaggaholiday.mp4"), "b.mp4", generation=clip.generation)
    forbidden = ["zebra7391", "quagga", str(way.tmp), "pytest-"]
    if len(socket.gethostname()) > 4:  # a shorter name turns up in any compressed video
        forbidden.append(socket.gethostname())
    digest = hashlib.sha256(PROMPT.encode())
    for path in (told.path, marked.path, way.settings.home / "registry.db"):
        data = path.read_bytes()
        for word in forbidden:
            forms = (word.encode(), word.encode("utf-16-le"), word.encode().hex().encode())
            assert not any(form in data for form in forms), (path.name, word)
        assert digest.digest() not in data  # guessing prompts would open it
        assert digest.hexdigest().encode() not in data


def test_a_disclosed_prompt_leaves(way: Any) -> None:
    done = way.publish(prompted(way.clip()), disclose_prompt=True)
    assert PROMPT.encode() in done.path.read_bytes()


# what is refused


def test_no_identity(way: Any) -> None:
    shutil.rmtree(way.settings.keys_dir)
    with pytest.raises(IdentityError, match="sorakit keys dev"):
        way.publish(way.clip())
    way.assert_nothing_left()


@pytest.mark.parametrize("damage", ["text", "cut", "no key"])
def test_a_damaged_identity(damage: str, way: Any) -> None:
    file = way.settings.keys_dir / DEV_FILE
    whole = file.read_bytes()
    no_key = whole[whole.index(b"-----BEGIN CERT") :]
    file.write_bytes({"text": b"hello", "cut": whole[: len(whole) // 2], "no key": no_key}[damage])
    with pytest.raises(IdentityError):
        way.publish(way.clip())
    way.assert_nothing_left()


def test_no_overwriting_without_permission(way: Any) -> None:
    (way.out / "a.mp4").write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists"):
        way.publish(way.clip())
    assert (way.out / "a.mp4").read_bytes() == b"mine"
    way.assert_nothing_left(but="a.mp4")
    assert_complete(way.publish(way.clip(), overwrite=True), way)


def test_a_file_that_appears_meanwhile_is_not_overwritten(way: Any) -> None:
    def appear(step: str, _: float) -> None:
        if step == "rename":
            (way.out / "a.mp4").write_bytes(b"mine")

    with pytest.raises(UsageError, match="appeared"):
        way.publish(way.clip(), progress=appear)
    assert (way.out / "a.mp4").read_bytes() == b"mine"
    way.assert_nothing_left(but="a.mp4")


@pytest.mark.parametrize("how", ["same", "symlink", "hardlink", "dots"])
def test_input_is_never_the_output(how: str, way: Any) -> None:
    source = way.file(name="out/a.mp4")
    before, name = source.read_bytes(), "b.mp4"
    if how == "symlink":
        (way.out / name).symlink_to(source)
    elif how == "hardlink":
        (way.out / name).hardlink_to(source)
    else:
        name = {"same": "a.mp4", "dots": f"../{way.out.name}/a.mp4"}[how]
    with pytest.raises(UsageError, match="another file than the input"):
        way.publish(source, name, overwrite=True)
    assert source.read_bytes() == before
    assert way.rows() == []


def test_an_ingredient_is_never_the_output(way: Any) -> None:
    source, part = way.file(), way.file(3, name="out/a.mp4")
    before = part.read_bytes()
    with pytest.raises(UsageError, match="another file than the input"):
        way.publish(source, ingredients=[Ingredient(part)], overwrite=True)
    assert part.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("a.avi", UsageError, "must end in"),
        ("a", UsageError, "must end in"),
        ("no/such/folder/a.mp4", OutputError, "does not exist"),
        ("folder.mp4", OutputError, "is a folder"),
        (f"{'a' * 300}.mp4", OutputError, "choose another name"),
    ],
)
def test_outputs_that_cannot_be(name: str, error: type[SorakitError], says: str, way: Any) -> None:
    (way.out / "folder.mp4").mkdir()
    with pytest.raises(error, match=says):
        way.publish(way.clip(), name, overwrite=True)
    way.assert_nothing_left(but="folder.mp4")


def test_a_folder_that_cannot_be_written(way: Any) -> None:
    name = "a.mp4"
    if os.geteuid() == 0:  # no mode stops root; a file system of the kernel does
        if not Path("/proc").is_dir():
            pytest.skip("root may write everywhere here")
        name = "/proc/a.mp4"
    else:
        way.out.chmod(0o500)
    with pytest.raises(OutputError):
        way.publish(way.clip(), name)
    way.out.chmod(0o700)
    way.assert_nothing_left()


@pytest.mark.parametrize("kind", ["clip", "file"])
@pytest.mark.parametrize("seconds", [0.5, 0.04])
def test_too_short(seconds: float, kind: str, way: Any) -> None:
    with pytest.raises(UnsupportedError, match="1 s"):
        way.publish(way.source(kind, seconds=seconds))
    way.assert_nothing_left()


def test_too_small_a_file(way: Any) -> None:
    with pytest.raises(UnsupportedError, match="256"):
        way.publish(way.file(size=(160, 128)))
    way.assert_nothing_left()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_flat_clip_is_marked_or_refused_but_never_half_done(level: int, way: Any) -> None:
    flat = Clip(np.full((24, 256, 256, 3), level, np.uint8), Fraction(24))
    try:
        done = way.publish(flat)
    except SorakitError as e:
        assert "mark" in str(e)
        way.assert_nothing_left()
    else:
        assert_complete(done, way)


def test_a_missing_source(way: Any) -> None:
    with pytest.raises(InputError, match="no such file"):
        way.publish(way.tmp / "none.mp4")
    way.assert_nothing_left()
