"""All conversions of pictures: arrays, model tensors, codec planes. Nothing else in the kit converts.

In and out: `uint8 (T, H, W, 3)` RGB frames, `float32 (C, T, H, W)` model arrays in [-1, 1], PyAV frames and
their planes as numpy views. Matrices follow ITU-R BT.709-6 and BT.601-7 and are applied by swscale.
"""

import re
from typing import cast

import av
import av.video.reformatter as sws
import cv2
import numpy as np
import numpy.typing as npt
from av.video.plane import VideoPlane

from sorakit.errors import UnsupportedError, UsageError
from sorakit.types import FrameGeometry, Luma, Rgb

__all__ = [
    "array_to_rgb",
    "frame_to_rgb",
    "frame_to_rgba",
    "has_luma_plane",
    "luma_plane",
    "luma_to_8bit",
    "orient",
    "resize",
    "rgb_to_array",
    "rgb_to_frame",
    "stored_luma",
    "tag_bt709",
]

_PLANAR = re.compile(r"(yuva?j?4\d\dp|nv1[26]|nv2[14]|gray)(9|10|12|14|16)?(le)?")
_QUALITY = sws.Interpolation.BICUBIC | sws.Interpolation.ACCURATE_RND | sws.Interpolation.FULL_CHR_H_INT
_UNSPECIFIED = 2
_SD_HEIGHT = 576


def rgb_to_array(frames: Rgb) -> npt.NDArray[np.float32]:
    """`uint8 (T, H, W, 3)` to `float32 (3, T, H, W)` in [-1, 1], contiguous.

    >>> rgb_to_array(np.full((1, 2, 2, 3), 255, np.uint8)).max()
    np.float32(1.0)
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        raise UsageError(f"`frames` must be uint8 (T, H, W, 3), got {frames.dtype} {frames.shape}")
    moved = frames.transpose(3, 0, 1, 2).astype(np.float32, order="C")  # (3, T, H, W)
    moved *= np.float32(2 / 255)
    moved -= np.float32(1)
    return moved


def array_to_rgb(array: npt.NDArray[np.float32]) -> Rgb:
    """`float32 (3, T, H, W)` to `uint8 (T, H, W, 3)`: rounded, values beyond [-1, 1] clipped, NaN refused.

    >>> array_to_rgb(np.zeros((3, 1, 2, 2), np.float32)).shape
    (1, 2, 2, 3)
    """
    if array.ndim != 4 or array.shape[0] != 3:
        raise UsageError(f"`array` must be float (3, T, H, W), got {array.dtype} {array.shape}")
    if not np.isfinite(array).all():
        raise UsageError("`array` holds NaN or infinity; the sampler that made it has diverged")
    scaled = np.rint((array.astype(np.float32) + 1) * np.float32(127.5))
    return np.ascontiguousarray(scaled.clip(0, 255).astype(np.uint8).transpose(1, 2, 3, 0))


def has_luma_plane(pixel_format: str) -> bool:
    """Whether plane 0 of this FFmpeg pixel format is luma and nothing else.

    >>> has_luma_plane("yuv420p10le"), has_luma_plane("rgb24")
    (True, False)
    """
    return _PLANAR.fullmatch(pixel_format) is not None


def luma_plane(frame: av.VideoFrame) -> Luma:
    """Plane 0 as a view of the frame's memory, `(H, W)`: `uint8`, or `uint16` above 8 bits.

    The view must not be written to unless `frame.make_writable()` was called: decoders predict from it.
    Raises `UnsupportedError` when the format has no such plane.
    """
    if not has_luma_plane(frame.format.name):
        raise UnsupportedError(f"pixel format {frame.format.name} has no luma plane; convert it first")
    plane = frame.planes[0]
    dtype = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    stride = abs(plane.line_size) // np.dtype(dtype).itemsize
    rows = np.frombuffer(memoryview(plane), dtype).reshape(frame.height, stride)[:, : frame.width]
    return cast(Luma, rows[::-1] if plane.line_size < 0 else rows)


def stored_luma(frame: av.VideoFrame) -> Luma:
    """The frame's luma as stored; RGB and palette frames are brought to BT.709 limited range first."""
    if not has_luma_plane(frame.format.name):
        frame = frame.reformat(
            format="yuv420p",
            dst_colorspace=sws.Colorspace.ITU709,
            dst_color_range=sws.ColorRange.MPEG,
            interpolation=_QUALITY,
        )
    return luma_plane(frame)


def luma_to_8bit(luma: Luma, bits: int) -> npt.NDArray[np.uint8]:
    """Drop the bits below the upper eight; 8-bit planes pass through."""
    if luma.dtype == np.uint8:
        return cast("npt.NDArray[np.uint8]", luma)
    return (luma >> (bits - 8)).astype(np.uint8)


def resize(picture: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    """Resize `(H, W)` or `(H, W, C)`: area averaging down, bicubic up."""
    if picture.shape[1] == width and picture.shape[0] == height:
        return picture
    down = width * height < picture.shape[0] * picture.shape[1]
    how = cv2.INTER_AREA if down else cv2.INTER_CUBIC
    return cast("npt.NDArray[np.uint8]", cv2.resize(picture, (width, height), interpolation=how))


def orient(picture: npt.NDArray[np.uint8], geometry: FrameGeometry) -> npt.NDArray[np.uint8]:
    """A stored picture, `(H, W)` or `(H, W, C)`, as a viewer sees it: square pixels, then turned."""
    if geometry.sar != 1:
        wide = max(1, round(geometry.width * geometry.sar))
        scale = picture.shape[1] / geometry.width  # the picture may have been made smaller already
        picture = resize(picture, max(1, round(wide * scale)), picture.shape[0])
    return np.ascontiguousarray(np.rot90(picture, -(geometry.rotation // 90)))


def frame_to_rgb(
    frame: av.VideoFrame, size: tuple[int, int] | None = None, *, by: sws.VideoReformatter | None = None
) -> npt.NDArray[np.uint8]:
    """A decoded frame as stored, `uint8 (H, W, 3)` full-range RGB, at `size` = (width, height) if given.

    The frame's own matrix and range apply. Where it names no matrix, SD (up to 576 lines) is taken as
    BT.601 and the rest as BT.709, as players do. `by`: keeps its tables from frame to frame and works on one
    thread, which makes the frames of one clip cheaper.
    """
    width, height = size or (frame.width, frame.height)
    smaller = width * height < frame.width * frame.height
    name = frame.format.name
    by_plane = has_luma_plane(name) and not name.startswith("gray")  # costs a third of a packed picture
    rgb = (by or sws.VideoReformatter()).reformat(
        frame,
        width=width,
        height=height,
        format="gbrp" if by_plane else "rgb24",
        src_colorspace=_matrix_of(frame),
        dst_color_range=sws.ColorRange.JPEG,
        interpolation=(sws.Interpolation.AREA | sws.Interpolation.ACCURATE_RND) if smaller else _QUALITY,
        threads=1 if by else 0,
    )
    if by_plane:
        g, b, r = (_bytes_of(plane, width) for plane in rgb.planes)
        return cast("npt.NDArray[np.uint8]", cv2.merge((r, g, b)))
    return np.ascontiguousarray(_bytes_of(rgb.planes[0], width * 3)).reshape(height, width, 3)


def _bytes_of(plane: VideoPlane, wide: int) -> npt.NDArray[np.uint8]:
    """The rows of a plane without their padding, `(H, wide)`, as a view."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, abs(plane.line_size))[:, :wide]


def frame_to_rgba(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """As `frame_to_rgb`, `uint8 (H, W, 4)` with the frame's alpha (255 where it has none)."""
    rgba = frame.reformat(
        format="rgba",
        src_colorspace=_matrix_of(frame),
        dst_color_range=sws.ColorRange.JPEG,
        interpolation=_QUALITY,
    )
    return cast("npt.NDArray[np.uint8]", rgba.to_ndarray())


def _matrix_of(frame: av.VideoFrame) -> int | None:
    """Swscale's matrix for frames that name none; None lets it take the frame's own."""
    if frame.colorspace != _UNSPECIFIED:
        return None
    return int(sws.Colorspace.ITU601 if frame.height <= _SD_HEIGHT else sws.Colorspace.ITU709)


def rgb_to_frame(picture: npt.NDArray[np.uint8], pixel_format: str = "yuv420p") -> av.VideoFrame:
    """`uint8 (H, W, 3)` RGB to a BT.709 limited-range frame, tagged so."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    out = frame.reformat(
        format=pixel_format,
        src_color_range=sws.ColorRange.JPEG,
        dst_colorspace=sws.Colorspace.ITU709,
        dst_color_range=sws.ColorRange.MPEG,
        interpolation=_QUALITY,
    )
    tag_bt709(out)
    return out


def tag_bt709(frame: av.VideoFrame) -> None:
    """Name the frame's colours BT.709, limited range."""
    frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range = 1, 1, 1, 1
