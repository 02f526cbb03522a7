"""Re-encoding: H.264, H.265, AV1, VP9, MPEG-4 and JPEG pictures, once or twice.

In: a file. Out: the same pictures from another encoder; planes go from decoder to encoder without RGB.
Strength is each codec's own scale of quality, where more is coarser.
"""

from dataclasses import replace

import cv2
import numpy as np

from sorakit.errors import OutputError
from sorakit.types import Rgb
from sorakit.watermark.attacks.base import Attack, Job, Strength
from sorakit.watermark.attacks.stream import H264, Change, Codec, encode, picture_attack, planes

__all__ = ["ATTACKS"]

_H265 = Codec("libx265", {"preset": "superfast", "x265-params": "pools=none:frame-threads=1:log-level=none"})
_AV1 = Codec("libsvtav1", {"preset": "10", "svtav1-params": "lp=1"})
_VP9 = Codec("libvpx-vp9", {"b": "0", "deadline": "good", "cpu-used": "6", "lag-in-frames": "8"})
_MPEG4 = Codec("mpeg4", {"qmax": "31"}, quality="qmin")
_MPEG4_TICKS = 65535
"""Ticks a second that MPEG-4 part 2 can count at most (ISO/IEC 14496-2, 6.2.3)."""


def _coded(name: str, title: str, codec: Codec, strength: Strength) -> Attack:
    def run(job: Job) -> None:
        stream = planes(job.src)
        if codec is _MPEG4:
            stream = replace(stream, rate=1 / (1 / stream.rate).limit_denominator(_MPEG4_TICKS))
        encode(stream, job, job.strength, codec)

    return Attack(name, "codec", f"{title} {strength.unit} {strength.default:g}", run, strength)


def _twice(job: Job) -> None:
    """H.264, then H.264 again, as a clip that is downloaded and put up once more."""
    between = job.dst.with_name(f".{job.dst.stem[:100]}.first.mp4")
    try:
        encode(planes(job.src), Job(job.name, job.src, between), job.strength)
        encode(planes(between), job, job.strength)
    finally:
        between.unlink(missing_ok=True)


def _jpeg(strength: float, _rng: np.random.Generator) -> Change:
    options = [cv2.IMWRITE_JPEG_QUALITY, 101 - round(strength)]

    def change(rgb: Rgb) -> Rgb:
        ok, data = cv2.imencode(".jpg", rgb, options)
        if not ok:
            raise OutputError(f"a picture of {rgb.shape} cannot be written as JPEG; use a smaller video")
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)

    return change


def _crf(default: int, high: int = 51) -> Strength:
    return Strength(10, default, high, "CRF")


ATTACKS = (
    *(_coded(f"h264_crf{crf}", "H.264", H264, _crf(crf)) for crf in (23, 28, 33, 40)),
    _coded("h265_crf28", "H.265", _H265, _crf(28)),
    _coded("av1_crf35", "AV1", _AV1, _crf(35, 63)),
    _coded("vp9_crf40", "VP9", _VP9, _crf(40, 63)),
    _coded("mpeg4", "MPEG-4 part 2", _MPEG4, Strength(2, 6, 31, "quantiser")),
    Attack("double_encode", "codec", "H.264 CRF 26, twice", _twice, _crf(26)),
    picture_attack(
        "jpeg", "codec", "each picture as JPEG of quality 101 − strength", _jpeg, Strength(1, 41, 96, "steps")
    ),
)
