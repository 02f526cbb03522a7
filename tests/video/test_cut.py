"""The middle of a wide frame has the pixels of the whole one, and costs less."""

from itertools import islice

import av
import numpy as np
import pytest

from sorakit.video._cut import Middle
from sorakit.video._open import decode, open_video
from sorakit.video.convert import frame_to_rgb
from sorakit.video.roundtrip import compress


def square_of(picture):
    height, width = picture.shape[:2]
    left = (width - height) // 2
    return picture[:, left : left + height]


@pytest.fixture
def frames(tmp_path):
    """Decoded frames of a file, of noise, so that each chroma sample counts."""

    def make(width, height):
        rng = np.random.default_rng(width)
        path = tmp_path / f"{width}.mp4"
        path.write_bytes(compress(rng.integers(0, 256, (3, height, width, 3)).astype(np.uint8), crf=4))
        with open_video(path, threads=1) as (container, stream):
            return list(islice(decode(container, stream), 3))

    return make


@pytest.mark.parametrize(("width", "height"), [(256, 144), (426, 240), (314, 96)])
def test_the_middle_has_the_pixels_of_the_whole(frames, width, height):
    middle = Middle()
    for frame in frames(width, height):
        part = middle.of(frame)
        assert height + 32 <= part.width < width
        assert np.array_equal(square_of(frame_to_rgb(part)), square_of(frame_to_rgb(frame)))


def test_one_stream_may_change_its_size(frames):
    middle = Middle()
    wide, wider = frames(256, 144), frames(314, 96)
    for frame in (wide[0], wider[0], wide[1]):
        part = middle.of(frame)
        assert np.array_equal(square_of(frame_to_rgb(part)), square_of(frame_to_rgb(frame)))


@pytest.mark.parametrize(
    ("width", "height", "kind"),
    [
        (64, 64, "yuv420p"),
        (96, 200, "yuv420p"),
        (200, 150, "yuv420p"),
        (301, 90, "yuv420p"),
        (300, 90, "bgra"),
    ],
)
def test_a_frame_that_is_not_worth_it_passes_whole(width, height, kind):
    frame = av.VideoFrame(width, height, kind)
    assert Middle().of(frame) is frame
