"""Attacks on time: frames dropped, doubled, blended, played faster or slower, cut, reversed, joined.

In: a stream of pictures. Out: another stream; pictures themselves change only where two are blended.
"""

import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from sorakit.errors import LimitError, UsageError
from sorakit.types import Rgb
from sorakit.video.convert import resize
from sorakit.video.probe import probe
from sorakit.watermark.attacks.base import Attack, Job, Strength
from sorakit.watermark.attacks.stream import MAX_RATE, Stream, encode, rate_of, read

__all__ = ["ATTACKS", "rgb_of"]

CRF = 20
MAX_REVERSE = 4 << 30
"""Bytes on disk that `reverse` may use for the pictures that it has to keep."""

_GRACE = 5e-4  # frame times are rounded to the container's time base


def rgb_of(src: Path) -> Iterator[Rgb]:
    """The pictures of a file."""
    return (rgb for rgb in read(src).frames if isinstance(rgb, np.ndarray))


def _timed(name: str, summary: str, change: Callable[[Job], Stream], strength: Strength | None) -> Attack:
    def run(job: Job) -> None:
        encode(change(job), job, CRF)

    return Attack(name, "time", f"{summary}; H.264 CRF {CRF}", run, strength)


def _drop(job: Job) -> Stream:
    """The missing pictures leave gaps: those that stay keep their times. The first always stays."""
    rng = job.rng()
    kept = (rgb if i == 0 or rng.random() >= job.strength else None for i, rgb in enumerate(rgb_of(job.src)))
    return Stream(kept, rate_of(job.src))


def _duplicate(job: Job) -> Stream:
    rng = job.rng()

    def frames() -> Iterator[Rgb]:
        for rgb in rgb_of(job.src):
            yield rgb
            if rng.random() < job.strength:
                yield rgb

    return Stream(frames(), rate_of(job.src))


def _blended(src: Path, step: float) -> Iterator[Rgb]:
    """Pictures at every `step` source frames, each the mix of the two that it lies between."""
    at, index, last = 0.0, 0, None
    for index, (a, b) in enumerate(pairwise(rgb_of(src))):
        while at < index + 1:
            share = at - index
            mixed = cv2.addWeighted(a, 1 - share, b, share, 0) if share > 1e-6 else a
            yield np.asarray(mixed, dtype=np.uint8)
            at += step
        last = b
    if last is not None and at < index + 2:
        yield last


def _nearest(src: Path, step: float) -> Iterator[Rgb]:
    """The picture on show at every `step` source frames."""
    at = 0.0
    for index, rgb in enumerate(rgb_of(src)):
        while at < index + 1 - 1e-9:
            yield rgb
            at += step


def _interpolate(job: Job) -> Stream:
    rate = rate_of(job.src)
    factor = min(job.strength, float(MAX_RATE / rate))
    return Stream(_blended(job.src, 1 / factor), _near(float(rate) * factor))


def _retime(job: Job) -> Stream:
    rate = _near(job.strength)
    return Stream(_blended(job.src, float(rate_of(job.src) / rate)), rate)


def _speed(job: Job) -> Stream:
    """Another speed at the old frame rate, so pictures are left out or repeated."""
    return Stream(_nearest(job.src, job.strength), rate_of(job.src))


def _near(rate: float) -> Fraction:
    return Fraction(rate).limit_denominator(1001)


def _trim(job: Job) -> Stream:
    """The seconds from the first third on."""
    rate = rate_of(job.src)
    start = probe(job.src).duration / 3
    first = round(start * float(rate) - _GRACE)
    last = first + round(job.strength * float(rate))
    kept = (rgb for i, rgb in enumerate(rgb_of(job.src)) if first <= i < last)
    return Stream(kept, rate)


def _reverse(job: Job) -> Stream:
    def frames() -> Iterator[Rgb]:
        with tempfile.TemporaryFile() as store:
            count, shape = 0, (0, 0, 0)
            for rgb in rgb_of(job.src):
                shape = rgb.shape
                if (count + 1) * rgb.nbytes > MAX_REVERSE:
                    raise LimitError(
                        f"reversing needs over {MAX_REVERSE >> 30} GiB of disk; trim the video first"
                    )
                store.write(rgb.tobytes())
                count += 1
            size = int(np.prod(shape))
            for index in reversed(range(count)):
                store.seek(index * size)
                yield np.frombuffer(store.read(size), np.uint8).reshape(shape)

    return Stream(frames(), rate_of(job.src))


def _joined(job: Job) -> Stream:
    """Another clip first, `strength` times as long as this one, in this one's size."""
    rate, shape = rate_of(job.src), next(rgb_of(job.src)).shape
    count = max(1, round(probe(job.src).duration * float(rate) * job.strength))

    def frames() -> Iterator[Rgb]:
        yield from _other(job, count, (shape[0], shape[1]))
        yield from rgb_of(job.src)

    return Stream(frames(), rate)


def _other(job: Job, count: int, size: tuple[int, int]) -> Iterator[Rgb]:
    """`count` pictures that carry no mark: of the first other clip, over and over, or a drifting pattern."""
    if not job.others:
        wave = np.sin(np.linspace(0, 12, sum(size)))
        bars = np.rint(128 + 70 * wave).astype(np.uint8)
        for i in range(count):
            across = np.roll(bars, 3 * i)[: size[1]]
            yield np.repeat(np.broadcast_to(across, size)[..., None], 3, 2)
        return
    made = 0
    while made < count:
        before = made
        for rgb in rgb_of(job.others[0]):
            if made == count:
                return
            yield resize(rgb, size[1], size[0])
            made += 1
        if made == before:
            raise UsageError(f"{job.others[0].name} has no pictures to join; give another clip")


def _join(job: Job) -> None:
    encode(_joined(job), job, CRF)


ATTACKS = (
    _timed("frame_drop", "20 % of the frames missing", _drop, Strength(0.02, 0.2, 0.6, "of the frames")),
    _timed("frame_duplicate", "10 % of frames twice", _duplicate, Strength(0.02, 0.1, 1, "of the frames")),
    _timed("interpolate", "twice the frames, blended", _interpolate, Strength(1.25, 2, 4, "times")),
    _timed("speed_up", "1.25 times as fast", _speed, Strength(1, 1.25, 2, "times")),
    _timed("slow_down", "0.8 times as fast", _speed, Strength(0.5, 0.8, 1, "times")),
    _timed("retime_30", "30 frames a second, blended", _retime, Strength(8, 30, 60, "frames/s")),
    _timed("trim_1s", "one second of it", _trim, Strength(0.5, 1, 60, "s")),
    _timed("reverse", "backwards", _reverse, None),
    Attack(
        "concatenate", "time", f"behind an unmarked clip of the same length; H.264 CRF {CRF}", _join,
        Strength(0.25, 1, 4, "times its length"),
        others="the unmarked clip; a drifting pattern if none is given",
    ),
)  # fmt: skip
