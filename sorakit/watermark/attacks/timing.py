"""Attacks on time: frames dropped, doubled, blended, played faster or slower, cut, reversed, joined.

In: a stream of pictures. Out: another stream; pictures themselves change only where two are blended.
"""

import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain, pairwise

import cv2
import numpy as np

from sorakit.errors import LimitError, UsageError
from sorakit.types import Rgb
from sorakit.video.convert import resize
from sorakit.video.probe import probe
from sorakit.watermark.attacks.base import Attack, Job, Strength
from sorakit.watermark.attacks.stream import MAX_RATE, Stream, encode, read

__all__ = ["ATTACKS"]

CRF = 20
MAX_REVERSE = 4 << 30
"""Bytes on disk that `reverse` may use for the pictures that it has to keep."""

_GRACE = 5e-4  # frame times are rounded to the container's time base


def _timed(
    name: str, summary: str, change: Callable[[Job], Stream[Rgb | None]], strength: Strength | None
) -> Attack:
    def run(job: Job) -> None:
        encode(change(job), job, CRF)

    return Attack(name, "time", f"{summary}; H.264 CRF {CRF}", run, strength)


def _drop(job: Job) -> Stream[Rgb | None]:
    """The missing pictures leave gaps: those that stay keep their times. The first always stays."""
    stream, rng = read(job.src), job.rng()
    kept = (rgb if i == 0 or rng.random() >= job.strength else None for i, rgb in enumerate(stream.frames))
    return Stream(kept, stream.rate)


def _duplicate(job: Job) -> Stream[Rgb]:
    stream, rng = read(job.src), job.rng()

    def frames() -> Iterator[Rgb]:
        for rgb in stream.frames:
            yield rgb
            if rng.random() < job.strength:
                yield rgb

    return Stream(frames(), stream.rate)


def _blended(pictures: Iterator[Rgb], step: float) -> Iterator[Rgb]:
    """Pictures at every `step` source frames, each the mix of the two that it lies between."""
    at, index, last = 0.0, 0, None
    for index, (a, b) in enumerate(pairwise(pictures)):
        while at < index + 1:
            share = at - index
            mixed = cv2.addWeighted(a, 1 - share, b, share, 0) if share > 1e-6 else a
            yield np.asarray(mixed, dtype=np.uint8)
            at += step
        last = b
    if last is not None and at < index + 2:
        yield last


def _nearest(pictures: Iterator[Rgb], step: float) -> Iterator[Rgb]:
    """The picture on show at every `step` source frames."""
    at = 0.0
    for index, rgb in enumerate(pictures):
        while at < index + 1 - 1e-9:
            yield rgb
            at += step


def _interpolate(job: Job) -> Stream[Rgb]:
    stream = read(job.src)
    factor = min(job.strength, float(MAX_RATE / stream.rate))
    return Stream(_blended(stream.frames, 1 / factor), _near(float(stream.rate) * factor))


def _retime(job: Job) -> Stream[Rgb]:
    stream, rate = read(job.src), _near(job.strength)
    return Stream(_blended(stream.frames, float(stream.rate / rate)), rate)


def _speed(job: Job) -> Stream[Rgb]:
    """Another speed at the old frame rate, so pictures are left out or repeated."""
    stream = read(job.src)
    return Stream(_nearest(stream.frames, job.strength), stream.rate)


def _near(rate: float) -> Fraction:
    return Fraction(rate).limit_denominator(1001)


def _trim(job: Job) -> Stream[Rgb]:
    """The seconds from the first third on."""
    stream = read(job.src)
    start = probe(job.src).duration / 3
    first = round(start * float(stream.rate) - _GRACE)
    last = first + round(job.strength * float(stream.rate))
    kept = (rgb for i, rgb in enumerate(stream.frames) if first <= i < last)
    return Stream(kept, stream.rate)


def _reverse(job: Job) -> Stream[Rgb]:
    stream = read(job.src)

    def frames() -> Iterator[Rgb]:
        with tempfile.TemporaryFile() as store:
            count, shape = 0, (0, 0, 0)
            for rgb in stream.frames:
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

    return Stream(frames(), stream.rate)


def _joined(job: Job) -> Stream[Rgb]:
    """Another clip first, `strength` times as long as this one, in this one's size."""
    stream = read(job.src)
    first = next(stream.frames)
    count = max(1, round(probe(job.src).duration * float(stream.rate) * job.strength))
    before = _other(job, count, (first.shape[0], first.shape[1]))
    return Stream(chain(before, [first], stream.frames), stream.rate)


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
        for rgb in read(job.others[0]).frames:
            if made == count:
                return
            yield resize(rgb, size[1], size[0])
            made += 1
        if made == before:
            raise UsageError(f"{job.others[0].name} has no pictures to join; give another clip")


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
        "concatenate", "time", f"behind an unmarked clip of the same length; H.264 CRF {CRF}",
        lambda job: encode(_joined(job), job, CRF), Strength(0.25, 1, 4, "times its length"),
        others="the unmarked clip; a drifting pattern if none is given",
    ),
)  # fmt: skip
