"""From a stripped file through somebody else's registry back to its credential, over a real server."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from sorakit.api.app import create_app
from sorakit.check import check
from sorakit.config import Settings
from sorakit.provenance.keys import create_dev_identity
from sorakit.provenance.trust import Trust, load_trust
from sorakit.publish import Published, publish
from sorakit.registry.repo import Registry
from sorakit.types import Clip, Decision, FrameGeometry, Verdict
from sorakit.video.write import EncodeSettings, write_clip
from sorakit.watermark.attacks import apply
from sorakit.watermark.video import VideoWatermark


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this module's files lie."""
    return tmp_path_factory.mktemp("resolving")


@pytest.fixture(scope="module")
def done(clip_factory: Callable[..., Clip], folder: Path, module_settings: Settings) -> Published:
    """A clip that the publisher published, small, so with a stronger mark than usual."""
    strong = module_settings.model_copy(update={"psnr": 40.0})
    return publish(clip_factory(seed=31), folder / "published.mp4", settings=strong)


@pytest.fixture(scope="module")
def stripped(done: Published, folder: Path) -> Path:
    """The same after a platform encoded it again."""
    apply("h264_crf28", done.path, folder / "stripped.mp4")
    return folder / "stripped.mp4"


@pytest.fixture(scope="module")
def copied(done: Published, clip_factory: Callable[..., Clip], folder: Path) -> Path:
    """Another picture with the same mark."""
    clip = clip_factory(seed=32)
    height, width = clip.frames.shape[1:3]
    mark = VideoWatermark().embedder(FrameGeometry(width, height), int(done.payload, 16), psnr=40.0)
    path = folder / "copied.mp4"
    write_clip(clip, path, luma=mark, settings=EncodeSettings(crf=18, preset="ultrafast"))
    return path


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """`sorakit serve` of a home, in a thread; yields its address."""
    with Registry(settings.database_url, read_only=True) as registry:
        app = create_app(registry, settings=settings)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def resolver(done: Published, module_settings: Settings) -> Iterator[str]:
    """The publisher's resolver."""
    with running(module_settings) as url:
        yield url


@pytest.fixture
def look(tmp_path: Path, module_settings: Settings) -> Callable[..., Verdict]:
    """`look(path, *resolvers, dev=…)`: check as a stranger with a home of their own."""

    def run(path: Path, *resolvers: str, dev: bool = False) -> Verdict:
        trust = load_trust(module_settings, dev=True) if dev else Trust()
        return check(path, trust=trust, settings=Settings(home=tmp_path / "stranger"), resolvers=resolvers)

    return run


def test_a_stripped_copy_finds_its_credential(
    done: Published, stripped: Path, resolver: str, look: Callable[..., Verdict]
) -> None:
    verdict = look(stripped, resolver, dev=True)
    recovery = verdict.evidence.recovery
    assert verdict.decision is Decision.AI_RECOVERED, verdict.reasons
    assert (recovery.state, recovery.manifest_id) == ("recovered", done.manifest_id)
    assert (recovery.source, recovery.problems) == (resolver, [])
    assert recovery.manifest is not None and recovery.manifest["state"] == "trusted"
    assert "whom you trust" in verdict.reasons[0]


def test_without_being_asked_nobody_is(stripped: Path, look: Callable[..., Verdict]) -> None:
    verdict = look(stripped)
    assert verdict.decision is Decision.AI_WATERMARKED
    assert verdict.evidence.recovery.state == "unavailable"


def test_an_unknown_signer_is_said_to_be_one(
    stripped: Path, resolver: str, look: Callable[..., Verdict]
) -> None:
    verdict = look(stripped, "http://127.0.0.1:9", resolver)
    assert verdict.decision is Decision.AI_RECOVERED
    assert "for whom nobody you trust vouches" in verdict.reasons[0]
    assert len(verdict.evidence.recovery.problems) == 1


def test_a_copied_mark_borrows_nothing(
    copied: Path, resolver: str, look: Callable[..., Verdict], module_settings: Settings
) -> None:
    there, here = look(copied, resolver, dev=True), check(copied, settings=module_settings)
    for verdict in (there, here):
        assert verdict.decision is Decision.AI_WATERMARKED, verdict.reasons
        assert verdict.evidence.recovery.state == "no_match"
        assert verdict.evidence.recovery.manifest is None
        assert "may be copied" in verdict.reasons[0]


def test_an_untouched_file_agrees_with_its_resolver(
    done: Published, resolver: str, look: Callable[..., Verdict]
) -> None:
    verdict = look(done.path, resolver)
    assert verdict.decision is Decision.AI_WATERMARKED  # a stranger's registry makes nobody trusted
    assert (verdict.evidence.recovery.state, verdict.evidence.recovery.source) == ("not_needed", resolver)
    trusted = look(done.path, "http://127.0.0.1:9", dev=True)  # its own credential names the mark
    assert trusted.decision is Decision.AI_DECLARED
    assert trusted.evidence.recovery.problems == []


@pytest.fixture(scope="module")
def claimed(stripped: Path, folder: Path, clip_factory: Callable[..., Clip]) -> tuple[Path, Settings]:
    """The stripped copy under a stranger's own credential, and the stranger's home."""
    from sorakit.provenance.keys import load_identity  # noqa: PLC0415
    from sorakit.provenance.manifest import ManifestSpec, build_manifest  # noqa: PLC0415
    from sorakit.provenance.sign import sign  # noqa: PLC0415

    thief = Settings(home=folder / "thief", preset="ultrafast")
    create_dev_identity(thief.keys_dir)
    spec = ManifestSpec("mine.mp4", "generated", "mine")
    sign(stripped, folder / "mine.mp4", build_manifest(spec), load_identity(thief.keys_dir))
    return folder / "mine.mp4", thief


def test_a_strangers_credential_over_our_mark_is_a_conflict(
    claimed: tuple[Path, Settings], resolver: str, module_settings: Settings, tmp_path: Path
) -> None:
    """Trusted or not, against our registry; against a resolver's find only where its signer is trusted."""
    path, thief = claimed
    theirs, ours = load_trust(thief, dev=True), load_trust(module_settings, dev=True)
    for trust in (Trust(), theirs):
        verdict = check(path, trust=trust, settings=module_settings)
        assert verdict.decision is Decision.CONFLICT, verdict.reasons
        assert verdict.evidence.recovery.state == "recovered"
    stranger = Settings(home=tmp_path / "stranger")
    both = replace(theirs, claims=(*theirs.claims, *ours.claims))
    known = check(path, trust=both, settings=stranger, resolvers=[resolver])
    assert known.decision is Decision.CONFLICT, known.reasons
    unknown = check(path, trust=theirs, settings=stranger, resolvers=[resolver])
    assert unknown.decision is Decision.AI_DECLARED, unknown.reasons


def test_by_content_mark_and_picture_have_to_agree(
    done: Published, stripped: Path, copied: Path, module_settings: Settings
) -> None:
    with Registry(module_settings.database_url, read_only=True) as registry:
        caller = TestClient(create_app(registry, settings=module_settings), base_url="http://localhost")

        def ask(path: Path, **params: Any) -> list[dict[str, Any]]:
            headers = {"content-type": "video/mp4"}
            answer = caller.post(
                "/matches/byContent", content=path.read_bytes(), headers=headers, params=params
            )
            assert answer.status_code == 200, answer.text
            found: list[dict[str, Any]] = answer.json()["matches"]
            return found

        (match,) = ask(stripped)
        assert match["manifestId"] == done.manifest_id and 68 <= match["similarityScore"] <= 100
        assert ask(copied) == []
        assert ask(stripped, alg="com.example.other.1") == []


def test_a_hint_helps_where_the_mark_is_gone(
    done: Published, clip_factory: Callable[..., Clip], folder: Path, module_settings: Settings
) -> None:
    import base64  # noqa: PLC0415

    clean = folder / "clean.mp4"
    write_clip(clip_factory(seed=31), clean, settings=EncodeSettings(crf=18, preset="ultrafast"))
    with Registry(module_settings.database_url, read_only=True) as registry:
        caller = TestClient(create_app(registry, settings=module_settings), base_url="http://localhost")
        hint = {
            "hintAlg": VideoWatermark().name,
            "hintValue": base64.b64encode(bytes.fromhex(done.payload)).decode(),
        }
        for params, expected in (({}, []), (hint, [done.manifest_id])):
            answer = caller.post(
                "/matches/byContent",
                content=clean.read_bytes(),
                headers={"content-type": "video/mp4"},
                params=params,
            )
            assert [m["manifestId"] for m in answer.json()["matches"]] == expected
