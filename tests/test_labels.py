"""Labels on their way through the door: drawn, declared, logged, read back, and others' kept."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sorakit.errors import UsageError
from sorakit.registry.repo import Registry
from sorakit.video.probe import probe

THEIRS = {"Label": "1", "ContentProducer": "someone else", "ProduceID": "7", "ReservedCode1": "code"}


def events(way: Any, name: str) -> list[dict[str, Any]]:
    with Registry(way.settings.database_url) as registry:
        return [e for e in registry.audit_events() if e["event"] == name]


def test_a_labelled_clip_says_what_was_drawn(way: Any) -> None:
    done = way.publish(way.clip(), labels="eu,cn,ca")
    labels = way.check(done.path).evidence.labels
    assert labels.visible is True
    assert labels.declared["schemes"] == ["eu", "cn", "ca"]
    assert [v["text"] for v in labels.declared["visible"]] == ["AI GENERATED", "AI生成"]
    (logged,) = events(way, "labelled")
    assert logged["subject"] == done.manifest_id
    assert json.loads(logged["details"])["schemes"] == ["eu", "cn", "ca"]
    assert "artificial intelligence" in probe(done.path).metadata["description"]


def test_the_setting_labels_and_without_it_nothing_is_drawn(way: Any) -> None:
    settings = way.settings.model_copy(update={"labels": "ca", "provider": "Example Studio"})
    done = way.publish(way.file(5), settings=settings)
    labels = way.check(done.path).evidence.labels
    assert (labels.visible, labels.declared["schemes"]) == (False, ["ca"])
    assert labels.aigc["ContentProducer"] == "Example Studio"
    assert way.check(done.path).evidence.provenance.generation["provider"] == "Example Studio"


def test_an_unknown_law_is_refused_before_any_work(way: Any) -> None:
    with pytest.raises(UsageError, match="mars"):
        way.publish(way.clip(), labels="mars")
    way.assert_nothing_left()


def test_anothers_aigc_label_is_kept(way: Any, tmp_path: Path, file_factory: Callable[..., Path]) -> None:
    tags = {"AIGC": json.dumps(THEIRS)}
    source = file_factory(tmp_path / "in.mp4", way.clip(6), metadata=tags)
    done = way.publish(source)
    labels = way.check(done.path).evidence.labels
    ours = {"ContentPropagator": "sorakit", "PropagateID": labels.aigc["PropagateID"]}
    assert labels.aigc == THEIRS | ours | {"ReservedCode2": ""}
    assert labels.aigc["PropagateID"]
    assert any("AIGC label" in note for note in done.notes)
