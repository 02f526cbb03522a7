import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sorakit.config import Settings
from sorakit.errors import UsageError
from sorakit.provenance.credential import Credential
from sorakit.provenance.judge import judge
from sorakit.provenance.manifest import IPTC, ManifestSpec, build_manifest
from sorakit.provenance.sign import SigningSession, sign
from sorakit.provenance.store import may_sign_claims, signer_certificate
from sorakit.provenance.trust import Trust, load_trust
from sorakit.provenance.verify import read_credential, read_store

NOBODY = Trust()
SAMPLES = {
    "video1.mp4": "valid_untrusted",
    "video1_no_manifest.mp4": "none",
    "c.mov": "none",
    "test.avi": "none",
    "legacy.mp4": "valid_untrusted",
    "dashinit.mp4": "tampered",
    "C.jpg": "valid_untrusted",
    "CA.jpg": "valid_untrusted",
    "E-sig-CA.jpg": "tampered",
    "XCA.jpg": "tampered",
    "own_expired_leaf_with_timestamp.mp4": "valid_untrusted",
}


def state(path, trust=NOBODY):
    return read_credential(path, trust).provenance.state


def boxes(data):
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at, size
        at += size


@pytest.mark.parametrize(("name", "expected"), SAMPLES.items())
def test_public_samples(shared_data, name, expected):
    assert state(shared_data / "c2pa" / name) == expected


def test_expired_leaf_is_saved_by_a_trusted_time_stamp(shared_data):
    folder = shared_data / "c2pa"
    trust = load_trust(Settings(home=folder / "none"), extra=folder / "own_expired_leaf_roots.pem")
    assert state(folder / "own_expired_leaf_with_timestamp.mp4", trust) == "trusted"


def test_real_lists_load_and_trust_none_of_the_samples(shared_data, tmp_path):
    (tmp_path / "trust").mkdir()
    for path in (shared_data / "c2pa" / "trust-list").glob("*.pem"):
        (tmp_path / "trust" / path.name).write_bytes(path.read_bytes())
    trust = load_trust(Settings(home=tmp_path))
    assert len(trust.claims) >= 10 and len(trust.stamps) >= 2
    assert not set(trust.claims) & set(trust.stamps)
    assert state(shared_data / "c2pa" / "video1.mp4", trust) == "valid_untrusted"


def test_trusted_only_by_those_who_hold_the_root(signed, make_signer):
    assert state(signed.path, Trust(claims=(signed.signer.root,))) == "trusted"
    assert state(signed.path, Trust(claims=(make_signer().root,))) == "valid_untrusted"
    credential = read_credential(signed.path, NOBODY)
    assert credential.provenance.state == "valid_untrusted"
    assert "no root" in credential.provenance.problems[0]
    assert credential.soft_bindings == [("io.github.sorakit.lattice.1", "1f00000000000001")]
    assert Credential.from_json(credential.to_json()) == credential


@pytest.mark.parametrize("box", [b"mdat", b"moov"])
def test_a_flipped_bit_in_the_video_shows(signed, tmp_path, box):
    data = bytearray(signed.path.read_bytes())
    (at, size), *_ = [(a, s) for kind, a, s in boxes(data) if kind == box]
    data[at + size // 2] ^= 1
    (tmp_path / "x.mp4").write_bytes(data)
    found = read_credential(tmp_path / "x.mp4", Trust(claims=(signed.signer.root,))).provenance
    assert found.state == "tampered"
    assert "changed after it was signed" in found.problems[0]


def test_no_flipped_bit_in_the_store_is_trusted_or_changes_what_it_says(signed, tmp_path):
    trust = Trust(claims=(signed.signer.root,))
    whole = read_credential(signed.path, trust).provenance
    assert whole.state == "trusted"
    data, rng, path = signed.path.read_bytes(), np.random.default_rng(0), tmp_path / "x.mp4"
    start, doubted = data.index(signed.store), 0
    for k in rng.choice(len(signed.store), 200, replace=False):
        broken = bytearray(data)
        broken[start + k] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        found = read_credential(path, trust).provenance
        assert found.state != "trusted"
        if found.state == "valid_untrusted":  # padding and boxes around what is signed
            assert "outside of what its signature covers" in found.problems[0]
            doubted += 1
            said = replace(found, state="trusted", problems=[], trust_list=whole.trust_list)
            assert said == whole
    assert 0 < doubted < 100


@pytest.mark.parametrize("at", [8, 12, 20])
def test_a_flipped_bit_in_the_files_type_shows(signed, tmp_path, at):
    data = bytearray(signed.path.read_bytes())
    assert data[4:8] == b"ftyp"
    data[at] ^= 2
    (tmp_path / "x.mp4").write_bytes(data)
    found = read_credential(tmp_path / "x.mp4", Trust(claims=(signed.signer.root,))).provenance
    assert found.state == "tampered"
    assert "ftyp" in found.problems[0]


def test_a_flipped_bit_in_the_header_of_the_c2pa_box_is_not_trusted(signed, tmp_path):
    data = signed.path.read_bytes()
    at = next(a for kind, a, _ in boxes(data) if kind == b"uuid")
    trust = Trust(claims=(signed.signer.root,))
    for k in range(at, data.index(signed.store)):
        broken = bytearray(data)
        broken[k] ^= 1
        (tmp_path / "x.mp4").write_bytes(broken)
        assert state(tmp_path / "x.mp4", trust) != "trusted", k - at


@pytest.mark.parametrize(
    "tail", [struct.pack(">I4s", 8, b"free"), struct.pack(">I4s", 12, b"skip") + b"abcd", b"xxxx"]
)
def test_appended_bytes_show(signed, tmp_path, tail):
    (tmp_path / "x.mp4").write_bytes(signed.path.read_bytes() + tail)
    assert state(tmp_path / "x.mp4", Trust(claims=(signed.signer.root,))) == "tampered"


def test_two_stores_show(signed, tmp_path):
    data = signed.path.read_bytes()
    (at, size), *_ = [(a, s) for kind, a, s in boxes(data) if kind == b"uuid"]
    (tmp_path / "x.mp4").write_bytes(data + data[at : at + size])
    assert state(tmp_path / "x.mp4") == "tampered"


def test_stripped_is_none_and_the_stored_manifest_recovers(signed, tmp_path):
    data = signed.path.read_bytes()
    rest = b"".join(data[a : a + s] for kind, a, s in boxes(data) if kind != b"uuid")
    (tmp_path / "x.mp4").write_bytes(rest)
    assert state(tmp_path / "x.mp4") == "none"
    trust = Trust(claims=(signed.signer.root,))
    stored = read_store(signed.store, trust)
    assert stored.provenance.state == "trusted" and stored.provenance.problems == []
    assert stored.provenance.declares_ai
    embedded = read_credential(signed.path, trust)
    assert (stored.store_sha256, stored.manifest_ids) == (embedded.store_sha256, embedded.manifest_ids)
    broken = bytearray(signed.store)
    broken[signed.store.index(b"c2pa.created") + 3] ^= 1
    assert read_store(bytes(broken), trust).provenance.state == "tampered"
    for junk in (b"", b"junk", signed.store[:100], bytes(1000)):
        assert read_store(junk, trust).provenance.state not in ("trusted", "valid_untrusted")


def test_root_for_time_stamps_signs_no_claims(signed):
    assert state(signed.path, Trust(stamps=(signed.signer.root,))) == "valid_untrusted"


@pytest.mark.parametrize("usage", ["1.3.6.1.5.5.7.3.8", "1.3.6.1.5.5.7.3.9"])
def test_time_stamping_certificate_signs_no_claims_under_a_trusted_root(tmp_path, plain, make_signer, usage):
    signer, out = make_signer(usages=(usage,)), tmp_path / "out.mp4"
    store = sign(plain, out, build_manifest(ManifestSpec("a.mp4", "generated", "id")), signer.identity)
    found = read_credential(out, Trust(claims=(signer.root,))).provenance
    assert found.state == "valid_untrusted"
    assert "not for signing claims" in found.problems[0]
    leaf = signer_certificate(store, str(found.manifest_id))
    assert leaf is not None and not may_sign_claims(leaf)


def test_store_parser_survives_anything(signed):
    label = str(read_store(signed.store, NOBODY).provenance.manifest_id)
    assert may_sign_claims(signer_certificate(signed.store, label))
    assert signer_certificate(signed.store, "urn:c2pa:other") is None
    rng = np.random.default_rng(1)
    for _ in range(300):
        broken = bytearray(signed.store[: rng.integers(len(signed.store))])
        for k in rng.integers(0, max(1, len(broken)), 5):
            broken[k : k + 1] = bytes([rng.integers(256)])
        signer_certificate(bytes(broken), label)


def without_disclosure(spec):
    """A manifest that says nothing of AI but through what the test puts in."""
    manifest = build_manifest(spec)
    kept = [a for a in manifest["assertions"] if not a["label"].startswith("c2pa.ai-disclosure")]
    return manifest | {"assertions": kept}


def capture_of(plain, path, signer):
    manifest = without_disclosure(ManifestSpec("a.mp4", "generated", "id"))
    manifest["assertions"][0]["data"]["actions"][0]["digitalSourceType"] = IPTC + "digitalCapture"
    sign(plain, path, manifest, signer.identity)


def opened_from(parent, path, signer):
    manifest = without_disclosure(ManifestSpec("a.mp4", "marked", "id"))
    del manifest["assertions"][0]["data"]["actions"][0]["digitalSourceType"]
    del manifest["ingredients"][0]["digital_source_type"]
    sign(parent, path, manifest, signer.identity, parent=parent)


def test_capture_counts_only_where_the_cameras_signer_is_trusted(tmp_path, plain, make_signer):
    camera, editor = make_signer("Camera"), make_signer("Editor")
    capture_of(plain, tmp_path / "camera.mp4", camera)
    opened_from(tmp_path / "camera.mp4", tmp_path / "edit.mp4", editor)
    found = read_credential(tmp_path / "edit.mp4", Trust(claims=(editor.root,))).provenance
    assert (found.state, found.declares_capture, found.declares_ai) == ("trusted", False, False)
    assert found.ingredients[0]["state"] == "valid_untrusted"
    found = read_credential(tmp_path / "edit.mp4", Trust(claims=(editor.root, camera.root))).provenance
    assert (found.state, found.declares_capture) == ("trusted", True)


def test_ai_in_an_ingredient_is_seen_unless_that_was_tampered_with(tmp_path, signed, make_signer):
    editor = make_signer("Editor")
    opened_from(signed.path, tmp_path / "edit.mp4", editor)
    found = read_credential(tmp_path / "edit.mp4", Trust(claims=(editor.root,))).provenance
    assert found.declares_ai and not found.declares_capture
    data = bytearray(signed.path.read_bytes())
    data[next(a for kind, a, _ in boxes(data) if kind == b"mdat") + 900] ^= 1
    (tmp_path / "bad.mp4").write_bytes(data)
    opened_from(tmp_path / "bad.mp4", tmp_path / "edit2.mp4", editor)
    found = read_credential(tmp_path / "edit2.mp4", Trust(claims=(editor.root,))).provenance
    assert (found.state, found.declares_ai) == ("trusted", False)
    assert found.ingredients[0]["state"] == "tampered"
    assert any(p.startswith("ingredient: ") for p in found.problems)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_images_are_read(tmp_path, kind):
    path = tmp_path / "image.bin"  # the name does not count
    Image.new("RGB", (64, 48), (200, 30, 30)).save(path, kind)
    assert state(path) == "none"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "error"),
        (b"plain text", "error"),
        (b"\x1aE\xdf\xa3" + bytes(100), "none"),
        (b"DKIF" + bytes(100), "none"),
        (b"YUV4MPEG2 W64 H48 F25:1\n" + bytes(100), "none"),
        ((bytes(4) + b"G" + bytes(187)) * 4, "none"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isom" + b"\xff" * 200, "error"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "error"),
    ],
)
def test_broken_and_foreign_files(tmp_path, content, expected):
    (tmp_path / "x.mp4").write_bytes(content)
    assert state(tmp_path / "x.mp4") == expected


def test_trust_lists_that_cannot_be_read(tmp_path, settings):
    (tmp_path / "list.pem").write_text("no certificates")
    for path in (tmp_path / "list.pem", tmp_path / "missing.pem"):
        with pytest.raises(UsageError, match="trust anchors"):
            load_trust(settings, extra=path)
    with pytest.raises(UsageError, match="development identity"):
        load_trust(Settings(home=tmp_path / "empty"), dev=True)


def test_development_root_counts_only_when_asked_for(settings):
    assert load_trust(settings).claims == ()
    trust = load_trust(settings, dev=True)
    assert trust.claims == trust.development and len(trust.claims) == 1
    assert Trust.from_json(trust.to_json()) == trust


def test_text_from_the_file_is_cleaned(tmp_path, plain, make_signer):
    manifest = build_manifest(ManifestSpec("a.mp4", "generated", "id"))
    manifest["claim_generator_info"][0]["name"] = "evil\x1b[31m\n" + "x" * 5000
    sign(plain, tmp_path / "out.mp4", manifest, make_signer().identity)
    found = read_credential(tmp_path / "out.mp4", NOBODY).provenance
    assert found.claim_generator is not None
    assert found.claim_generator.isprintable() and len(found.claim_generator) < 700


def claimed(actions, *more, templates=()):
    """A manifest of these actions and further assertions, all attested."""
    data = {"actions": actions} | ({"templates": list(templates)} if templates else {})
    told = [{"label": "c2pa.actions.v2", "created": True, "data": data}, *more]
    return {"claim_generator_info": [{"name": "x"}], "title": "a.mp4", "assertions": told}


CAPTURED = {"action": "c2pa.created", "digitalSourceType": IPTC + "digitalCapture"}
AI_EDIT = {"action": "c2pa.edited", "digitalSourceType": IPTC + "compositeWithTrainedAlgorithmicMedia"}
DISCLOSURE = {"label": "c2pa.ai-disclosure", "created": True, "data": {"modelType": "c2pa.types.model"}}


@pytest.mark.parametrize(
    "manifest",
    [
        claimed([CAPTURED, *[{"action": "c2pa.edited"}] * 250, AI_EDIT]),
        claimed(
            [CAPTURED],
            *({"label": f"com.example.n{i}", "created": True, "data": {"n": i}} for i in range(250)),
            DISCLOSURE,
        ),
        claimed([CAPTURED, {"action": "c2pa.edited"}], templates=[AI_EDIT]),
        claimed([CAPTURED, {"action": "c2pa.edited"}], templates=[AI_EDIT | {"action": "*"}]),
    ],
    ids=["after 250 actions", "after 250 assertions", "in a template", "in a template for all"],
)
def test_ai_is_seen_wherever_it_is_declared(tmp_path, plain, make_signer, manifest):
    signer = make_signer()
    sign(plain, tmp_path / "out.mp4", manifest, signer.identity)
    found = read_credential(tmp_path / "out.mp4", Trust(claims=(signer.root,))).provenance
    assert (found.state, found.declares_ai) == ("trusted", True)
    assert len(found.actions) <= 200


def test_a_capture_with_ingredients_that_are_not_read_is_none(tmp_path, plain, make_signer, monkeypatch):
    monkeypatch.setattr("sorakit.provenance.ingredients.MAX_INGREDIENTS", 1)
    camera, editor = make_signer("Camera"), make_signer("Editor")
    capture_of(plain, tmp_path / "camera.mp4", camera)
    manifest = claimed([{"action": "c2pa.opened", "parameters": {"ingredientIds": ["a"]}}])
    told = {"title": "it", "relationship": "parentOf", "instance_id": "a", "label": "a"}
    trust = Trust(claims=(camera.root, editor.root))
    for more, capture in (
        ([], True),
        ([told | {"relationship": "inputTo", "instance_id": "b", "label": "b"}], False),
    ):
        manifest["ingredients"] = [told, *more]
        with SigningSession(editor.identity) as session:
            files = [tmp_path / "camera.mp4", *[plain] * len(more)]
            session.sign(plain, tmp_path / "edit.mp4", manifest, ingredients=files)
        found = read_credential(tmp_path / "edit.mp4", trust).provenance
        assert (found.state, found.declares_capture) == ("trusted", capture)
        assert any("more ingredients" in p for p in found.problems) is not capture


def test_a_change_to_any_ingredient_shows_however_many_there_are():
    changed = {"validationDeltas": {"failure": [{"code": "assertion.hashedURI.mismatch"}]}}
    for before in (0, 250):
        results = {
            "activeManifest": {"success": [{"code": "claimSignature.validated"}]},
            "ingredientDeltas": [*[{"validationDeltas": {}}] * before, changed],
        }
        assert judge({"validation_results": results}, b"", stored=True).state == "tampered"
