import json
from datetime import UTC, datetime

import pytest

from sorakit.errors import ProvenanceError
from sorakit.provenance.manifest import GENERATION_LABEL, IPTC, ManifestSpec, build_manifest
from sorakit.provenance.softbinding import fingerprint_binding, parse_soft_bindings, soft_binding
from sorakit.types import Generation, SourceType

ALGORITHM, PAYLOAD = "io.github.sorakit.lattice.1", "1f00000000000001"


def data_of(manifest, label):
    return next(a["data"] for a in manifest["assertions"] if a["label"] == label)


def test_generated_says_created_by_a_model_and_watermarked():
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    spec = ManifestSpec("a.mp4", "generated", "id", payload_hex=PAYLOAD, algorithm=ALGORITHM, when=when)
    manifest = build_manifest(spec)
    created, marked = data_of(manifest, "c2pa.actions.v2")["actions"]
    assert created["action"] == "c2pa.created"
    assert created["digitalSourceType"] == IPTC + "trainedAlgorithmicMedia"
    assert created["when"] == "2026-01-02T03:04:05Z"
    assert marked["action"] == "c2pa.watermarked.bound"
    assert all(a["created"] is True for a in manifest["assertions"])
    assert parse_soft_bindings(manifest["assertions"]) == [(ALGORITHM, PAYLOAD)]
    assert "ingredients" not in manifest


def test_the_fingerprint_is_a_second_soft_binding():
    seen = ("io.github.sorakit.fingerprint.1", "AAEC" * 1200)
    spec = ManifestSpec(
        "a.mp4", "generated", "id", payload_hex=PAYLOAD, algorithm=ALGORITHM, fingerprint=seen
    )
    assert parse_soft_bindings(build_manifest(spec)["assertions"]) == [(ALGORITHM, PAYLOAD), seen]
    for bad in ("not base64", "", "AAEC" * 5000):
        with pytest.raises(ProvenanceError):
            fingerprint_binding(seen[0], bad)


@pytest.mark.parametrize("source", list(SourceType))
def test_marked_opens_its_parent_with_the_declared_source_type(source):
    manifest = build_manifest(ManifestSpec("a.mp4", "marked", "id", source_type=source))
    first = data_of(manifest, "c2pa.actions.v2")["actions"][0]
    assert (first["action"], first["digitalSourceType"]) == ("c2pa.opened", IPTC + source)
    (parent,) = manifest["ingredients"]
    assert parent["relationship"] == "parentOf"
    assert first["parameters"]["ingredientIds"] == [parent["instance_id"]]
    assert "watermarked" not in json.dumps(manifest)


def test_prompt_stays_private_unless_disclosed():
    inner = {"prompt_2": "secret words", "scale": 5}
    parameters = {"steps": 20, "negative_prompt": "secret words", "big": 2**70, "calls": [{"first": inner}]}
    generation = Generation("m", "1", prompt="secret words", seed=2**64, parameters=parameters)
    spec = ManifestSpec("a.mp4", "generated", "id", generation=generation, prompt_digest="hmac-sha256:00")
    assert "secret" not in json.dumps(build_manifest(spec))
    kept = data_of(build_manifest(spec), GENERATION_LABEL)["parameters"]
    assert kept["calls"] == [{"first": {"scale": 5}}]
    open_spec = ManifestSpec("a.mp4", "generated", "id", generation=generation, disclose_prompt=True)
    data = data_of(build_manifest(open_spec), GENERATION_LABEL)
    assert data["prompt"] == "secret words"
    assert data["seed"] == str(2**64)
    assert data["parameters"]["big"] == str(2**70)


def test_latent_disclosure_of_sb_942_is_complete():
    data = data_of(build_manifest(ManifestSpec("a.mp4", "generated", "id-7")), GENERATION_LABEL)
    assert data["provider"] and data["system"]["name"] and data["system"]["version"] and data["time"]
    assert data["uniqueId"] == "id-7"


@pytest.mark.parametrize("bad", [float("nan"), object(), b"bytes", [[[[[[[[1]]]]]]]]])
def test_parameters_that_are_no_json_are_refused(bad):
    generation = Generation("m", "1", parameters={"x": bad})
    with pytest.raises(ProvenanceError, match=r"generation\.parameters"):
        build_manifest(ManifestSpec("a.mp4", "generated", "id", generation=generation))


def test_parts_must_fit_together():
    with pytest.raises(ProvenanceError, match="together"):
        build_manifest(ManifestSpec("a.mp4", "generated", "id", payload_hex=PAYLOAD))
    with pytest.raises(ProvenanceError, match="time zone"):
        build_manifest(ManifestSpec("a.mp4", "generated", "id", when=datetime(2026, 1, 1)))
    with pytest.raises(ProvenanceError, match="reverse-DNS"):
        soft_binding("lattice", PAYLOAD)
    with pytest.raises(ProvenanceError, match="hex"):
        soft_binding(ALGORITHM, "XYZ")


@pytest.mark.parametrize(
    "data",
    [None, [], {"alg": 3, "blocks": []}, {"alg": "a.b.c", "blocks": [None, {"value": 5}]}, {"alg": "a.b.c"}],
)
def test_foreign_soft_bindings_are_taken_with_care(data):
    assert parse_soft_bindings([{"label": "c2pa.soft-binding", "data": data}, None, "x"]) == []


def test_foreign_soft_bindings_are_bounded():
    many = [{"value": "00"}] * 1000
    assertion = {"label": "c2pa.soft-binding__2", "data": {"alg": "a.b.c", "blocks": many}}
    assert len(parse_soft_bindings([assertion] * 1000)) == 64
