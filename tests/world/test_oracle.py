from dataclasses import replace

import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.world.caption import parse
from sorakit.world.oracle import FACTS, mean_scores, read, score
from sorakit.world.render import render
from sorakit.world.scene import MOTIONS, SHAPES, SIZES, Scene, Space, sample_scene

ONE = Space(sizes=tuple(SIZES), two=0.0, camera=0.3)
TWO = Space(two=1.0, camera=0.3)
CUT = Space(two=0.3, camera=0.3, cut=1.0)


def truth(space: Space, count: int, seed: int, **size: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    scenes = [sample_scene(rng, space) for _ in range(count)]
    return mean_scores((render(s, seed + i, **size).frames for i, s in enumerate(scenes)), scenes)


@pytest.mark.parametrize(
    ("space", "count", "size"),
    [
        (ONE, 200, {}),
        (TWO, 200, {}),
        (CUT, 60, {}),
        (replace(TWO, two=0.5), 40, {"frames": 24, "height": 32, "width": 48}),
    ],
    ids=["one", "two", "cut", "wide"],
)
def test_the_truth_is_read_back(space: Space, count: int, size: dict[str, int]) -> None:
    scores = truth(space, count, seed=70_000, **size)
    assert {f: scores[f] for f in FACTS if scores[f] < 0.98} == {}
    assert scores["iou"] > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("space", [ONE, replace(TWO, two=0.5)], ids=["one", "mixed"])
def test_every_fact_of_the_truth_is_read_back(space: Space) -> None:
    scores = truth(space, 500, seed=80_000)
    assert {f: scores[f] for f in FACTS if scores[f] < 0.99} == {}


def test_noise_scores_nothing() -> None:
    rng = np.random.default_rng(0)
    scenes = [sample_scene(rng, ONE) for _ in range(30)]
    uniform = (rng.integers(0, 256, (16, 32, 32, 3)).astype(np.uint8) for _ in scenes)
    assert max(mean_scores(uniform, scenes).values()) == 0
    dark = (np.clip(rng.normal(60, 50, (16, 32, 32, 3)), 0, 255).astype(np.uint8) for _ in scenes)
    assert max(mean_scores(dark, scenes).values()) == 0


def test_an_empty_backdrop_scores_nothing() -> None:
    scene = parse("a big red circle bounces on a navy background")
    clip = np.broadcast_to(np.array([18, 20, 87], np.uint8), (16, 32, 32, 3)).copy()
    assert max(score(clip, scene).values()) == 0


@pytest.mark.parametrize("fact", ["colour", "shape", "size", "motion", "background"])
def test_one_wrong_word_costs_its_fact_alone(fact: str) -> None:
    shown = parse("a big red circle bounces on a navy background")
    other = {
        "colour": "a big cyan circle bounces on a navy background",
        "shape": "a big red cross bounces on a navy background",
        "size": "a small red circle bounces on a navy background",
        "motion": "a big red circle moves left on a navy background",
        "background": "a big red circle bounces on a gray background",
    }[fact]
    scores = score(render(shown, 4).frames, parse(other))
    assert scores[fact] == 0
    assert scores["all_facts"] == 0
    if fact != "colour":  # the sprite is looked up by its colour
        assert {f for f in FACTS if scores[f] < 1} == {fact}


def test_a_second_sprite_and_a_cut_are_noticed() -> None:
    two = parse("a big red circle moves left and a small cyan cross bounces on a navy background")
    one = Scene((replace(two.shots[0], sprites=two.shots[0].sprites[:1]),))
    assert score(render(two, 2).frames, one)["count"] == 0
    assert score(render(one, 2).frames, two)["count"] == 0
    assert score(render(one, 2).frames, two)["colour"] == 0.5
    cut = Scene((one.shots[0], replace(one.shots[0], background="gray")))
    assert score(render(cut, 2).frames, one)["cut"] == 0
    assert score(render(one, 2).frames, cut)["cut"] == 0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_the_reading_gives_place_and_radius(shape: str, motion: str) -> None:
    scene = parse(f"a big orange {shape} {motion} on a black background")
    out = render(scene, 6)
    got = read(out.frames).shots[0].sprites["orange"]
    np.testing.assert_allclose(got.centre, out.tracks[0].centre, atol=0.02)
    assert got.iou > 0.9
    final = out.tracks[0].radius[-1] / (1.1 if motion == "grows" else 1)
    assert got.radius == pytest.approx(final, rel=0.05)


def test_blur_keeps_the_facts_and_shuffled_pixels_lose_them() -> None:
    scene = parse("a big red square moves right on a gray background")
    clip = render(scene, 8).frames
    soft = clip.astype(float)
    soft[:, 1:-1, 1:-1] = sum(
        clip[:, 1 + dy : 31 + dy, 1 + dx : 31 + dx].astype(float) for dy in (-1, 0, 1) for dx in (-1, 0, 1)
    ) / 9  # fmt: skip
    assert score(soft.astype(np.uint8), scene)["all_facts"] == 1
    mixed = np.random.default_rng(0).permuted(clip.reshape(16, -1, 3), axis=1).reshape(clip.shape)
    assert score(mixed, scene)["all_facts"] == 0


def test_what_is_no_clip_is_refused() -> None:
    with pytest.raises(UsageError, match="uint8"):
        read(np.zeros((16, 32, 32, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="T ≥ 4"):
        read(np.zeros((2, 32, 32, 3), np.uint8))
    with pytest.raises(UsageError, match="at least one"):
        mean_scores([], [])
