"""Read frames from any video or image file, streaming and bounded: one frame in memory at a time.

In: a path. Out: (seconds, picture) in display orientation with square pixels: luma `uint8 (H, W)`, or RGB
`uint8 (H, W, 3)`, or a `Clip`. Luma is the stored code value (limited range stays 16–235, full stays 0–255),
straight from the decoded plane, so that what a watermark wrote is what its reader sees.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sorakit.errors import LimitError, UsageError
from sorakit.types import Clip
from sorakit.video._sample import Sampled, sample
from sorakit.video.convert import frame_to_rgb, luma_to_8bit, orient, stored_luma
from sorakit.video.probe import probe

__all__ = ["Luma8", "read_clip", "read_luma", "read_rgb"]

Luma8 = npt.NDArray[np.uint8]

_CLIP_BYTES = 2 << 30


def read_luma(
    path: str | Path,
    *,
    max_frames: int | None = None,
    threads: int = 0,
    apart: Callable[[], float] = lambda: 0.0,
) -> Iterator[tuple[float, Luma8]]:
    """Yield (seconds, luma), `uint8 (H, W)`, turned and with square pixels as a viewer sees it.

    With `max_frames`, that many at most, spread evenly: short files are decoded through, long ones sought,
    so the cost does not grow with the length. 10-bit video is reduced to 8; RGB and GIF become BT.709 luma.
    Broken frames are passed over. `threads`: decoder threads, 0 for one a core. `apart`: asked on the way
    through a long file how many seconds at least the frames that follow should lie apart.

    Raises `InputError`, `NotAVideoError` (nothing decodes), `UnsupportedError`, `LimitError`.

    >>> [round(t, 2) for t, luma in read_luma("clip.mp4", max_frames=4)]  # doctest: +SKIP
    [0.5, 1.5, 2.5, 3.5]
    """
    for item in sample(path, max_frames, threads=threads, apart=apart):
        luma = luma_to_8bit(stored_luma(item.frame), item.frame.format.components[0].bits)
        yield item.seconds, orient(luma, item.geometry)


def read_rgb(
    path: str | Path, *, max_frames: int | None = None, max_side: int | None = None, threads: int = 0
) -> Iterator[tuple[float, npt.NDArray[np.uint8]]]:
    """Yield (seconds, RGB), full-range `uint8 (H, W, 3)`, turned and with square pixels.

    The file's own matrix and range apply; without tags BT.601 up to 576 lines, else BT.709. `max_side`
    shrinks frames so that the longer side has at most that many pixels. Otherwise as `read_luma`.
    """
    if max_side is not None and max_side < 1:
        raise UsageError(f"`max_side` must be at least 1, got {max_side}")
    for item in sample(path, max_frames, threads=threads):
        yield item.seconds, orient(frame_to_rgb(item.frame, _bounded(item, max_side)), item.geometry)


def read_clip(path: str | Path, *, max_frames: int | None = None, max_side: int | None = None) -> Clip:
    """All frames, or `max_frames` spread evenly, as a `Clip` at the average rate of what was read.

    Raises `LimitError` above 2 GiB of frames: give `max_frames` or `max_side`. Otherwise as `read_luma`.

    >>> read_clip("clip.mp4", max_frames=16).frames.shape  # doctest: +SKIP
    (16, 720, 1280, 3)
    """
    info = probe(path)
    frames: list[npt.NDArray[np.uint8]] = []
    size = 0
    for _, picture in read_rgb(path, max_frames=max_frames, max_side=max_side):
        if frames and picture.shape != frames[0].shape:
            continue  # a stream that changes size part-way: the clip is its first size
        size += picture.nbytes
        if size > _CLIP_BYTES:
            raise LimitError(
                f"the frames take more than {_CLIP_BYTES >> 20} MB; give `max_frames` or `max_side`"
            )
        frames.append(picture)
    fps = info.fps
    if info.duration > 0 and max_frames is not None and len(frames) == max_frames:
        fps = min(fps, Fraction(len(frames) / info.duration).limit_denominator(1001))
    return Clip(np.stack(frames), fps)


def _bounded(item: Sampled, max_side: int | None) -> tuple[int, int] | None:
    """The stored size that shows with its longer side at `max_side`, or None to keep it."""
    shown = max(item.geometry.display_size)
    if max_side is None or shown <= max_side:
        return None
    scale = max_side / shown
    return max(1, round(item.frame.width * scale)), max(1, round(item.frame.height * scale))
