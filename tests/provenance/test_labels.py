"""Which labels are planned, declared and read back; whose `AIGC` label stays."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorakit.errors import UsageError
from sorakit.provenance.labels import aigc_label, parse_schemes, plan_labels, read_aigc, read_declared
from sorakit.types import SourceType

THEIRS = {"Label": "2", "ContentProducer": "制作者", "ProduceID": "p-1", "ReservedCode1": "r"}


def test_names_of_laws() -> None:
    assert parse_schemes(" CN,eu,eu") == ("eu", "cn")
    assert parse_schemes("") == ()
    with pytest.raises(UsageError, match=r"eu, cn, ca.*mars"):
        parse_schemes("eu,mars")


@pytest.mark.parametrize(
    ("schemes", "kind", "words"),
    [
        ("", SourceType.GENERATED, []),
        ("ca", SourceType.GENERATED, []),
        ("eu", SourceType.GENERATED, ["AI GENERATED"]),
        ("eu,cn,ca", SourceType.GENERATED, ["AI GENERATED", "AI生成"]),
        ("ca-visible,cn", SourceType.EDITED, ["AI MODIFIED", "AI合成"]),
    ],
)
def test_what_is_said(schemes: str, kind: SourceType, words: list[str]) -> None:
    plan = plan_labels(schemes, kind)
    said = plan.assertion(60.0)
    if not schemes:
        assert said is None
        assert plan.tags({}) == {}
        return
    assert said is not None
    assert [v["text"] for v in said["visible"]] == words
    assert plan.tags({})["description"].startswith("This video was")
    assert plan.tags({"Description": "mine"}) == {}
    assert read_declared(json.loads(json.dumps(said))) == said


def test_no_label_stands_longer_than_the_clip() -> None:
    said = plan_labels("eu,cn", SourceType.GENERATED).assertion(1.5)
    assert said is not None
    assert [v["showSeconds"] for v in said["visible"]] == [1.5, 1.5]


def test_anothers_label_stays() -> None:
    """GB 45438-2025, annex E: who passes content on fills the propagator's fields and no other."""
    again = read_aigc(aigc_label("us", "id-2", earlier=THEIRS))
    assert again == THEIRS | {"ContentPropagator": "us", "PropagateID": "id-2", "ReservedCode2": ""}
    fresh = read_aigc(aigc_label("us", "id-2"))
    assert fresh is not None
    assert (fresh["Label"], fresh["ContentProducer"], fresh["ContentPropagator"]) == ("1", "us", "")


@pytest.mark.parametrize("broken", [{"Label": "7", "ContentProducer": "x"}, {"Label": "1"}, {}])
def test_what_is_no_label_is_not_kept(broken: dict[str, str]) -> None:
    found = read_aigc(aigc_label("us", "id-2", earlier=broken))
    assert found is not None
    assert (found["Label"], found["ContentProducer"]) == ("1", "us")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(st.text(max_size=20), inner, max_size=12),
    max_leaves=20,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "schemes": JSON,
            "visible": JSON | st.lists(st.dictionaries(st.sampled_from(["text", "showSeconds"]), JSON)),
            "textAlternative": JSON,
        },
    )
    | JSON
)
def test_foreign_statements_are_bounded(data: object) -> None:
    found = read_declared(data)
    if found is None:
        assert not isinstance(data, dict)
        return
    assert set(found) == {"schemes", "visible", "textAlternative"}
    assert len(json.dumps(found, allow_nan=False)) < 60_000
    assert all(
        text.isprintable() for entry in found["visible"] for text in entry.values() if isinstance(text, str)
    )
