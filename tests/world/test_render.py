import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorakit.errors import LimitError, UsageError
from sorakit.world.caption import parse
from sorakit.world.dataset import with_other_looks
from sorakit.world.render import render
from sorakit.world.scene import COLOURS, MOTIONS, SHAPES, SIZES, Scene, Shot, Space, Sprite, sample_scene

SPACE = Space(sizes=tuple(SIZES), two=0.5, camera=0.5, cut=0.3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(8, 20), st.integers(16, 48), st.integers(16, 48))
def test_any_size_draws_and_repeats(seed: int, frames: int, height: int, width: int) -> None:
    scene = sample_scene(np.random.default_rng(seed), SPACE)
    first = render(scene, seed, frames, height, width)
    again = render(scene, seed, frames, height, width)
    assert first.frames.shape == (frames, height, width, 3)
    np.testing.assert_array_equal(first.frames, again.frames)
    for track in first.tracks:
        assert track.mask.shape[1:] == (height, width)
        assert len(track.centre) == len(track.radius) == len(track.mask)
        assert track.mask.max() > 0.9  # never out of the frame


def test_other_seeds_draw_other_clips() -> None:
    scene = parse("a big red circle bounces on a navy background")
    assert (render(scene, 1).frames != render(scene, 2).frames).any()


@pytest.mark.parametrize("motion", MOTIONS)
def test_the_truth_is_what_is_drawn(motion: str) -> None:
    scene = Scene((Shot((Sprite("big", "white", "circle", motion),), "black"),))
    out = render(scene, 3, height=64, width=64)
    (track,) = out.tracks
    light = out.frames.mean(-1) / 255
    mass = (light - light[0, 0, 0]) / (np.mean(COLOURS["white"]) - light[0, 0, 0])
    np.testing.assert_allclose(mass, track.mask, atol=0.02)
    y, x = np.mgrid[0:64, 0:64] + 0.5
    centroid = np.stack([(track.mask * g).sum((1, 2)) / track.mask.sum((1, 2)) for g in (x, y)], 1) / 64
    np.testing.assert_allclose(centroid, track.centre, atol=0.003)
    np.testing.assert_allclose(track.mask.sum((1, 2)), np.pi * (64 * track.radius) ** 2, rtol=0.02)


def test_a_bounce_is_an_exact_parabola() -> None:
    scene = parse("a small cyan square bounces on a black background")
    y = render(scene, 5, frames=201).tracks[0].centre[:, 1].astype(float)
    second = np.diff(y, 2)
    smooth = second[np.abs(second) < 10 * np.median(np.abs(second))]  # all but the two impacts
    np.testing.assert_allclose(smooth, np.median(smooth), atol=2e-6)
    assert np.median(smooth) > 0  # gravity points down
    assert len(second) - len(smooth) in range(1, 7)


@pytest.mark.parametrize("shape", SHAPES)
def test_another_shape_keeps_the_tracks(shape: str) -> None:
    scene = parse(f"a small red {shape} orbits and a big cyan cross bounces on a gray background")
    other = with_other_looks(scene, np.random.default_rng(0))
    assert all(
        a.shape != b.shape for a, b in zip(scene.shots[0].sprites, other.shots[0].sprites, strict=True)
    )
    one, two = render(scene, 9), render(other, 9)
    for a, b in zip(one.tracks, two.tracks, strict=True):
        np.testing.assert_array_equal(a.centre, b.centre)
        np.testing.assert_array_equal(a.radius, b.radius)
    covered = np.max([t.mask for t in (*one.tracks, *two.tracks)], axis=0) > 0
    np.testing.assert_array_equal(one.frames[~covered], two.frames[~covered])
    assert (one.frames != two.frames).any()


def test_later_sprites_lie_in_front() -> None:
    hits = 0
    for seed in range(20):
        scene = parse("a big red circle moves right and a small cyan circle moves left on a black background")
        out = render(scene, seed)
        back, front = out.tracks
        both = (back.mask == 1) & (front.mask == 1)
        hits += both.sum()
        assert (out.frames[both] == out.frames[front.mask == 1][0]).all()
        assert (front.depth, back.depth) == (1, 0)
    assert hits > 0


def test_a_cut_changes_the_shot() -> None:
    first = "a big red circle bounces on a navy background"
    scene = parse(f"{first}, cut to a big red circle moves left on a gray background")
    out = render(scene, 1)
    assert out.cuts == (0, 8)
    assert [t.first for t in out.tracks] == [0, 8]
    assert abs(out.frames[8].astype(int) - out.frames[7]).mean() > 20


def test_bounds_are_kept() -> None:
    scene = parse("a big red circle bounces on a navy background")
    with pytest.raises(UsageError, match="4 frames"):
        render(scene, 0, frames=3)
    with pytest.raises(UsageError, match="16 px"):
        render(scene, 0, height=8)
    with pytest.raises(LimitError):
        render(scene, 0, frames=10_000, height=4096, width=4096)
