import resource
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
from c2pa import Reader

from sorakit.errors import ProvenanceError, SorakitError, UsageError
from sorakit.provenance.context import safe_context
from sorakit.provenance.keys import create_dev_identity
from sorakit.provenance.manifest import ManifestSpec, build_manifest
from sorakit.provenance.sign import sign
from sorakit.provenance.trust import Trust
from sorakit.provenance.verify import read_credential
from sorakit.types import SourceType

GENERATED = build_manifest(ManifestSpec("a.mp4", "generated", "id"))
MARKED = build_manifest(ManifestSpec("a.mp4", "marked", "id", source_type=SourceType.EDITED))


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov"])
def test_signed_files_are_trusted_by_their_root(tmp_path, plain, make_signer, suffix):
    signer, out = make_signer(), tmp_path / f"out{suffix}"
    jpeg = cv2.imencode(".jpg", np.zeros((90, 160, 3), np.uint8))[1].tobytes()
    store = sign(plain, out, GENERATED, signer.identity, thumbnail=jpeg)
    assert store in out.read_bytes()
    found = read_credential(out, Trust(claims=(signer.root,))).provenance
    assert (found.state, found.problems) == ("trusted", [])
    assert found.declares_ai
    assert found.digital_source_type == "trainedAlgorithmicMedia"
    assert list(tmp_path.iterdir()) == [out]


def test_all_assertions_are_attested_by_the_signer(tmp_path, plain, make_signer):
    sign(plain, tmp_path / "out.mp4", GENERATED, make_signer().identity)
    with safe_context() as context, Reader(tmp_path / "out.mp4", context=context) as reader:
        assertions = reader.get_active_manifest()["assertions"]
    assert len(assertions) >= 4
    assert all(a["created"] for a in assertions)


def test_parent_without_a_manifest_carries_the_source_type(tmp_path, plain, make_signer):
    signer, out = make_signer(), tmp_path / "out.mp4"
    sign(plain, out, MARKED, signer.identity, parent=plain)
    found = read_credential(out, Trust(claims=(signer.root,))).provenance
    assert found.state == "trusted"
    assert found.actions[0] == "c2pa.opened"
    (parent,) = found.ingredients
    assert parent["digital_source_types"] == ["compositeWithTrainedAlgorithmicMedia"]
    assert plain.name not in str(parent)  # the source's file name is its owner's


def test_parents_manifest_is_taken_over(tmp_path, signed, make_signer):
    signer, out = make_signer("Other"), tmp_path / "out.mp4"
    sign(signed.path, out, MARKED, signer.identity, parent=signed.path)
    both = Trust(claims=(signer.root, signed.signer.root))
    found = read_credential(out, both).provenance
    assert found.state == "trusted"
    assert found.ingredients[0]["state"] == "trusted"
    assert found.ingredients[0]["manifest_id"] == read_credential(signed.path, both).provenance.manifest_id


@pytest.mark.parametrize("name", ["x.webm", "x.bin"])
def test_parent_of_any_kind_is_recorded(tmp_path, plain, make_signer, name):
    signer, out, parent = make_signer(), tmp_path / "out.mp4", tmp_path / name
    parent.write_bytes(b"\x1aE\xdf\xa3" + bytes(500))
    sign(plain, out, MARKED, signer.identity, parent=parent)
    assert read_credential(out, Trust(claims=(signer.root,))).provenance.state == "trusted"


def test_a_name_as_long_as_names_get_is_written(tmp_path, plain, make_signer):
    signer = make_signer()
    out = tmp_path / ("视频" * 40 + "片.mp4")  # 247 bytes of 255
    sign(plain, out, build_manifest(ManifestSpec("a.mp4", "generated", "id")), signer.identity)
    assert read_credential(out, Trust(claims=(signer.root,))).provenance.state == "trusted"


def test_src_is_never_dst(tmp_path, plain, make_signer):
    path = tmp_path / "a.mp4"
    path.write_bytes(plain.read_bytes())
    link = tmp_path / "b.mp4"
    link.symlink_to(path)
    for dst in (path, link):
        with pytest.raises(UsageError, match="two files"):
            sign(path, dst, GENERATED, make_signer().identity)
    assert path.read_bytes() == plain.read_bytes()


def broken_identity(make_signer, kind):
    signer, other = make_signer(), make_signer()
    chains = {"other key": other.identity.chain_pem, "ca as leaf": signer.root.encode(), "garbage": b"no pem"}
    return replace(signer.identity, chain_pem=chains[kind])


@pytest.mark.parametrize("kind", ["other key", "ca as leaf", "garbage"])
def test_failure_leaves_nothing(tmp_path, plain, make_signer, kind):
    with pytest.raises(ProvenanceError, match="refused to sign"):
        sign(plain, tmp_path / "out.mp4", GENERATED, broken_identity(make_signer, kind))
    assert list(tmp_path.iterdir()) == []


def test_failure_keeps_what_was_there(tmp_path, plain, make_signer):
    (tmp_path / "out.mp4").write_bytes(b"old")
    with pytest.raises(ProvenanceError):
        sign(plain, tmp_path / "out.mp4", GENERATED, broken_identity(make_signer, "other key"))
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"old"]


def test_bound_watermark_without_its_binding_is_refused(tmp_path, plain, make_signer):
    spec = ManifestSpec("a.mp4", "generated", "id", payload_hex="00", algorithm="a.b.c")
    manifest = build_manifest(spec)
    manifest["assertions"] = [a for a in manifest["assertions"] if "binding" not in a["label"]]
    with pytest.raises(ProvenanceError, match="softBindingMissing"):
        sign(plain, tmp_path / "out.mp4", manifest, make_signer().identity)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "arguments", "message"),
    [
        ("out.avi", {}, "must end in"),
        ("out.webm", {}, "WebM or Matroska"),
        ("out.mp4", {"thumbnail": b"PNG"}, "JPEG"),
        ("out.mp4", {"parent": True}, "go together"),
    ],
)
def test_unusable_arguments(tmp_path, plain, make_signer, *, out, arguments, message):
    if "parent" in arguments:
        arguments = {"parent": plain}
    with pytest.raises(UsageError, match=message):
        sign(plain, tmp_path / out, GENERATED, make_signer().identity, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_text_is_not_signed(tmp_path, make_signer):
    (tmp_path / "a.mp4").write_text("hello")
    with pytest.raises(UsageError, match="MP4 or MOV"):
        sign(tmp_path / "a.mp4", tmp_path / "b.mp4", GENERATED, make_signer().identity)


def limited(bytes_):
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))


def test_full_disk_is_said_and_leaves_nothing(tmp_path, plain):
    script = (
        "import sys, signal\nfrom pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from sorakit.provenance.keys import load_identity\n"
        "from sorakit.provenance.manifest import *\nfrom sorakit.provenance.sign import sign\n"
        "from sorakit.errors import OutputError\n"
        "src, home = map(Path, sys.argv[1:])\n"
        "m = build_manifest(ManifestSpec('a.mp4', 'generated', 'id'))\n"
        "try: sign(src, home / 'out' / 'o.mp4', m, load_identity(home / 'keys'))\n"
        "except OutputError as e: print(e)\n"
    )
    create_dev_identity(tmp_path / "keys")
    (tmp_path / "out").mkdir()
    size = plain.stat().st_size // 2
    done = subprocess.run(
        [sys.executable, "-c", script, plain, tmp_path],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: limited(size),
    )
    assert "free space" in done.stdout, done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_errors_are_the_kits_own():
    assert issubclass(ProvenanceError, SorakitError)
