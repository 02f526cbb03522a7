"""What a worker process of the measurement does: mark one clip, or attack and read one marked clip.

In: a task of plain data. Out: a row of plain data; what fails is a row with its `error`, so that one bad clip
does not end a run of hours.
"""

import hashlib
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from sorakit.errors import SorakitError, UnsupportedError
from sorakit.regenerate import install
from sorakit.robustness.schemes import SchemeSpec, decibels, open_scheme
from sorakit.types import Rgb
from sorakit.video.convert import frame_to_rgb, luma_plane, resize, rgb_to_frame
from sorakit.video.probe import probe
from sorakit.video.read import read_rgb
from sorakit.watermark.attacks import apply
from sorakit.watermark.attacks.base import Job
from sorakit.watermark.attacks.stream import Stream, encode, even, rate_of

__all__ = ["attack_one", "mark_one", "payload_of", "prepare_worker", "structural_similarity"]

CRF = 18


def prepare_worker() -> None:
    """One thread a worker, and all attacks known."""
    cv2.setNumThreads(1)
    install()


def payload_of(seed: int, clip: str, bits: int) -> int:
    """The payload of a clip: drawn, and the same for all schemes as far as their bits go."""
    digest = hashlib.shake_256(f"{seed} {Path(clip).name}".encode()).digest(-(-bits // 8))
    return int.from_bytes(digest, "big") >> -bits % 8


def mark_one(task: dict[str, Any]) -> dict[str, Any]:
    """Write the marked copy of a clip, and say how much was changed."""
    start, spec = time.process_time(), SchemeSpec(**task["scheme"])
    row = {"kind": "mark", "clip": task["clip"], "scheme": spec.name, "error": None}
    try:
        marked = Path(task["marked"])
        marked.parent.mkdir(parents=True, exist_ok=True)
        row |= _marked(task, spec, marked)
    except (SorakitError, OSError, av.FFmpegError) as error:
        row["error"] = f"{type(error).__name__}: {error}"
    return row | {"cpu": round(time.process_time() - start, 3)}


def _marked(task: dict[str, Any], spec: SchemeSpec, marked: Path) -> dict[str, Any]:
    clip, looks = Path(task["clip"]), _Looks()
    stream, count = _carrier(clip, spec.frames, task["short_side"], task["seconds"])
    first = next(stream.frames, None)
    if first is None:
        raise UnsupportedError(f"{clip.name} is too short: no picture is left of it")
    pictures = chain([first], stream.frames)
    state: dict[str, float] = {}
    if spec.kind == "unmarked":
        frames: Iterator[av.VideoFrame] = map(rgb_to_frame, pictures)
    else:
        scheme = open_scheme(spec)
        payload = payload_of(task["seed"], task["clip"], scheme.bits)
        state = scheme.tune(first, payload, task["psnr"]) | {"frames": count}
        frames = looks.after(scheme.mark(looks.before(pictures), payload, state))
    part = marked.with_name(f".{marked.name}")
    encode(Stream(frames, stream.rate), Job("marked for a measurement", part, part), CRF)
    part.replace(marked)
    return {"state": state} | looks.result()


def _carrier(clip: Path, frames: int | None, short_side: int, seconds: float) -> tuple[Stream[Rgb], int]:
    """The pictures that a scheme gets: all of the first `seconds`, or `frames` spread over them; how many."""
    info = probe(clip)
    rate, length = rate_of(info), min(seconds, max(info.duration, 1e-3))
    count = max(1, round(length * float(rate)))
    wanted = None if frames is None else {round((i + 0.5) * count / frames - 0.5) for i in range(frames)}

    def pictures() -> Iterator[Rgb]:
        for index, (at, rgb) in enumerate(read_rgb(clip, threads=1)):
            if at >= seconds:
                return
            if wanted is None or index in wanted:
                scale = min(1.0, short_side / min(rgb.shape[:2]))
                size = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
                yield even(resize(rgb, *size))

    slow = rate if wanted is None else Fraction(len(wanted) / length).limit_denominator(1001)
    return Stream(pictures(), slow), count if wanted is None else len(wanted)


class _Looks:
    """Measures what a scheme changed: luma and RGB PSNR, luma SSIM (Wang et al. 2004).

    Over every frame, since a mark may be stronger in some: a sample that holds more of these would mislead.
    """

    def __init__(self) -> None:
        self._kept: deque[Rgb] = deque()
        self._luma: list[float] = []
        self._rgb: list[float] = []
        self._ssim: list[float] = []

    def before(self, pictures: Iterator[Rgb]) -> Iterator[Rgb]:
        for rgb in pictures:
            self._kept.append(rgb)
            yield rgb

    def after(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for frame in frames:
            if self._kept:
                self._compare(rgb_to_frame(self._kept.popleft()), frame)
            yield frame

    def _compare(self, plain: av.VideoFrame, marked: av.VideoFrame) -> None:
        a, b = luma_plane(plain).astype(np.float32), luma_plane(marked).astype(np.float32)
        self._luma.append(float(np.mean((a - b) ** 2)))
        change = frame_to_rgb(plain).astype(np.float32) - frame_to_rgb(marked)
        self._rgb.append(float(np.mean(change**2)))
        self._ssim.append(structural_similarity(a, b))

    def result(self) -> dict[str, Any]:
        if not self._luma:
            return {"psnr_luma": None, "psnr_rgb": None, "ssim": None}
        psnr = [decibels(float(np.mean(e))) for e in (self._luma, self._rgb)]
        return {"psnr_luma": psnr[0], "psnr_rgb": psnr[1], "ssim": float(np.mean(self._ssim))}


def structural_similarity(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float:
    """Mean SSIM of two planes in levels, with a Gaussian window of 11 px (Wang et al. 2004).

    >>> structural_similarity(np.ones((16, 16), np.float32), np.ones((16, 16), np.float32))
    1.0
    """

    def soft(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(cv2.GaussianBlur(x, (11, 11), 1.5), dtype=np.float32)

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ma, mb = soft(a), soft(b)
    va, vb, vab = soft(a * a) - ma * ma, soft(b * b) - mb * mb, soft(a * b) - ma * mb
    top, bottom = (2 * ma * mb + c1) * (2 * vab + c2), (ma * ma + mb * mb + c1) * (va + vb + c2)
    return float(np.mean(top / bottom))


def attack_one(task: dict[str, Any]) -> dict[str, Any]:
    """Attack a marked copy and read it: whether all bits are right, and which share of them."""
    start, spec = time.process_time(), SchemeSpec(**task["scheme"])
    row = {"kind": "attack", "attack": task["attack"], "scheme": spec.name, "clip": task["clip"]}
    row |= {"exact": False, "found": False, "bits": None, "log10_p": None, "error": None}
    with tempfile.TemporaryDirectory(prefix="sorakit-bench-") as folder:
        out = Path(folder, "attacked.mp4")
        try:
            others = [Path(p) for p in task["others"]]
            apply(task["attack"], Path(task["src"]), out, seed=task["seed"], others=others)
            row |= _read(task, spec, out)
        except (SorakitError, OSError, av.FFmpegError) as error:
            row["error"] = f"{type(error).__name__}: {error}"
    return row | {"cpu": round(time.process_time() - start, 3)}


def _read(task: dict[str, Any], spec: SchemeSpec, out: Path) -> dict[str, Any]:
    if spec.kind == "unmarked":
        spec = SchemeSpec("sorakit", "sorakit")
    scheme = open_scheme(spec)
    found = scheme.read(out, task["mark"].get("state", {}))
    wrong = None
    if found.payload is not None:
        wrong = (found.payload ^ payload_of(task["seed"], task["clip"], scheme.bits)).bit_count()
    return {
        "exact": wrong == 0,
        "found": found.payload is not None,
        "bits": None if wrong is None else round(1 - wrong / scheme.bits, 4),
        "log10_p": found.log10_p,
    }
