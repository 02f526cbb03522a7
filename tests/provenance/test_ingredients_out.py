"""What a video was made from goes into its manifest: pictures, the clip it goes on from, components."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from c2pa import Reader

from sorakit.errors import InputError, ProvenanceError
from sorakit.provenance.context import safe_context
from sorakit.provenance.disclosure import LABEL, ai_disclosure, check_disclosure, model_identifier
from sorakit.provenance.manifest import IPTC, ManifestSpec, build_manifest
from sorakit.types import Decision, Generation, Ingredient, SourceType


def manifest_of(path):
    with safe_context() as context, Reader(path, context=context) as reader:
        return reader.get_active_manifest()


def data_of(manifest, label):
    return next(a["data"] for a in manifest["assertions"] if a["label"].startswith(label))


def picture(path, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)
    cv2.imwrite(str(path), pixels)
    return path


def test_a_first_picture_is_an_input_of_what_was_created(way):
    source = Ingredient(picture(way.tmp / "grandma-at-home.png"), title="first picture")
    done = way.publish(replace(way.clip(seconds=1), ingredients=(source,)))
    manifest = manifest_of(done.path)
    (ingredient,) = manifest["ingredients"]
    assert (ingredient["relationship"], ingredient["title"]) == ("inputTo", "first picture")
    first = data_of(manifest, "c2pa.actions")["actions"][0]
    assert (first["action"], first["digitalSourceType"]) == ("c2pa.created", IPTC + SourceType.GENERATED)
    assert "c2pa.ingredient" in json.dumps(first["parameters"])
    assert "grandma" not in json.dumps(manifest)
    verdict = way.check(done.path)
    assert verdict.decision is Decision.AI_DECLARED
    assert verdict.evidence.provenance.state == "valid_untrusted"


def test_a_picture_brings_its_own_credential(way, shared_data):
    source = Ingredient(shared_data / "c2pa" / "C.jpg", title="first picture")
    done = way.publish(replace(way.clip(seconds=1), ingredients=(source,)))
    (found,) = way.check(done.path).evidence.provenance.ingredients
    assert (found["relationship"], found["state"]) == ("inputTo", "valid_untrusted")
    assert found["manifest_id"]


def test_an_extension_has_its_source_for_a_parent(way):
    first = way.publish(way.clip(seconds=1), "a.mp4")
    source = Ingredient(first.path, "parentOf", "source video")
    done = way.publish(replace(way.clip(8, seconds=2), ingredients=(source,)), "b.mp4")
    found = way.check(done.path).evidence.provenance
    assert found.actions[:2] == ["c2pa.opened", "c2pa.edited"]
    assert found.digital_source_type == "compositeWithTrainedAlgorithmicMedia"
    (parent,) = found.ingredients
    assert (parent["relationship"], parent["manifest_id"]) == ("parentOf", first.manifest_id)
    assert parent["state"] == "valid_untrusted"


def test_marking_takes_further_files(way):
    part = Ingredient(picture(way.tmp / "x.jpg"), "componentOf")
    done = way.publish(way.file(seconds=1), source_type=SourceType.COMPOSITE, ingredients=[part])
    found = way.check(done.path).evidence.provenance
    assert [i["relationship"] for i in found.ingredients] == ["parentOf", "componentOf"]
    assert "c2pa.placed" in found.actions
    other = way.publish(way.file(9, seconds=1), "b.mp4", ingredients=[replace(part, relationship="inputTo")])
    assert way.check(other.path).evidence.provenance.state == "valid_untrusted"


def test_what_cannot_be_an_ingredient(way):
    text = way.tmp / "a.txt"
    text.write_text("hello")
    with pytest.raises(InputError):
        way.publish(way.clip(seconds=1), ingredients=[Ingredient(text)])
    parents = (Ingredient(text, "parentOf"), Ingredient(text, "parentOf"))
    with pytest.raises(ProvenanceError, match="one parent"):
        build_manifest(ManifestSpec("a.mp4", "generated", "id", ingredients=parents))
    with pytest.raises(ProvenanceError, match="one parent"):
        build_manifest(ManifestSpec("a.mp4", "marked", "id", ingredients=parents[:1]))
    way.assert_nothing_left()


# training and disclosure


@pytest.mark.parametrize("use", ["allowed", "notAllowed", "constrained"])
def test_training_is_a_choice(use):
    info = "see the licence" if use == "constrained" else None
    manifest = build_manifest(ManifestSpec("a.mp4", "generated", "id", training=use, training_info=info))
    entries = data_of(manifest, "cawg.training-mining")["entries"]
    assert len(entries) == 4
    assert {e["use"] for e in entries.values()} == {use}
    assert {e.get("constraint_info") for e in entries.values()} == {info}
    if use != "constrained":
        with pytest.raises(ProvenanceError, match="constrained"):
            build_manifest(ManifestSpec("a.mp4", "generated", "id", training=use, training_info="x"))


def test_the_model_is_disclosed_and_signed(way):
    clip = replace(way.clip(seconds=1), generation=Generation("owner/model", "1.2", prompt="p"))
    settings = way.settings.model_copy(update={"training": "allowed"})
    manifest = manifest_of(way.publish(clip, settings=settings).path)
    assert data_of(manifest, LABEL) == {
        "modelType": "c2pa.types.model.pytorch",
        "modelName": "owner/model",
        "modelIdentifier": "pkg:huggingface/owner/model@1.2",
        "contentProfile": {"humanOversightLevel": "prompt_guided"},
    }
    entries = data_of(manifest, "cawg.training-mining")["entries"]
    assert entries["cawg.ai_training"]["use"] == "allowed"


def test_only_ai_is_disclosed_as_ai():
    composite = ManifestSpec("a.mp4", "marked", "id", source_type=SourceType.COMPOSITE)
    assert LABEL not in {a["label"] for a in build_manifest(composite)["assertions"]}
    edited = ManifestSpec("a.mp4", "marked", "id", source_type=SourceType.EDITED, oversight="human_validated")
    said = data_of(build_manifest(edited), LABEL)
    assert said == {
        "modelType": "c2pa.types.model",
        "contentProfile": {"humanOversightLevel": "human_validated"},
    }


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"modelType": "generative"},
        {"modelType": "c2pa.types.model", "modelName": ""},
        {"modelType": "c2pa.types.model", "modelIdentifier": 3},
        {"modelType": "c2pa.types.model", "contentProfile": {"humanOversightLevel": "some"}},
        {"modelType": "c2pa.types.model", "contentProfile": "human_validated"},
        {"modelType": "c2pa.types.model", "owner": "me"},
    ],
)
def test_disclosures_that_the_schema_does_not_know(data):
    with pytest.raises(ProvenanceError):
        check_disclosure(data)


def test_model_identifiers_are_package_urls():
    assert model_identifier("a b", "unknown") == "pkg:generic/a%20b"
    assert ai_disclosure("c2pa.types.model.onnx")["data"] == {"modelType": "c2pa.types.model.onnx"}
