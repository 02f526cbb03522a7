"""The middle of a wide frame has the pixels of the whole one, and costs less."""

from itertools import islice

import av
import numpy as np
import pytest

from sorakit.video._cut import Middle
from sorakit.video._open import decode, open_video
from sorakit.video.convert import frame_to_rgb, rgb_to_frame
from sorakit.video.roundtrip import compress


def square_of(picture):
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


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
        part, size = middle.of(frame, (width, height))
        assert height + 32 <= part.width < width
        assert size == (part.width, height)
        assert np.array_equal(square_of(frame_to_rgb(part)), square_of(frame_to_rgb(frame)))


def test_one_stream_may_change_its_size(frames):
    middle = Middle()
    wide, wider = frames(256, 144), frames(314, 96)
    for frame in (wide[0], wider[0], wide[1]):
        part, _ = middle.of(frame, (frame.width, frame.height))
        assert np.array_equal(square_of(frame_to_rgb(part)), square_of(frame_to_rgb(frame)))


@pytest.mark.parametrize(
    ("width", "height", "kind"),
    [
        (64, 64, "yuv420p"),
        (200, 150, "yuv420p"),
        (301, 90, "yuv420p"),
        (300, 90, "bgra"),
    ],
)
def test_a_frame_that_is_not_worth_it_passes_whole(width, height, kind):
    frame = av.VideoFrame(width, height, kind)
    part, size = Middle().of(frame, (width, height))
    assert part is frame
    assert size == (width, height)


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(768, 432, (512, 288)), (1280, 720, (853, 480)), (480, 854, (270, 480)), (720, 1280, (480, 853))],
)
def test_a_shrunk_middle_is_that_of_the_whole_to_a_tenth_of_a_pixel(width, height, size):
    y, x = np.mgrid[:height, :width]
    waves = 128 + 60 * np.sin(2 * np.pi * x / 32) + 60 * np.sin(2 * np.pi * y / 32)
    frame = rgb_to_frame(np.repeat(waves[..., None].astype(np.uint8), 3, 2))
    part, smaller = Middle().of(frame, size)
    assert part.width * part.height < 0.85 * width * height
    shrunk, whole = square_of(frame_to_rgb(part, smaller)), square_of(frame_to_rgb(frame, size))
    tenth = 60 * 2 * np.pi / 32 * (width / size[0]) / 10  # what a tenth of a pixel moves the steepest place
    assert np.abs(shrunk.astype(int) - whole).max() <= tenth + 1


def test_a_tall_frame_that_names_no_matrix_keeps_the_one_of_its_height():
    rng = np.random.default_rng(0)
    picture = np.repeat(rng.integers(0, 256, (1, 1, 3)), 480 * 854, 0).reshape(854, 480, 3).astype(np.uint8)
    frame = rgb_to_frame(picture)
    frame.colorspace = 2
    part, size = Middle().of(frame, (270, 480))
    assert part.height < frame.height
    assert np.array_equal(square_of(frame_to_rgb(part, size)), square_of(frame_to_rgb(frame, (270, 480))))
