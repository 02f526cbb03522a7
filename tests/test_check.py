"""The one gate in, on real files: what each kind of damage, copy and conversion leaves of the evidence."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from sorakit.check import check
from sorakit.config import Settings
from sorakit.provenance.keys import create_dev_identity, dev_anchor
from sorakit.provenance.trust import Trust, load_trust
from sorakit.publish import Published, publish
from sorakit.registry.repo import Registry
from sorakit.types import Clip, Decision, FrameGeometry, Verdict
from sorakit.video.read import read_clip
from sorakit.watermark.video import VideoWatermark

A_MARK = 0x0123456789ABCDEF


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this module's files lie."""
    return tmp_path_factory.mktemp("check")


@pytest.fixture(scope="module")
def clip(clip_factory: Callable[..., Clip]) -> Clip:
    """What was published."""
    return clip_factory(seed=21)


@pytest.fixture(scope="module")
def done(clip: Clip, folder: Path, module_settings: Settings) -> Published:
    """A published clip."""
    return publish(clip, folder / "published.mp4", settings=module_settings)


@pytest.fixture
def look(module_settings: Settings) -> Callable[..., Verdict]:
    """`look(path, trust=…)`: check with the module's home."""

    def run(path: Path, *, dev: bool = False, settings: Settings = module_settings) -> Verdict:
        return check(path, trust=load_trust(settings, dev=dev), settings=settings)

    return run


def remux(source: Path, target: Path, **options: str) -> Path:
    """Copy the packets into a new container: every credential is gone, the picture is the same."""
    with av.open(source) as old, av.open(target, "w", options=options) as new:
        track = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = track
                new.mux(packet)
    return target


def reencode(source: Path, target: Path, codec: str = "libx264", **options: str) -> Path:
    """What a platform does to an upload."""
    with av.open(source) as old, av.open(target, "w") as new:
        picture = old.streams.video[0]
        track = new.add_stream(codec, rate=picture.average_rate, options=options)
        track.width, track.height, track.pix_fmt = picture.width, picture.height, "yuv420p"
        for frame in old.decode(video=0):
            frame.pict_type = 0
            new.mux(track.encode(frame))
        new.mux(track.encode(None))
    return target


def flip(source: Path, target: Path, box: bytes, offset: int) -> Path:
    """Change one byte, `offset` bytes after the name of the first such box."""
    data = bytearray(source.read_bytes())
    data[data.index(box) + offset] ^= 0x40
    target.write_bytes(data)
    return target


def marked_frames(clip: Clip, payload: int) -> Clip:
    """The clip with a payload put in without any credential, as a copied mark would be."""
    height, width = clip.frames.shape[1:3]
    mark = VideoWatermark().embedder(FrameGeometry(width, height), payload, psnr=40.0)
    frames = clip.frames.copy()
    for frame in frames:
        luma = (frame @ np.array([0.2126, 0.7152, 0.0722])).round().astype(np.uint8)
        change = mark(luma).astype(np.int16) - luma
        np.copyto(frame, np.clip(frame + change[..., None], 0, 255).astype(np.uint8))
    return replace(clip, frames=frames)


# what the kit published


def test_untouched(done: Published, look: Callable[..., Verdict]) -> None:
    verdict = look(done.path)
    found = verdict.evidence
    assert verdict.decision is Decision.AI_DECLARED
    assert (found.provenance.state, found.in_registry) == ("valid_untrusted", True)
    assert found.recovery.state == "not_needed"
    assert found.provenance.digital_source_type == "trainedAlgorithmicMedia"
    assert found.labels.iptc == "trainedAlgorithmicMedia"
    trusted = look(done.path, dev=True)
    assert (trusted.decision, trusted.evidence.provenance.state) == (Decision.AI_DECLARED, "trusted")


def test_elsewhere_it_is_a_strangers_claim(
    done: Published, tmp_path: Path, look: Callable[..., Verdict]
) -> None:
    """Without its registry and its root, a credential of ours is like anyone's; the mark still says AI."""
    verdict = look(done.path, settings=Settings(home=tmp_path / "elsewhere"))
    assert verdict.decision is Decision.AI_WATERMARKED
    assert not verdict.evidence.in_registry
    assert verdict.evidence.recovery.state == "unavailable"
    assert any("nobody you trust" in r for r in verdict.reasons)


@pytest.mark.parametrize(
    "how",
    [
        "remuxed to mp4",
        "remuxed to mkv",
        "H.264 CRF 23",
        pytest.param("VP9 in WebM", marks=pytest.mark.slow),
        "half a second cut off",
    ],
)
def test_stripped_it_is_recovered(
    how: str, done: Published, tmp_path: Path, look: Callable[..., Verdict], file_factory: Callable[..., Path]
) -> None:
    if how == "half a second cut off":
        seen = read_clip(done.path)
        path = file_factory(tmp_path / "a.mp4", replace(seen, frames=seen.frames[12:]))
    else:
        path = {
            "remuxed to mp4": lambda: remux(done.path, tmp_path / "a.mp4"),
            "remuxed to mkv": lambda: remux(done.path, tmp_path / "a.mkv"),
            "H.264 CRF 23": lambda: reencode(done.path, tmp_path / "a.mp4", crf="23", preset="veryfast"),
            "VP9 in WebM": lambda: reencode(
                done.path,
                tmp_path / "a.webm",
                "libvpx-vp9",
                crf="32",
                deadline="realtime",
                **{"cpu-used": "8"},
            ),
        }[how]()
    verdict = look(path)
    recovery = verdict.evidence.recovery
    assert verdict.evidence.provenance.state == "none"
    assert verdict.decision is Decision.AI_RECOVERED, verdict.reasons
    assert recovery.manifest_id == done.manifest_id
    assert recovery.manifest is not None
    assert recovery.manifest["digital_source_type"] == "trainedAlgorithmicMedia"
    assert recovery.manifest["state"] == "valid_untrusted"


@pytest.mark.parametrize(("box", "offset"), [(b"mdat", 2000), (b"moov", 60), (b"c2pa.actions", 200)])
def test_a_flipped_bit_is_tampering_and_the_mark_still_leads_home(
    box: bytes, offset: int, done: Published, tmp_path: Path, look: Callable[..., Verdict]
) -> None:
    verdict = look(flip(done.path, tmp_path / "a.mp4", box, offset), dev=True)
    assert verdict.decision is Decision.TAMPERED, verdict.reasons
    assert verdict.evidence.provenance.problems
    if verdict.evidence.watermark.found:  # a flip in the pictures may break the decoder's reading
        assert verdict.evidence.recovery.manifest_id == done.manifest_id
        assert any("leads to a registered credential" in r for r in verdict.reasons[1:])
    assert verdict.evidence.watermark.found or box == b"mdat"


# what others do with marks and credentials


def test_a_copied_mark_borrows_no_credential(
    done: Published, clip_factory: Callable[..., Clip], file_factory: Callable[..., Path], tmp_path: Path,
    look: Callable[..., Verdict],
) -> None:  # fmt: skip
    other = marked_frames(clip_factory(seed=99), int(done.payload, 16))
    verdict = look(file_factory(tmp_path / "a.mp4", other))
    assert verdict.evidence.watermark.payload == done.payload
    assert verdict.evidence.recovery.state == "no_match"
    assert verdict.evidence.recovery.manifest_id is None
    assert verdict.decision is Decision.AI_WATERMARKED
    assert any("may be copied" in r for r in verdict.reasons)


def test_a_mark_that_nobody_registered(
    clip: Clip,
    file_factory: Callable[..., Path],
    tmp_path: Path,
    look: Callable[..., Verdict],
    done: Published,
) -> None:
    verdict = look(file_factory(tmp_path / "a.mp4", marked_frames(clip, A_MARK)))
    assert verdict.evidence.watermark.payload == f"{A_MARK:016x}"
    assert verdict.evidence.recovery.state == "unavailable"
    assert verdict.decision is Decision.AI_WATERMARKED


def test_a_strangers_credential_around_our_picture_is_a_conflict(
    done: Published, tmp_path: Path, module_settings: Settings, look: Callable[..., Verdict]
) -> None:
    """The pixels are ours, stripped; someone wraps them in a valid credential that does not mention us."""
    from sorakit.provenance.keys import load_identity  # noqa: PLC0415
    from sorakit.provenance.manifest import ManifestSpec, build_manifest  # noqa: PLC0415
    from sorakit.provenance.sign import sign  # noqa: PLC0415

    stripped = remux(done.path, tmp_path / "stripped.mp4")
    create_dev_identity(tmp_path / "stranger")
    spec = ManifestSpec("mine.mp4", "generated", "id-of-a-stranger")
    signed = tmp_path / "mine.mp4"
    sign(stripped, signed, build_manifest(spec), load_identity(tmp_path / "stranger"))
    verdict = look(signed)
    assert verdict.decision is Decision.CONFLICT, verdict.reasons
    assert verdict.evidence.recovery.manifest_id == done.manifest_id
    root = dev_anchor(tmp_path / "stranger")
    assert root is not None
    trusting = check(signed, trust=Trust(claims=(root.decode(),)), settings=module_settings)
    assert trusting.evidence.provenance.state == "trusted"
    assert trusting.decision is Decision.CONFLICT


def test_a_foreign_editor_who_names_the_source_is_no_conflict(
    done: Published, tmp_path: Path, look: Callable[..., Verdict]
) -> None:
    """Another signer opens our published file and says so: the mark leads to the named ingredient."""
    from sorakit.provenance.keys import load_identity  # noqa: PLC0415
    from sorakit.provenance.manifest import ManifestSpec, build_manifest  # noqa: PLC0415
    from sorakit.provenance.sign import sign  # noqa: PLC0415

    create_dev_identity(tmp_path / "editor")
    signed = tmp_path / "edited.mp4"
    sign(
        remux(done.path, tmp_path / "stripped.mp4"),
        signed,
        build_manifest(ManifestSpec("edited.mp4", "marked", "id-of-an-editor")),
        load_identity(tmp_path / "editor"),
        parent=done.path,
    )
    verdict = look(signed)
    assert verdict.evidence.recovery.manifest_id == done.manifest_id
    assert verdict.decision is Decision.AI_RECOVERED, verdict.reasons


def test_two_marks_of_one_registry_do_not_mix(
    done: Published, clip_factory: Callable[..., Clip], tmp_path: Path, module_settings: Settings,
    look: Callable[..., Verdict],
) -> None:  # fmt: skip
    other = publish(clip_factory(seed=22), tmp_path / "b.mp4", settings=module_settings)
    assert other.payload != done.payload
    for published in (other, done):
        verdict = look(remux(published.path, tmp_path / f"{published.payload}.mp4"))
        assert verdict.evidence.recovery.manifest_id == published.manifest_id


# files that have nothing to do with the kit


def test_never_marked(
    clip: Clip, file_factory: Callable[..., Path], tmp_path: Path, look: Callable[..., Verdict]
) -> None:
    verdict = look(file_factory(tmp_path / "a.mp4", clip, sound=True))
    assert verdict.decision is Decision.NO_EVIDENCE
    assert verdict.evidence.watermark.log10_p == 0
    assert len(verdict.reasons) == 1


def test_a_real_clip(bikes: Path, look: Callable[..., Verdict]) -> None:
    assert look(bikes).decision is Decision.NO_EVIDENCE


@pytest.mark.parametrize(
    ("name", "state", "decision"),
    [
        ("video1_no_manifest.mp4", "none", Decision.NO_EVIDENCE),
        ("video1.mp4", "valid_untrusted", None),
        ("C.jpg", "valid_untrusted", None),
        ("CA.jpg", "valid_untrusted", None),
        ("XCA.jpg", "tampered", Decision.TAMPERED),
        ("E-sig-CA.jpg", "tampered", Decision.TAMPERED),
    ],
)
def test_public_c2pa_files(
    name: str, state: str, decision: Decision | None, shared_data: Path, look: Callable[..., Verdict]
) -> None:
    verdict = look(shared_data / "c2pa" / name)
    assert verdict.evidence.provenance.state == state, verdict
    assert not verdict.evidence.watermark.found
    if decision is not None:
        assert verdict.decision is decision
    else:
        assert verdict.decision in (Decision.NO_EVIDENCE, Decision.LIKELY_AI)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mkv", "libx264"), ("a.webm", "libvpx"), ("a.avi", "mpeg4"), ("a.ts", "libx264"), ("a.gif", "gif")],
)
def test_other_containers(
    name: str, codec: str, way: Any, file_factory: Callable[..., Path], look: Callable[..., Verdict]
) -> None:
    kind = {"pix_fmt": "rgb8"} if codec == "gif" else {}
    verdict = look(file_factory(way.tmp / name, way.clip(seconds=1), codec=codec, **kind))
    assert verdict.decision is Decision.NO_EVIDENCE, verdict.reasons


@pytest.mark.parametrize(
    "name", ["missing.mp4", "a\0b.mp4", "x" * 5000 + ".mp4"], ids=["missing", "NUL", "long"]
)
def test_names_that_lead_nowhere(name: str, look: Callable[..., Verdict]) -> None:
    verdict = look(Path(name))
    assert verdict.decision is Decision.ERROR
    assert verdict.evidence.sha256 is None


def test_the_json_line_survives_a_round_trip(done: Published, look: Callable[..., Verdict]) -> None:
    line = look(done.path).to_json()
    assert json.loads(json.dumps(line)) == line
    assert line["watermark"]["payload"] == done.payload
    assert line["watermark"]["log10_p"] < -9
    assert line["provenance"]["manifest_id"] == done.manifest_id
    assert line["elapsed_ms"] > 0


def test_checking_changes_nothing(
    done: Published, module_settings: Settings, look: Callable[..., Verdict]
) -> None:
    before = done.path.read_bytes()
    with Registry(module_settings.database_url) as registry:
        head = registry.audit_head()
    look(done.path)
    with Registry(module_settings.database_url) as registry:
        assert registry.audit_head() == head
    assert done.path.read_bytes() == before
