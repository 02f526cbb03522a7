import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorakit.errors import UsageError
from sorakit.world.caption import EXAMPLE, MAX_TOKENS, VOCABULARY, caption, encode, parse, words
from sorakit.world.scene import SIZES, Space, sample_scene

EVERYTHING = Space(sizes=tuple(SIZES), two=0.5, camera=0.5, cut=0.5)


@given(st.integers(0, 2**32))
def test_parse_is_the_inverse_of_caption(seed: int) -> None:
    scene = sample_scene(np.random.default_rng(seed), EVERYTHING)
    text = caption(scene)
    assert parse(text) == scene
    assert caption(parse(text.upper() + ".")) == text
    assert len(words(text)) <= MAX_TOKENS


@given(st.text(max_size=200))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        scene = parse(text)
    except UsageError:
        return
    assert parse(caption(scene)) == scene


@given(st.lists(st.sampled_from(VOCABULARY[2:]), max_size=30))
def test_any_known_words_parse_or_are_refused(found: list[str]) -> None:
    try:
        scene = parse(" ".join(found))
    except UsageError:
        return
    assert parse(caption(scene)) == scene


def test_the_vocabulary_is_closed_and_ordered() -> None:
    assert len(set(VOCABULARY)) == len(VOCABULARY)
    assert VOCABULARY[:2] == ("<pad>", "<unk>")
    rng = np.random.default_rng(1)
    seen = {w for _ in range(500) for w in words(caption(sample_scene(rng, EVERYTHING)))}
    assert seen == set(VOCABULARY[2:])


def test_an_unknown_word_names_its_neighbours_and_an_example() -> None:
    with pytest.raises(UsageError, match="bounces") as error:
        parse("a big red circle bounced on a navy background")
    assert "bounced" in str(error.value)
    assert EXAMPLE in str(error.value)
    assert error.value.exit_code == 2


def test_a_word_of_like_meaning_is_offered() -> None:
    with pytest.raises(UsageError, match="“purple” \\(nearest: magenta\\), “ball” \\(nearest: circle\\)"):
        parse("a big purple ball bounces on a navy background")


def test_the_example_parses() -> None:
    assert caption(parse(EXAMPLE)) == EXAMPLE


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "“a”"),
        ("a big circle bounces on a navy background", "colour"),
        ("a big red circle on a navy background", "motion"),
        ("a big red circle bounces", "“on a”"),
        ("a big red circle bounces on a navy background a", "the end"),
        ("a big red circle bounces on a navy background, camera pans left", "cannot be seen"),
        ("a big red circle bounces on a striped navy background, camera tilts up", "cannot be seen"),
        ("a big red circle bounces and a small red cross grows on a navy background", "different colours"),
        (f"{EXAMPLE}, cut to {EXAMPLE}", "change the background"),
        ("x" * 5000, "at most 1000 characters"),
        ("<pad> <unk>", "does not know"),
    ],
)
def test_what_is_wrong_is_said(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=re.escape(problem)):
        parse(text)


def test_encode_pads_and_bounds() -> None:
    ids = encode(EXAMPLE, 16)
    assert ids.shape == (16,)
    assert [VOCABULARY[i] for i in ids[ids > 0]] == EXAMPLE.split()
    assert not encode("", 4).any()
    with pytest.raises(UsageError, match="at most 4 words"):
        encode(EXAMPLE, 4)
