"""Attacks by somebody who knows the scheme: average many clips, copy a mark, use another key, mark again.

In: a file, some with further ones. Out: a file whose mark should still be read, or must not be believed.
Averaging and copying estimate the mark as what a high-pass filter leaves of the luma (Kutter, Voloshynovskiy
& Herrigel 2000, "The watermark copy attack"), at the short side of 480 px at which the kit's pattern is
defined; strength is the RMS, in levels, at which the estimate is taken off or put on.
"""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from sorakit.types import FrameGeometry, Rgb
from sorakit.video._mark import Marker
from sorakit.video.convert import resize
from sorakit.video.read import read_luma
from sorakit.watermark.attacks.base import Attack, Job, Strength
from sorakit.watermark.attacks.stream import Stream, encode, planes, read
from sorakit.watermark.base import PUBLIC_KEY
from sorakit.watermark.payload import ID_BITS, VERSION
from sorakit.watermark.video import VideoWatermark

__all__ = ["ATTACKS", "marked", "residual"]

CRF = 20
SHORT = 480
MAX_WIDE = 1440
FRAMES_EACH = 24
"""Frames of each clip that go into an average."""

_SIGMA, _CLIP, _WINDOW = 5.0, 6.0, 12
_GAIN = 255 / 219  # a level of limited-range luma in RGB

Floats = npt.NDArray[np.float32]


def residual(luma: npt.NDArray[np.uint8]) -> Floats:
    """What is finer than 5 px of a plane `(H, W)`, clipped where it can be no mark."""
    plane = luma.astype(np.float32)
    fine = plane - cv2.GaussianBlur(plane, (0, 0), _SIGMA)
    return np.asarray(np.clip(fine, -_CLIP, _CLIP), dtype=np.float32)


def _average(paths: tuple[Path, ...]) -> Floats:
    """The mean residual of all clips `(480, 1440)` at most, laid top left on top left."""
    total, count = np.zeros((MAX_WIDE, MAX_WIDE), np.float32), np.zeros((MAX_WIDE, MAX_WIDE), np.float32)
    for path in paths:
        for _, luma in read_luma(path, max_frames=FRAMES_EACH, threads=1):
            scale = SHORT / min(luma.shape)
            small = resize(luma, round(luma.shape[1] * scale), round(luma.shape[0] * scale))
            fine = residual(small[:MAX_WIDE, :MAX_WIDE])
            total[: fine.shape[0], : fine.shape[1]] += fine
            count[: fine.shape[0], : fine.shape[1]] += 1
    return np.asarray(total / np.maximum(count, 1), dtype=np.float32)


def _fitted(average: Floats, size: tuple[int, int], rms: float) -> Floats:
    """The average at a picture's size, `rms` levels strong."""
    scale = SHORT / min(size)
    height, width = (min(MAX_WIDE, round(side * scale)) for side in size)
    out = cv2.resize(average[:height, :width], (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(out * (rms / max(1e-6, float(np.sqrt(np.mean(out**2))))), dtype=np.float32)


def _added(rgb: Rgb, levels: Floats) -> Rgb:
    return np.clip(np.rint(rgb + _GAIN * levels[..., None]), 0, 255).astype(np.uint8)


def _with_average(sign: int) -> Callable[[Job], None]:
    """Takes the average of this and all other clips off (−1), or puts that of the others on (+1)."""

    def run(job: Job) -> None:
        average = _average(job.others if sign > 0 else (job.src, *job.others))
        stream = read(job.src)
        first = next(stream.frames)
        levels = _fitted(average, (first.shape[0], first.shape[1]), sign * job.strength)
        changed = (_added(rgb, levels) for rgb in chain([first], stream.frames))
        encode(Stream(changed, stream.rate), job, CRF)

    return run


def _mean_picture(job: Job) -> None:
    """Copies of one clip with different marks, mixed picture by picture; it lasts as long as the shortest."""
    streams = [read(path) for path in (job.src, *job.others)]

    def frames() -> Iterator[Rgb]:
        for pictures in zip(*(s.frames for s in streams), strict=False):
            h, w = pictures[0].shape[:2]
            total = np.zeros((h, w, 3), np.float32)
            for rgb in pictures:
                total += resize(rgb, w, h)
            yield np.rint(total / len(pictures)).astype(np.uint8)

    encode(Stream(frames(), streams[0].rate), job, CRF)


def _copy(job: Job) -> None:
    """The other clip with this one's estimated mark: a running mean of residuals, so that motion fades."""
    source_stream, target_stream = read(job.src), read(job.others[0])

    def frames() -> Iterator[Rgb]:
        last: deque[Floats] = deque(maxlen=_WINDOW)
        for source, target in zip(source_stream.frames, target_stream.frames, strict=False):
            last.append(residual(np.asarray(cv2.cvtColor(source, cv2.COLOR_RGB2GRAY), dtype=np.uint8)))
            mean = np.mean(np.stack(last), 0)
            levels = cv2.resize(mean, (target.shape[1], target.shape[0]), interpolation=cv2.INTER_CUBIC)
            rms = float(np.sqrt(np.mean(levels**2)))
            yield _added(target, np.asarray(levels * (job.strength / max(1e-6, rms)), dtype=np.float32))

    encode(Stream(frames(), target_stream.rate), job, CRF)


def marked(
    frames: Iterator[av.VideoFrame],
    payload: int,
    psnr: float,
    key: bytes = PUBLIC_KEY,
    *,
    count: int | None = None,
) -> Iterator[av.VideoFrame]:
    """Frames of one size with the kit's own mark, at a luma PSNR of `psnr` dB or better.

    `count`: how many will come, where that is known.
    """
    marker: Marker | None = None
    for frame in frames:
        if marker is None:
            geometry, mark = FrameGeometry(frame.width, frame.height), VideoWatermark()
            marker = Marker(mark.embedder(geometry, payload, keys=(key,), psnr=psnr, frames=count))
        yield marker(frame)


def _mark_over(job: Job, key: bytes) -> None:
    """Marked over whatever is there, with a drawn payload."""
    rng, stream = job.rng(), planes(job.src)
    payload = VERSION << ID_BITS | int(rng.integers(1 << 32)) << 28 | int(rng.integers(1 << 28))
    encode(Stream(marked(stream.frames, payload, job.strength, key), stream.rate), job, CRF)


def _wrong_key(job: Job) -> None:
    _mark_over(job, b"forged " + job.rng().bytes(16))


_RMS = Strength(0.25, 1.5, 8, "levels RMS")
_DB = Strength(38, 43, 55, "dB")

ATTACKS = (
    Attack(
        "average_remove", "forgery", f"the mean residual of many clips taken off; H.264 CRF {CRF}",
        _with_average(-1), _RMS, others="more clips marked with the same key", needs_others=1,
    ),
    Attack(
        "average_forge", "forgery", f"the mean residual of marked clips put on this one; H.264 CRF {CRF}",
        _with_average(1), _RMS, others="clips marked with the same key", needs_others=1,
    ),
    Attack(
        "average_pictures", "forgery", f"copies with different marks mixed; H.264 CRF {CRF}", _mean_picture,
        others="the same clip with other marks", needs_others=1,
    ),
    Attack(
        "copy_mark", "forgery", f"this clip's estimated mark put on another; H.264 CRF {CRF}", _copy, _RMS,
        others="the clip that gets the mark", needs_others=1,
    ),
    Attack(
        "wrong_key", "forgery", f"marked with a key that nobody has; H.264 CRF {CRF}", _wrong_key, _DB
    ),
    Attack(
        "re_mark", "forgery", f"marked again with the public key and another payload; H.264 CRF {CRF}",
        lambda job: _mark_over(job, PUBLIC_KEY), _DB,
    ),
)  # fmt: skip
