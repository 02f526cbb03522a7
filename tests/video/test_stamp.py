"""Labels in the picture: where, when, upright, in every range and depth, and nothing else touched."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from sorakit.errors import UsageError
from sorakit.types import Clip, FrameGeometry
from sorakit.video.lettering import text_mask
from sorakit.video.stamp import BOX, Stamp, Stamper, draw_stamp
from sorakit.video.transcode import transcode
from sorakit.video.write import EncodeSettings, write_clip

EU = Stamp("GENERATED", "AI", "top-right", 0.026, 8, 1.0, 2.0)
CN = Stamp("AI生成", "", "top-left", 0.0515, 13, 1.0)
FAST = EncodeSettings(crf=12, preset="ultrafast")


def frame(width: int, height: int, pix_fmt: str = "yuv420p", fill: int = 100) -> av.VideoFrame:
    out = av.VideoFrame(width, height, pix_fmt)
    for plane in out.planes:
        kind = np.uint16 if "10" in pix_fmt else np.uint8
        np.frombuffer(memoryview(plane), kind)[:] = fill << (2 if "10" in pix_fmt else 0)
    return out


def luma(picture: av.VideoFrame) -> np.ndarray[Any, Any]:
    plane = picture.planes[0]
    kind = np.uint16 if "10" in picture.format.name else np.uint8
    rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)
    return rows[:, : plane.width].copy()


def seen(picture: np.ndarray[Any, Any], stamp: Stamp, expected: tuple[int, int]) -> float:
    """Correlation of what is seen with the label drawn upright at that size."""
    width, height = expected
    box, ink = draw_stamp(stamp, width, height)
    want = 100 * (1 - box / 255 * BOX)
    want = want * (1 - ink / 255) + 235 * (ink / 255)
    got = cv2.resize(picture.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    inside = box > 0
    if got[inside].std() < 1:
        return 0.0
    return float(np.corrcoef(want[inside], got[inside])[0, 1])


@pytest.mark.parametrize("size", [(256, 256), (256, 900), (320, 256), (1280, 720), (720, 1280), (1920, 1080)])
def test_letters_are_high_enough_and_both_labels_fit(size: tuple[int, int]) -> None:
    """GB 45438-2025: no lower than 5 % of the shorter side; here even the capitals are."""
    assert text_mask("A", max(13, 0.0515 * min(size)) / 0.733).shape[0] >= 0.05 * min(size)
    boxes = [draw_stamp(s, *size)[0] for s in (EU, CN)]
    assert not (boxes[0].astype(bool) & boxes[1].astype(bool)).any()
    rows, columns = np.nonzero(boxes[0])
    assert rows.max() < size[1] / 4
    assert columns.min() > size[0] / 4
    assert size[0] - columns.max() < 0.05 * size[0] + 8


def test_contrast_is_enough_over_any_picture() -> None:
    """WCAG 2.2, 1.4.6: 7:1 between the words and the box, over white as over black."""

    def luminance(level: float) -> float:
        return float(((level + 0.055) / 1.055) ** 2.4 if level > 0.04045 else level / 12.92)

    for under in (0.0, 0.5, 1.0):
        assert 1.05 / (luminance(under * (1 - BOX)) + 0.05) >= 7


def test_a_label_stands_when_it_should() -> None:
    assert [EU.shown(t / 2) for t in range(10)] == [True, True, False, False] * 2 + [True, True]
    assert [CN.shown(t / 2) for t in range(6)] == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("pix_fmt", "full", "levels"),
    [
        ("yuv420p", False, (16, 235)),
        ("yuvj420p", True, (0, 255)),
        ("yuv420p10le", False, (64, 940)),
        ("yuv420p10le", True, (0, 1023)),
    ],
)
def test_levels_follow_depth_and_range(pix_fmt: str, full: bool, levels: tuple[int, int]) -> None:
    deep = "10" in pix_fmt
    g = FrameGeometry(320, 256, bit_depth=10 if deep else 8, full_range=full)
    picture = Stamper((EU,), g)(frame(320, 256, pix_fmt), 0.0)
    box, ink = draw_stamp(EU, 320, 256)
    y, ground = luma(picture), 100 * (4 if deep else 1)
    assert abs(int(y[ink == 255].min()) - levels[1]) <= 1
    solid = (box == 255) & (ink == 0)
    assert abs(float(y[solid].mean()) - (levels[0] * BOX + ground * (1 - BOX))) < 1
    assert (y[box == 0] == ground).sum() >= (box == 0).sum()
    u = picture.planes[1]
    kind = np.uint16 if deep else np.uint8
    chroma = np.frombuffer(memoryview(u), kind).reshape(u.height, -1)[:, : u.width]
    white = cv2.resize(ink, (160, 128), interpolation=cv2.INTER_AREA) == 255
    assert np.abs(chroma[white].astype(int) - 128 * (4 if deep else 1)).max() <= 1


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_upright_in_turned_frames(rotation: int) -> None:
    g = FrameGeometry(400, 256, rotation=rotation)
    y = luma(Stamper((EU,), g)(frame(400, 256), 0.0))
    assert seen(np.rot90(y, -(rotation // 90)), EU, g.display_size) > 0.99


def test_upright_in_mirrored_frames() -> None:
    """A display matrix that mirrors: x' = -x."""
    matrix = (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    y = luma(Stamper((EU,), FrameGeometry(400, 256), matrix)(frame(400, 256), 0.0))
    assert seen(y[:, ::-1], EU, (400, 256)) > 0.99
    assert seen(y, EU, (400, 256)) < 0.9


@pytest.mark.parametrize("sar", [Fraction(3, 2), Fraction(1, 2)])
def test_letters_keep_their_shape_in_oblong_pixels(sar: Fraction) -> None:
    g = FrameGeometry(600, 300, sar=sar)
    assert seen(luma(Stamper((EU,), g)(frame(600, 300), 0.0)), EU, g.display_size) > 0.95


def test_the_given_frame_is_untouched_outside_its_time() -> None:
    stamper, picture = Stamper((EU, CN), FrameGeometry(320, 256)), frame(320, 256)
    assert (luma(stamper(picture, 1.5)) == 100).all()


def test_no_room_is_said() -> None:
    with pytest.raises(UsageError, match=r"60×60 px has no room.*GENERATED"):
        draw_stamp(EU, 60, 60)


def stills(path: Path) -> list[np.ndarray[Any, Any]]:
    with av.open(str(path)) as box:
        return [luma(f) for f in box.decode(video=0)]


def corner(y: np.ndarray[Any, Any]) -> float:
    """Correlation with the label in the top right corner of a 320×256 frame."""
    return seen(y, EU, (320, 256))


def flat(seconds: float = 3.0) -> Clip:
    return Clip(np.full((round(8 * seconds), 256, 320, 3), 97, np.uint8), Fraction(8))


def test_clips_bear_it_in_the_frames_concerned_and_the_filter_sees_it(tmp_path: Path) -> None:
    given: list[np.ndarray[Any, Any]] = []

    def watch(y: Any) -> Any:
        given.append(y.copy())
        return y

    write_clip(flat(), tmp_path / "a.mp4", luma=watch, settings=FAST, stamps=(EU,))
    for pictures in (given, stills(tmp_path / "a.mp4")):
        bears = [corner(y) > 0.95 for y in pictures[:24]]
        assert bears == [True] * 8 + [False] * 8 + [True] * 8


def test_files_bear_it_upright_whatever_their_turn(tmp_path: Path, file_factory: Callable[..., Path]) -> None:
    source = file_factory(tmp_path / "in.mp4", flat(2.5), rotation=90, options={"preset": "ultrafast"})
    transcode(source, tmp_path / "out.mp4", settings=FAST, stamps=(EU,))
    pictures = [np.rot90(y, -1) for y in stills(tmp_path / "out.mp4")]
    bears = [seen(y, EU, (256, 320)) > 0.95 for y in pictures]
    assert bears == [True] * 8 + [False] * 8 + [True] * 4
