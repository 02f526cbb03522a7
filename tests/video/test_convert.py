import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Interpolation
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sorakit.errors import UnsupportedError, UsageError
from sorakit.types import FrameGeometry
from sorakit.video import convert
from sorakit.video.convert import (
    array_to_rgb,
    frame_to_rgb,
    has_luma_plane,
    luma_plane,
    luma_to_8bit,
    orient,
    rgb_to_array,
    rgb_to_frame,
    stored_luma,
)

CHART = np.array(
    [
        [r, g, b]
        for r in (0, 64, 128, 192, 255)
        for g in (0, 64, 128, 192, 255)
        for b in (0, 64, 128, 192, 255)
    ],
    np.uint8,
)


@given(arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.just(3))))
def test_rgb_survives_the_way_to_the_model_and_back(frames):
    array = rgb_to_array(frames)
    assert array.dtype == np.float32
    assert array.shape == (3, *frames.shape[:3])
    assert array.min() >= -1
    assert array.max() <= 1
    assert np.array_equal(array_to_rgb(array), frames)


def test_model_values_beyond_the_range_are_clipped_and_nan_is_refused():
    array = np.array([-3.0, 3.0, 0.0], np.float32).reshape(3, 1, 1, 1)
    assert array_to_rgb(array).tolist() == [[[[0, 255, 128]]]]
    array[0] = np.nan
    with pytest.raises(UsageError, match="NaN"):
        array_to_rgb(array)


def test_wrong_shapes_are_refused():
    with pytest.raises(UsageError, match="uint8"):
        rgb_to_array(np.zeros((2, 4, 4, 3), np.float32))
    with pytest.raises(UsageError, match=r"\(3, T, H, W\)"):
        array_to_rgb(np.zeros((2, 4, 4, 3), np.float32))


def noise_frame(pixel_format: str, width: int, height: int) -> av.VideoFrame:
    """A frame whose planes hold every value that fits."""
    rng = np.random.default_rng(width)
    frame = av.VideoFrame(width, height, pixel_format)
    deep = frame.format.components[0].bits > 8
    for plane in frame.planes:
        stored = np.frombuffer(memoryview(plane), "<u2" if deep else np.uint8)
        stored[:] = rng.integers(0, 1 << frame.format.components[0].bits, stored.size)
    return frame


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "nv12", "yuv420p10le", "gray"]
)
@pytest.mark.parametrize(
    ("width", "height", "size", "off"),
    [
        (64, 48, (64, 48), 0),
        (65, 49, (65, 49), 0),
        (1920, 1080, (853, 480), 0),
        (300, 500, (145, 231), 0),
        (200, 100, (99, 49), 0),
        (1280, 720, (480, 270), 1),  # packed rows that come of two are rounded otherwise
        (1280, 720, (853, 480), 1),
    ],
)
def test_rgb_made_by_planes_is_that_of_packed_pixels(pixel_format, width, height, size, off):
    frame = noise_frame(pixel_format, width, height)
    way = Interpolation.BICUBIC if size == (width, height) else Interpolation.AREA
    for matrix in (1, 2, 5):
        frame.colorspace = matrix
        packed = frame.reformat(
            *size,
            "rgb24",
            src_colorspace=convert._matrix_of(frame),
            dst_color_range=ColorRange.JPEG,
            interpolation=way | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT,
        )
        difference = np.abs(frame_to_rgb(frame, size).astype(int) - packed.to_ndarray())
        assert difference.max() <= off
        assert difference.mean() < 0.05


WITH_LUMA = ("yuv420p", "yuvj444p", "yuv420p10le", "nv12", "gray")
WITHOUT = ("rgb24", "bgra", "pal8", "yuyv422", "p010le", "gbrp")


@pytest.mark.parametrize("fmt", WITH_LUMA + WITHOUT)
def test_which_formats_hold_luma_first(fmt):
    yes = fmt in WITH_LUMA
    assert has_luma_plane(fmt) is yes
    frame = av.VideoFrame(34, 18, fmt)
    if yes:
        assert luma_plane(frame).shape == (18, 34)
    else:
        with pytest.raises(UnsupportedError, match="no luma plane"):
            luma_plane(frame)


def test_the_plane_view_skips_line_padding():
    frame = av.VideoFrame(38, 6, "yuv420p")
    assert frame.planes[0].line_size > 38
    luma_plane(frame)[...] = np.arange(38, dtype=np.uint8)
    assert np.array_equal(luma_plane(frame)[5], np.arange(38))


def test_colour_chart_there_and_back_within_two_levels():
    picture = np.repeat(np.repeat(CHART.reshape(5, 25, 3), 8, 0), 8, 1)  # flat patches: chroma is halved
    frame = rgb_to_frame(picture)
    assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1, 1, 1, 1)
    back = frame_to_rgb(frame)
    centres = (slice(3, None, 8), slice(3, None, 8))
    error = np.abs(back[centres].astype(int) - picture[centres].astype(int))
    assert error.max() <= 2


def test_luma_follows_bt709():
    picture = np.repeat(np.repeat(CHART.reshape(5, 25, 3), 8, 0), 8, 1)
    want = 16 + 219 / 255 * (picture.astype(float) @ [0.2126, 0.7152, 0.0722])
    assert np.abs(luma_plane(rgb_to_frame(picture)) - want).max() <= 1
    rgb = av.VideoFrame.from_ndarray(picture, format="rgb24")
    assert np.abs(stored_luma(rgb) - want).max() <= 1.5


def test_untagged_sd_is_bt601_and_hd_is_bt709():
    for height, weights in ((480, (0.299, 0.587, 0.114)), (720, (0.2126, 0.7152, 0.0722))):
        frame = av.VideoFrame(64, height, "yuv420p")
        kr, _, kb = weights
        red = (200, 0, 0)
        luma = np.dot(red, weights)
        values = [16 + luma * 219 / 255, 128 + (0 - luma) / (2 - 2 * kb) * 224 / 255]
        values.append(128 + (200 - luma) / (2 - 2 * kr) * 224 / 255)
        for plane, value in zip(frame.planes, values, strict=True):
            np.frombuffer(plane, np.uint8)[...] = round(value)
        assert np.abs(frame_to_rgb(frame)[9, 9].astype(int) - red).max() <= 3


def test_ten_bits_become_eight():
    assert luma_to_8bit(np.array([[0, 3, 4, 1023]], np.uint16), 10).tolist() == [[0, 0, 1, 255]]


def test_orientation():
    picture = np.zeros((4, 6), np.uint8)
    picture[0, 0] = 255  # the stored top left corner
    for turn, corner in ((0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))):
        shown = orient(picture, FrameGeometry(6, 4, rotation=turn))
        assert shown.shape == ((6, 4) if turn in (90, 270) else (4, 6))
        assert shown[corner] == 255
