"""A perceptual fingerprint of a video, small enough for a registry row.

In: (seconds, luma) frames of one video. Out: a `Fingerprint` under 4 KB: up to 12 frames spread over the
video, each as a locally normalised thumbnail of about 576 cells at 4 bits, with its time. `similarity` in
`match.py` compares two. It tells a marked video from another that the mark was copied onto; it is no search
index.
"""

import base64
import binascii
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sorakit.errors import InputError, RegistryError

__all__ = ["ALGORITHM", "VERSION", "Fingerprint", "fingerprint"]

VERSION = 1
ALGORITHM = "io.github.sorakit.fingerprint."
"""Name of the soft-binding algorithm, its version to be added; not on the C2PA list."""

FRAMES = 12
CELLS = 576
MAX_SIDE = 64
FINE = 4
"""The local mean and spread are taken at `FINE` times the thumbnail's side."""

FLOOR = 3.0
"""Luma levels added to the local spread: what is fainter than this is mostly coding noise."""

CLIP = 2.0
"""Normalised values are cut off here, in local standard deviations; 15 steps lie between -CLIP and CLIP."""

MAX_GATHERED = 512
_HEAD = struct.Struct("<BBB")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`data`: base64 of the packed frames (so that it is plain JSON)."""

    data: str
    version: int = VERSION

    def to_bytes(self) -> bytes:
        """The packed frames. Raises `RegistryError` when `data` is not base64."""
        try:
            return base64.b64decode(self.data, validate=True)
        except binascii.Error as e:
            raise RegistryError(f"a fingerprint must be base64, got {self.data!r:.40}") from e

    @property
    def binding(self) -> tuple[str, str]:
        """(algorithm, value) of the soft binding that carries it in a manifest."""
        return f"{ALGORITHM}{self.version}", self.data

    @staticmethod
    def from_binding(algorithm: str, value: str) -> "Fingerprint | None":
        """The counterpart of `binding`; None for another algorithm, or a version that is not known here."""
        return Fingerprint(value) if algorithm == f"{ALGORITHM}{VERSION}" else None

    @staticmethod
    def from_bytes(version: int, blob: bytes) -> "Fingerprint":
        """The counterpart of `to_bytes`."""
        return Fingerprint(base64.b64encode(blob).decode(), version)

    def unpack(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """(seconds `(n,)`, thumbnails `(n, h, w)` in [-1, 1]). Raises `RegistryError` for malformed data."""
        blob = self.to_bytes()
        if self.version != VERSION:
            raise RegistryError(f"fingerprint version must be {VERSION}, got {self.version}; update sorakit")
        if len(blob) < _HEAD.size:
            raise RegistryError("a fingerprint is too short")
        n, h, w = _HEAD.unpack_from(blob)
        cells = -(-n * h * w // 2)
        if not (0 < n <= FRAMES and 0 < h <= MAX_SIDE and 0 < w <= MAX_SIDE):
            raise RegistryError(f"a fingerprint of {n} frames of {w}x{h} cells is out of bounds")
        if len(blob) != _HEAD.size + 4 * n + cells:
            raise RegistryError(
                f"a fingerprint must have {_HEAD.size + 4 * n + cells} bytes, got {len(blob)}"
            )
        seconds = np.frombuffer(blob, "<u4", n, _HEAD.size).astype(np.float32) / np.float32(1000)
        packed = np.frombuffer(blob, np.uint8, cells, _HEAD.size + 4 * n)
        steps = np.stack([packed >> 4, packed & 15], axis=-1).reshape(-1)[: n * h * w]
        return seconds, (steps.astype(np.float32) / np.float32(7) - np.float32(1)).reshape(n, h, w)


def fingerprint(frames: Iterable[tuple[float, npt.NDArray[np.uint8]]]) -> Fingerprint:
    """The fingerprint of (seconds, uint8 `(H, W)` luma) frames in display orientation.

    Frames may be many: only thumbnails are kept, and of more than 512 every second is dropped again and
    again. Raises `InputError` when there is no frame.

    >>> rng = np.random.default_rng(0)
    >>> f = fingerprint((i / 25, rng.integers(0, 256, (90, 160), np.uint8)) for i in range(30))
    >>> len(f.to_bytes()) < 4096
    True
    """
    kept: list[tuple[float, npt.NDArray[np.float32]]] = []
    size: tuple[int, int] | None = None
    stride = 1
    for index, (seconds, luma) in enumerate(frames):
        if index % stride:
            continue
        size = size or _grid(luma.shape[0], luma.shape[1])
        kept.append((seconds if math.isfinite(seconds) else 0.0, _normalise(luma, size)))
        if len(kept) >= MAX_GATHERED:
            kept, stride = kept[::2], stride * 2
    if not kept or size is None:
        raise InputError("a fingerprint needs at least one frame, got none")
    kept.sort(key=lambda k: k[0])  # a broken file's times may go back
    return _pack(_spread(kept), size)


def _grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns: about `CELLS` square cells."""
    ratio = min(max(width / height, 1 / 6), 6)
    rows = round((CELLS / ratio) ** 0.5)
    return rows, min(MAX_SIDE, CELLS // rows)


def _normalise(luma: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """High-pass and divide by the local spread, so that gain, gamma and vignettes matter little."""
    rows, columns = size
    fine = cv2.resize(luma, (columns * FINE, rows * FINE), interpolation=cv2.INTER_AREA).astype(np.float32)
    mean = cv2.GaussianBlur(fine, (0, 0), 3 * FINE)
    high = fine - mean
    spread = np.sqrt(cv2.GaussianBlur(high * high, (0, 0), 3 * FINE)) + FLOOR
    small = cv2.resize(high / spread, (columns, rows), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(small / CLIP, -1, 1), np.float32)


def _spread(
    kept: list[tuple[float, npt.NDArray[np.float32]]],
) -> list[tuple[float, npt.NDArray[np.float32]]]:
    """`FRAMES` of the frames, evenly in time; all of them when there are fewer."""
    if len(kept) <= FRAMES:
        return kept
    times = np.array([t for t, _ in kept])
    wanted = np.linspace(times[0], times[-1], FRAMES)
    picks = sorted({int(np.abs(times - t).argmin()) for t in wanted})
    return [kept[i] for i in picks]


def _pack(frames: list[tuple[float, npt.NDArray[np.float32]]], size: tuple[int, int]) -> Fingerprint:
    milliseconds = [min(max(round(t * 1000), 0), 2**32 - 1) for t, _ in frames]
    steps = (np.round(np.stack([f for _, f in frames]) * 7) + 7).astype(np.uint8).reshape(-1)
    steps = np.append(steps, np.zeros(steps.size % 2, np.uint8))
    blob = _HEAD.pack(len(frames), *size) + np.array(milliseconds, "<u4").tobytes()
    return Fingerprint.from_bytes(VERSION, blob + (steps[::2] << 4 | steps[1::2]).tobytes())
