"""What happens to videos between maker and viewer, repeatable: file in, file out.

For measuring how robust a mark is, in tests, demos and benchmarks. Every attack but `untouched` and
`flip_byte` loses the source's container metadata and credentials, as platforms do, and says so: the result's
comment tag names the attack. Not a tool to strip another's credentials. Sound is dropped by all attacks that
re-encode. Streaming: one picture in memory at a time. Nothing here is random, but
x264 itself was seen to differ a little from run to run.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from sorakit.errors import NotAVideoError, UsageError
from sorakit.types import Rgb
from sorakit.video.convert import rgb_to_frame
from sorakit.video.read import read_rgb

__all__ = ["ATTACKS", "Attack", "apply", "flip_byte"]


@dataclass(frozen=True, slots=True)
class Attack:
    """`run(src, dst)` writes the attacked file; `summary` says what it does in a few words."""

    name: str
    summary: str
    run: Callable[[Path, Path], None]


def apply(name: str, src: Path, dst: Path) -> None:
    """Attack file `src`, writing `dst` (an .mp4).

    Raises `UsageError` for an unknown name or `dst` being `src`, `InputError` for what cannot be read.

    >>> apply("h264_crf28", Path("marked.mp4"), Path("attacked.mp4"))  # doctest: +SKIP
    """
    if name not in ATTACKS:
        raise UsageError(f"`name` must be one of {', '.join(ATTACKS)}, got {name!r}")
    if dst.exists() and src.samefile(dst):
        raise UsageError(f"`dst` must differ from `src`, got {dst}; attacks never overwrite their source")
    ATTACKS[name].run(src, dst)


def flip_byte(src: Path, dst: Path) -> None:
    """Copy with one bit inverted in the middle of the largest top-level box (the media data of an MP4)."""
    shutil.copyfile(src, dst)
    size = dst.stat().st_size
    with dst.open("r+b") as file:
        position, best = 0, (0, 0)
        while position + 8 <= size:
            file.seek(position)
            length = int.from_bytes(file.read(4), "big")
            if file.read(4) and length == 1:
                length = int.from_bytes(file.read(8), "big")
            length = length if 8 <= length <= size - position else size - position
            best = max(best, (length, position))
            position += length
        target = best[1] + best[0] // 2
        file.seek(target)
        value = file.read(1)
        file.seek(target)
        file.write(bytes([value[0] ^ 0x10]))


def _copy(src: Path, dst: Path) -> None:
    shutil.copyfile(src, dst)


def _remux(src: Path, dst: Path) -> None:
    """The same packets in a fresh container."""
    with av.open(str(src), metadata_errors="ignore") as source, av.open(str(dst), "w") as target:
        wanted = [s for s in source.streams if s.type in ("video", "audio")]
        streams = {s.index: target.add_stream_from_template(s) for s in wanted}
        target.metadata["comment"] = _comment("remux")
        for packet in source.demux(wanted):
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)


def _comment(name: str) -> str:
    return f"sorakit robustness test: {name}"


def _frame_rate(src: Path) -> Fraction:
    with av.open(str(src), metadata_errors="ignore") as source:
        if not source.streams.video:
            raise NotAVideoError(f"expected a video stream, got none in {src}; pass a video file")
        rate = source.streams.video[0].average_rate
    return Fraction(rate).limit_denominator(65535) if rate else Fraction(25)


def _encode(frames: Iterator[Rgb], dst: Path, rate: Fraction, crf: int, name: str) -> None:
    """H.264 at a constant frame rate, sides cut to even numbers."""
    with av.open(str(dst), "w") as target:
        target.metadata["comment"] = _comment(name)
        stream = None
        for index, rgb in enumerate(frames):
            even = np.ascontiguousarray(rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2])
            if stream is None:
                stream = target.add_stream("libx264", rate=rate)
                stream.height, stream.width = even.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {"crf": str(crf), "preset": "veryfast"}
                context = stream.codec_context  # BT.709, limited: what `rgb_to_frame` makes
                context.color_primaries = context.color_trc = context.colorspace = context.color_range = 1
            frame = rgb_to_frame(even)
            frame.pts, frame.time_base = index, 1 / rate
            target.mux(stream.encode(frame))
        if stream is not None:
            target.mux(stream.encode())


def _pictures(name: str, summary: str, change: Callable[[Rgb], Rgb], crf: int) -> Attack:
    """An attack on each picture, then H.264."""

    def run(src: Path, dst: Path) -> None:
        _encode((change(rgb) for _, rgb in read_rgb(src)), dst, _frame_rate(src), crf, name)

    return Attack(name, summary, run)


def _trim(src: Path, dst: Path) -> None:
    """The second from the first third on."""
    rate = _frame_rate(src)
    times = [seconds for seconds, _ in read_rgb(src)]
    start = times[len(times) // 3]
    kept = (rgb for seconds, rgb in read_rgb(src) if start <= seconds < start + 1)
    _encode(kept, dst, rate, 20, "trim_1s")


def _same(rgb: Rgb) -> Rgb:
    return rgb


def _scale(rgb: Rgb, width: int, height: int) -> Rgb:
    smaller = width < rgb.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=method), dtype=np.uint8)


def _half(rgb: Rgb) -> Rgb:
    return _scale(rgb, max(2, rgb.shape[1] // 2), max(2, rgb.shape[0] // 2))


def _centre(rgb: Rgb, height: int, width: int) -> Rgb:
    y, x = (rgb.shape[0] - height) // 2, (rgb.shape[1] - width) // 2
    return rgb[y : y + height, x : x + width]


def _crop(share: float) -> Callable[[Rgb], Rgb]:
    return lambda rgb: _centre(rgb, int(rgb.shape[0] * share), int(rgb.shape[1] * share))


def _social(rgb: Rgb) -> Rgb:
    """5 % cropped in all, 480 px on the short side."""
    rgb = _crop(0.95)(rgb)
    scale = 480 / min(rgb.shape[:2])
    return _scale(rgb, int(rgb.shape[1] * scale), int(rgb.shape[0] * scale))


def _vertical(rgb: Rgb) -> Rgb:
    """The middle 9:16 of the picture at 360 × 640."""
    h, w = rgb.shape[:2]
    return _scale(_centre(rgb, min(h, w * 16 // 9), min(w, h * 9 // 16)), 360, 640)


def _mirror(rgb: Rgb) -> Rgb:
    return np.ascontiguousarray(rgb[:, ::-1])


def _rotate(degrees: float) -> Callable[[Rgb], Rgb]:
    def turn(rgb: Rgb) -> Rgb:
        h, w = rgb.shape[:2]
        matrix = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1.0)
        return np.asarray(cv2.warpAffine(rgb, matrix, (w, h)), dtype=np.uint8)

    return turn


ATTACKS: dict[str, Attack] = {
    attack.name: attack
    for attack in (
        Attack("untouched", "a copy", _copy),
        Attack("remux", "same packets, fresh container, no metadata", _remux),
        *(_pictures(f"h264_crf{crf}", f"H.264 CRF {crf}", _same, crf) for crf in (23, 28, 33, 40)),
        _pictures("half_size", "half width and height, CRF 20", _half, 20),
        _pictures("social_upload", "crop 5 %, 480p, CRF 30", _social, 30),
        _pictures("mirror", "left and right swapped, CRF 23", _mirror, 23),
        _pictures("crop_80", "the middle 80 % a side, CRF 23", _crop(0.8), 23),
        _pictures("rotate_5", "turned by 5°, CRF 23", _rotate(5), 23),
        _pictures("vertical_reframe", "the middle 9:16 at 360 × 640, CRF 26", _vertical, 26),
        Attack("trim_1s", "one second of it, CRF 20", _trim),
        Attack("flip_byte", "one bit of the media data inverted", flip_byte),
    )
}
"""All attacks by name."""
