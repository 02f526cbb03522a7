from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.world.caption import caption, encode
from sorakit.world.dataset import MAKEUP, Draw, batches, make_batch, with_other_looks
from sorakit.world.scene import CAMERAS, COLOURS, Space, sample_scene

SPACE = Space(two=0.3)
DRAW = Draw(SPACE, 4)


def test_a_batch_depends_on_seed_and_index_alone() -> None:
    stream = list(islice(batches(3, DRAW), 3))
    alone = make_batch(3, 2, DRAW)
    np.testing.assert_array_equal(stream[2].clips, alone.clips)
    assert stream[2].scenes == alone.scenes
    (resumed,) = islice(batches(3, DRAW, first=2), 1)
    np.testing.assert_array_equal(resumed.clips, alone.clips)
    assert (stream[0].clips != stream[1].clips).any()
    assert (make_batch(4, 2, DRAW).clips != alone.clips).any()


def test_workers_share_a_stream() -> None:
    whole = [b.scenes for b in islice(batches(5, replace(DRAW, size=2)), 6)]
    parts = [
        [b.scenes for b in islice(batches(5, replace(DRAW, size=2), first=w, step=2), 3)] for w in (0, 1)
    ]
    assert whole == [scenes for pair in zip(*parts, strict=True) for scenes in pair]


def test_tokens_say_what_the_scene_is() -> None:
    batch = make_batch(0, 0, Draw(Space(two=0.0), 8))
    for scene, tokens in zip(batch.scenes, batch.tokens, strict=True):
        np.testing.assert_array_equal(tokens, encode(caption(scene), 48))


def test_decoys_before_a_plain_backdrop_differ_only_under_the_mask() -> None:
    batch = make_batch(0, 1, Draw(replace(SPACE, textures=("plain",)), 16, decoy=1.0))
    assert (batch.clips != batch.decoys).any(axis=(1, 2, 3, 4)).all()
    clear = batch.masks == 0
    np.testing.assert_array_equal(batch.clips[clear], batch.decoys[clear])
    plain = make_batch(0, 1, Draw(SPACE, 16))
    np.testing.assert_array_equal(plain.clips, plain.decoys)


def test_half_of_the_textured_decoys_have_another_texture_or_camera_move() -> None:
    rng = np.random.default_rng(0)
    space = Space(textures=("striped", "checked", "dotted"), two=0.3, camera=0.5)
    pairs = [
        (s.shots[0], with_other_looks(s, rng).shots[0])
        for s in (sample_scene(rng, space) for _ in range(400))
    ]
    changed = [(a, b) for a, b in pairs if (a.texture, a.camera) != (b.texture, b.camera)]
    assert 0.4 < len(changed) / len(pairs) < 0.6
    assert all(b.texture != "plain" and a.background == b.background for a, b in changed)
    assert {b.camera for _, b in changed} == set(CAMERAS)
    assert all([s.motion for s in a.sprites] == [s.motion for s in b.sprites] for a, b in pairs)


def test_the_mask_covers_every_sprite() -> None:
    batch = make_batch(2, 0, Draw(Space(textures=("plain",), two=0.5), 6))
    backdrop = batch.clips[:, :1, :1, :1]
    far = (np.abs(batch.clips.astype(int) - backdrop).sum(-1) > 20) & (batch.masks == 0)
    corner_free = batch.masks[:, 0, 0, 0] == 0
    assert corner_free.any()
    assert not far[corner_free].any()


def test_shapes_vary_and_cost_the_same() -> None:
    draw = Draw(SPACE, 12, ((16, 32, 32), (24, 32, 32), (16, 32, 48)), (0.4, 0.3, 0.3), given=0.5)
    found = {b.clips.shape[1:4]: len(b.clips) for b in islice(batches(1, draw), 12)}
    assert found == {(16, 32, 32): 12, (24, 32, 32): 8, (16, 32, 48): 8}


def test_the_makeup_says_which_words_each_patch_shows() -> None:
    batch = make_batch(0, 3, Draw(Space(textures=("plain",), two=0.0), 8))
    assert batch.makeup.shape == (8, 64, MAKEUP)
    area = batch.makeup.mean(1)  # (B, MAKEUP): share of the clip under a sprite of each word
    for scene, row in zip(batch.scenes, area, strict=True):
        colour = list(COLOURS).index(scene.shots[0].sprites[0].colour)
        assert row[:8].argmax() == colour
        assert row[colour] == row[:23].max() > 0.02
        assert np.count_nonzero(row) == 4 + 3  # what the sprite is, and what lies behind it
    sprites, backdrops = batch.makeup[..., :23].sum(-1) / 4, batch.makeup[..., 23:].sum(-1) / 3  # (B, N)
    np.testing.assert_allclose(sprites + backdrops, 1, atol=1e-5)
    assert 0.2 < (sprites == 0).mean() < 0.95


def test_given_frames_are_drawn_for_some_clips() -> None:
    given = np.concatenate([make_batch(2, i, Draw(SPACE, 16, given=0.5)).given for i in range(6)])
    assert given.shape == (96, 16)
    assert 0.3 < given.any(1).mean() < 0.7
    assert not given.all(1).any()
    assert not make_batch(2, 0, DRAW).given.any()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"sizes": ()}, "sizes"), ({"textures": ("velvet",)}, "velvet"), ({"cut": 1.5}, "0 to 1")],
)
def test_a_space_without_scenes_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Space(**wrong)
