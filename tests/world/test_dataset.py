from itertools import islice

import numpy as np

from sorakit.world.caption import caption, encode
from sorakit.world.dataset import batches, make_batch
from sorakit.world.scene import Space

SPACE = Space(two=0.3)


def test_a_batch_depends_on_seed_and_index_alone() -> None:
    stream = list(islice(batches(3, 4, SPACE), 3))
    alone = make_batch(3, 2, 4, SPACE)
    np.testing.assert_array_equal(stream[2].clips, alone.clips)
    assert stream[2].scenes == alone.scenes
    (resumed,) = islice(batches(3, 4, SPACE, first=2), 1)
    np.testing.assert_array_equal(resumed.clips, alone.clips)
    assert (stream[0].clips != stream[1].clips).any()
    assert (make_batch(4, 2, 4, SPACE).clips != alone.clips).any()


def test_workers_share_a_stream() -> None:
    whole = [b.scenes for b in islice(batches(5, 2, SPACE), 6)]
    parts = [[b.scenes for b in islice(batches(5, 2, SPACE, first=w, step=2), 3)] for w in (0, 1)]
    assert whole == [scenes for pair in zip(*parts, strict=True) for scenes in pair]


def test_tokens_say_what_the_scene_is() -> None:
    batch = make_batch(0, 0, 8, Space(two=0.0))
    for scene, tokens in zip(batch.scenes, batch.tokens, strict=True):
        np.testing.assert_array_equal(tokens, encode(caption(scene), 48))


def test_decoys_differ_only_under_the_mask() -> None:
    batch = make_batch(0, 1, 16, SPACE, decoy=1.0)
    assert (batch.clips != batch.decoys).any(axis=(1, 2, 3, 4)).all()
    clear = batch.masks == 0
    np.testing.assert_array_equal(batch.clips[clear], batch.decoys[clear])
    plain = make_batch(0, 1, 16, SPACE, decoy=0.0)
    np.testing.assert_array_equal(plain.clips, plain.decoys)


def test_the_mask_covers_every_sprite() -> None:
    batch = make_batch(2, 0, 6, Space(textures=("plain",), two=0.5))
    backdrop = batch.clips[:, :1, :1, :1]
    far = (np.abs(batch.clips.astype(int) - backdrop).sum(-1) > 20) & (batch.masks == 0)
    corner_free = batch.masks[:, 0, 0, 0] == 0
    assert corner_free.any()
    assert not far[corner_free].any()
