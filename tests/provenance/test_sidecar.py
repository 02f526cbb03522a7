"""WebM and Matroska: the credential stands beside the file; both appear, or none."""

from pathlib import Path

import av
import pytest

from sorakit.errors import LimitError, UnsupportedError, UsageError
from sorakit.provenance import sidecar
from sorakit.provenance.sidecar import find_sidecar, read_sidecar, sidecar_of
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import read_credential
from sorakit.types import Decision


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as box:
        return [bytes(p) for p in box.demux(box.streams.audio[0]) if p.size]


@pytest.mark.parametrize(("name", "codec", "sound"), [("a.mkv", "h264", "aac"), ("a.webm", "vp9", "libopus")])
def test_a_file_leaves_with_its_credential_beside_it(way, file_factory, name, codec, sound):
    source = file_factory(way.tmp / f"in{Path(name).suffix}", way.clip(), sound=True, sound_codec=sound,
                          codec="libvpx-vp9" if codec == "vp9" else "libx264")  # fmt: skip
    done = way.publish(source, name)
    assert sorted(p.name for p in way.out.iterdir()) == ["a.c2pa", name]
    verdict = way.check(done.path)
    assert verdict.decision is Decision.AI_DECLARED, verdict.reasons
    assert verdict.evidence.provenance.state == "valid_untrusted"
    assert verdict.evidence.watermark.payload == done.payload
    assert verdict.evidence.labels.aigc["Label"] == "1"
    assert packets(source) == packets(done.path)
    with av.open(str(done.path)) as box:
        assert box.streams.video[0].codec_context.name == codec


def test_sound_that_webm_does_not_hold_is_said(way):
    with pytest.raises(UnsupportedError, match="Opus"):
        way.publish(way.file(sound=True), "a.webm")
    way.assert_nothing_left()


@pytest.fixture(scope="module")
def pair(tmp_path_factory, clip_factory, module_settings):
    """A published WebM."""
    from sorakit.publish import publish  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("pair")
    return publish(clip_factory(seconds=1), folder / "a.webm", settings=module_settings).path


@pytest.mark.parametrize("what", ["video", "credential", "longer", "junk"])
def test_changes_to_either_file_are_seen(tmp_path, pair, what):
    video, store = bytearray(pair.read_bytes()), bytearray(sidecar_of(pair).read_bytes())
    target = video if what == "video" else store
    if what == "longer":
        store += bytes(4)
    elif what == "junk":
        store[:] = b"junk"
    else:
        target[len(target) // 2] ^= 1
    (tmp_path / "a.webm").write_bytes(video)
    (tmp_path / "a.c2pa").write_bytes(store)
    assert read_credential(tmp_path / "a.webm", Trust()).provenance.state == "tampered"


def test_without_its_credential_it_has_none(tmp_path, pair):
    (tmp_path / "a.webm").write_bytes(pair.read_bytes())
    assert read_credential(tmp_path / "a.webm", Trust()).provenance.state == "none"
    (tmp_path / "a.webm.c2pa").write_bytes(sidecar_of(pair).read_bytes())
    assert read_credential(tmp_path / "a.webm", Trust()).provenance.state == "valid_untrusted"


def test_names_and_size_are_bounded(tmp_path, monkeypatch):
    video = tmp_path / "a.mkv"
    video.write_bytes(b"")
    assert read_sidecar(video) is None
    assert find_sidecar(tmp_path / "a.c2pa") is None
    (tmp_path / "a.c2pa").write_bytes(b"12345")
    monkeypatch.setattr(sidecar, "MAX_SIDECAR", 4)
    with pytest.raises(LimitError, match="too large"):
        read_sidecar(video)


def test_a_credential_that_stands_there_is_not_replaced_unasked(way):
    (way.out / "a.c2pa").write_bytes(b"old")
    with pytest.raises(UsageError, match=r"a\.c2pa exists"):
        way.publish(way.clip(seconds=1), "a.webm")
    way.assert_nothing_left(but="a.c2pa")
    done = way.publish(way.clip(seconds=1), "a.webm", overwrite=True)
    assert read_credential(done.path, Trust()).provenance.state == "valid_untrusted"


def test_the_inputs_own_credential_is_never_replaced(way, file_factory):
    source = file_factory(way.out / "a.mkv", way.clip(seconds=1))
    (way.out / "a.c2pa").write_bytes(b"old")
    with pytest.raises(UsageError, match="input's credential"):
        way.publish(source, "a.webm", overwrite=True)
    assert (way.out / "a.c2pa").read_bytes() == b"old"


@pytest.mark.parametrize("overwrite", [True, False])
def test_both_or_none_when_the_rename_fails(way, overwrite):
    """Something else takes the video's name at the last moment: a folder, which nothing replaces."""

    def appear(step, _):
        if step == "rename":
            (way.out / "a.webm").mkdir()

    if overwrite:
        (way.out / "a.c2pa").write_bytes(b"old")
    with pytest.raises(Exception, match=r"a\.webm"):
        way.publish(way.clip(seconds=1), "a.webm", overwrite=overwrite, progress=appear)
    left = {p.name: p.is_file() and p.read_bytes() for p in way.out.iterdir()}
    assert left == {"a.webm": False} | ({"a.c2pa": b"old"} if overwrite else {})
    assert way.rows() == []
