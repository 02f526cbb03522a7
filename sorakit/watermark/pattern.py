"""From key and payload to the pattern: a sum of 242 plane waves whose frequencies form a square lattice.

In the canonical frame (display orientation, square pixels, short side 480) the pattern repeats every 128
px, so its frequencies are k / 128 cycles a pixel with integer k, 4 ≤ |k| ≤ 13, half of the plane (the rest
is the conjugate). A fifth of them carry keyed phases for synchronisation; the real and imaginary parts of
the others carry the coded bits times keyed signs. All amplitudes are equal.

The key becomes pattern through SHAKE-256 alone (domain-separated, little-endian words, stable sort), so
the pattern is a format: it does not depend on NumPy's generators or on the machine.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError
from sorakit.types import FrameGeometry
from sorakit.watermark.base import PUBLIC_KEY
from sorakit.watermark.payload import CODED_BITS, encode

__all__ = [
    "CANONICAL",
    "K_MAX",
    "SECRET_ZOOM",
    "TILE",
    "Carriers",
    "carriers",
    "render",
    "shared_pattern",
    "spectrum",
    "zoom_of",
]

CANONICAL = 480
"""Short side of the canonical frame, px."""
TILE = 128
"""Period of the pattern in the canonical frame, px."""
K_MIN, K_MAX = 4, 13
SECRET_ZOOM = 1.08
"""Few carriers of a lattice this much larger come near to one of the public lattice."""
_SYNC_SHARE = 0.2
_DOMAIN = b"io.github.sorakit.lattice.1"

Floats = npt.NDArray[np.float32]
Complexes = npt.NDArray[np.complex64]


@dataclass(frozen=True, slots=True, eq=False)
class Carriers:
    """The keyed lattice. All arrays are read-only.

    `sync_k (S, 2)`, `data_k (D, 2)`: integer (kx, ky). `sync_phase (S,)`: unit complex. `sign (2 D,)`: keyed
    ±1 for the real and imaginary parts, interleaved. `bit (2 D,)`: which coded bit each of them carries.
    """

    sync_k: npt.NDArray[np.int64]
    data_k: npt.NDArray[np.int64]
    sync_phase: npt.NDArray[np.complex128]
    sign: npt.NDArray[np.float64]
    bit: npt.NDArray[np.int64]


def _stream(key: bytes, label: bytes, n: int) -> bytes:
    """`n` bytes from SHAKE-256 over the domain, the label and the key, each with its length before it."""
    seed = b"".join(len(part).to_bytes(4, "big") + part for part in (_DOMAIN, label, key))
    return hashlib.shake_256(seed).digest(n)


def _shuffle(key: bytes, label: bytes, n: int) -> npt.NDArray[np.int64]:
    words = np.frombuffer(_stream(key, label, 8 * n), dtype="<u8")
    return np.argsort(words, kind="stable").astype(np.int64)


def _lattice() -> npt.NDArray[np.int64]:
    ks = [
        (kx, ky)
        for ky in range(K_MAX + 1)
        for kx in range(-K_MAX, K_MAX + 1)
        if K_MIN**2 <= kx * kx + ky * ky <= K_MAX**2 and (ky > 0 or kx > 0)
    ]
    return np.array(ks, dtype=np.int64)


@lru_cache(maxsize=16)
def carriers(key: bytes) -> Carriers:
    """The lattice of a key.

    >>> carriers(b"k").data_k.shape[1]
    2
    """
    if not key:
        raise UsageError("`key` must not be empty, got b''; use PUBLIC_KEY or at least 16 random bytes")
    ks = _lattice()
    ks = ks[_shuffle(key, b"carriers", len(ks))]
    n_sync = round(_SYNC_SHARE * len(ks))
    sync_k, data_k = ks[:n_sync], ks[n_sync:]
    phase = np.frombuffer(_stream(key, b"sync", n_sync), dtype=np.uint8) * (2 * np.pi / 256)
    n_data = 2 * len(data_k)
    sign_bits = np.unpackbits(np.frombuffer(_stream(key, b"signs", n_data // 8 + 1), dtype=np.uint8))
    bit = np.empty(n_data, dtype=np.int64)
    bit[_shuffle(key, b"bits", n_data)] = np.arange(n_data) % CODED_BITS
    result = Carriers(
        sync_k=sync_k,
        data_k=data_k,
        sync_phase=np.exp(1j * phase),
        sign=np.asarray(1.0 - 2.0 * sign_bits[:n_data], dtype=np.float64),
        bit=bit,
    )
    for array in (result.sync_k, result.data_k, result.sync_phase, result.sign, result.bit):
        array.flags.writeable = False
    return result


def spectrum(key: bytes, payload: int) -> npt.NDArray[np.complex128]:
    """Coefficients `(27, 27)` over (ky, kx), each from -13 to 13, of a pattern of unit variance."""
    c = carriers(key)
    chips = encode(payload)[c.bit] * c.sign
    out = np.zeros((2 * K_MAX + 1, 2 * K_MAX + 1), dtype=np.complex128)
    out[c.sync_k[:, 1] + K_MAX, c.sync_k[:, 0] + K_MAX] = c.sync_phase
    data = (chips[0::2] + 1j * chips[1::2]) / np.sqrt(2)
    out[c.data_k[:, 1] + K_MAX, c.data_k[:, 0] + K_MAX] = data
    return np.asarray(out * np.sqrt(2 / np.sum(np.abs(out) ** 2)), dtype=np.complex128)


def zoom_of(key: bytes) -> float:
    """How much larger than the public pattern a key's is drawn.

    Secret patterns lie on a lattice of their own: on a common one two keys would meet on every carrier, each
    would be half erased by the other, and who overwrites the public mark would erase the secret one with it.

    >>> zoom_of(PUBLIC_KEY)
    1.0
    """
    return 1.0 if key == PUBLIC_KEY else SECRET_ZOOM


def shared_pattern(
    keys: Sequence[bytes], payload: int, geometry: FrameGeometry, size: tuple[int, int] | None = None
) -> Floats:
    """The sum of the keys' patterns, as `render` gives one, scaled to unit variance.

    >>> shared_pattern([PUBLIC_KEY, b"secret"], 7, FrameGeometry(320, 256)).shape
    (256, 320)
    """
    if not keys or len(set(keys)) < len(keys):
        raise UsageError(f"`keys` must be one or more different keys, got {len(keys)}; name each one once")
    each = [render(spectrum(key, payload), geometry, size, zoom=zoom_of(key)) for key in keys]
    total = each[0] if len(each) == 1 else np.sum(each, axis=0) / np.float32(np.sqrt(len(each)))
    return np.asarray(total, dtype=np.float32)


def render(
    coefficients: npt.NDArray[np.complex128],
    geometry: FrameGeometry,
    size: tuple[int, int] | None = None,
    *,
    zoom: float = 1.0,
) -> Floats:
    """The pattern on the stored plane, `float32 (height, width)`, unit variance; sampled at `size` (h, w).

    `zoom` scales it. Built so that turning the plane by `geometry.rotation` and stretching it to square
    pixels shows the pattern upright; the lattice is separable in x and y, so no interpolation is needed.
    """
    if geometry.rotation not in (0, 90, 180, 270):
        raise UsageError(f"`rotation` must be 0, 90, 180 or 270, got {geometry.rotation}; round it first")
    h, w = size or (geometry.height, geometry.width)
    display_w, display_h = geometry.width * float(geometry.sar), float(geometry.height)
    along_x, along_y = (np.arange(w) + 0.5) * (display_w / w), (np.arange(h) + 0.5) * (display_h / h)
    if geometry.rotation in (180, 270):
        along_x = display_w - along_x
    if geometry.rotation in (90, 180):
        along_y = display_h - along_y
    period = zoom * TILE * min(display_w, display_h) / CANONICAL
    k = np.arange(-K_MAX, K_MAX + 1)
    wave_x = np.exp(2j * np.pi / period * np.outer(k, along_x)).astype(np.complex64)  # (27, w)
    wave_y = np.exp(2j * np.pi / period * np.outer(along_y, k)).astype(np.complex64)  # (h, 27)
    # Turned by 90° or 270°, stored columns run along the viewer's y: the coefficients swap their axes.
    swap = geometry.rotation in (90, 270)
    left: Complexes = wave_y @ (coefficients.T if swap else coefficients).astype(np.complex64)  # (h, 27)
    # Re(a·b) as two real products: half the work of a complex one.
    return left.real @ wave_x.real - left.imag @ wave_x.imag
