"""The 64-bit payload and its error correction: bits in, 384 coded signs out, and back from soft values.

4 version bits and 60 random id bits, a CRC-24 (the upper 24 bits of CRC-32 over the 8 big-endian bytes)
and a rate-1/4, constraint-length-9 convolutional code (463, 535, 733, 745 octal), closed with 8 zeros.
Decoding is soft Viterbi; when its best path fails the CRC, the next best paths are tried in order (list
Viterbi by the tree-trellis algorithm: Seshadri and Sundberg 1994, Soong and Huang 1991).
"""

import heapq
import secrets
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError

__all__ = [
    "CODED_BITS",
    "COMMON_BITS",
    "ID_BITS",
    "PAYLOAD_BITS",
    "VERSION",
    "decode",
    "encode",
    "new_payload",
    "split",
]

PAYLOAD_BITS = 64
ID_BITS = 60
VERSION = 1
_CRC_BITS = 24
_MEMORY = 8
_POLYNOMIALS = (0o463, 0o535, 0o733, 0o745)
_RATE = len(_POLYNOMIALS)
_STEPS = PAYLOAD_BITS + _CRC_BITS + _MEMORY
_STATES = 1 << _MEMORY
CODED_BITS = _STEPS * _RATE
"""Signs that `encode` returns: 384."""
COMMON_BITS = (PAYLOAD_BITS - ID_BITS) * _RATE
"""The first signs, which the version alone sets: all marks of one version have them in common."""

_UNREACHABLE = np.float32(1e9)

Floats = npt.NDArray[np.float32]


def new_payload() -> int:
    """A fresh payload: the current version and 60 bits from the system's random source.

    >>> split(new_payload())[0] == VERSION
    True
    """
    return VERSION << ID_BITS | secrets.randbits(ID_BITS)


def split(payload: int) -> tuple[int, int]:
    """(version, id) of a payload."""
    _require(payload)
    return payload >> ID_BITS, payload & ((1 << ID_BITS) - 1)


def encode(payload: int) -> npt.NDArray[np.int8]:
    """384 signs (+1 for a 0 bit) of a payload.

    >>> encode(0).shape
    (384,)
    """
    word = _require(payload) << _CRC_BITS | _crc(payload)
    state, signs = 0, []
    for shift in range(_STEPS - 1, -1, -1):
        bit = word >> (shift - _MEMORY) & 1 if shift >= _MEMORY else 0
        state = (state << 1 | bit) & (2 * _STATES - 1)
        signs += [1 - 2 * ((state & p).bit_count() & 1) for p in _POLYNOMIALS]
    return np.array(signs, dtype=np.int8)


def decode(
    soft: Floats, *, list_size: int = 1, hopeful: Callable[[float], bool] = lambda _: True
) -> int | None:
    """The payload of the likeliest code word whose CRC holds among the `list_size` likeliest paths, or None.

    `soft`: `(384,)`, positive for +1, in units proportional to log-likelihood ratios. `hopeful` is asked once
    whether the likeliest path's fit, Σ soft · signs, is worth looking for words at all; none fits better.
    """
    if soft.shape != (CODED_BITS,):
        raise UsageError(
            f"`soft` must have shape ({CODED_BITS},), got {soft.shape}; sum carriers a bit first"
        )
    survivors = _forward(np.asarray(soft, dtype=np.float32))
    if not hopeful(survivors.fit):
        return None
    for word in _words(survivors, list_size):
        payload = word >> _CRC_BITS
        if _crc(payload) == word & ((1 << _CRC_BITS) - 1):
            return payload
    return None


def _require(payload: int) -> int:
    if not 0 <= payload < 1 << PAYLOAD_BITS:
        raise UsageError(
            f"`payload` must fit {PAYLOAD_BITS} bits, got {payload}; take one from `new_payload()`"
        )
    return payload


def _crc(payload: int) -> int:
    return zlib.crc32(payload.to_bytes(PAYLOAD_BITS // 8, "big")) >> (32 - _CRC_BITS)


@cache
def _branches() -> Floats:
    """`(4, 2 · 256)` signs that the step into a state emits, coming from its lower or upper predecessor."""
    out = np.empty((_RATE, 2, _STATES), dtype=np.float32)
    for state in range(_STATES):
        for upper in (0, 1):
            register = upper << _MEMORY | state
            out[:, upper, state] = [1 - 2 * ((register & p).bit_count() & 1) for p in _POLYNOMIALS]
    return out.reshape(_RATE, -1)


class _Survivors(NamedTuple):
    """What the forward pass leaves: `upper` and `loss`, each `(96, 256)`, and the best path's `fit`.

    `upper[t, s]`: whether the best way into state s at step t comes from the upper predecessor.
    `loss[t, s]`: by how much the other way is worse.
    """

    upper: npt.NDArray[np.bool_]
    loss: Floats
    fit: float


def _forward(soft: Floats) -> _Survivors:
    gains = (soft.reshape(_STEPS, _RATE) @ _branches()).reshape(_STEPS, 2, _STATES)
    upper = np.empty((_STEPS, _STATES), dtype=np.bool_)
    loss = np.empty((_STEPS, _STATES), dtype=np.float32)
    metric = np.full(_STATES, -_UNREACHABLE, dtype=np.float32)
    metric[0] = 0
    for t in range(_STEPS):
        # State s is reached from s >> 1 and from that plus 128: each half of the metrics, doubled.
        ways = np.repeat(metric.reshape(2, -1), 2, axis=1) + gains[t]  # (2, 256)
        np.greater(ways[1], ways[0], out=upper[t])
        np.abs(ways[1] - ways[0], out=loss[t])
        metric = ways.max(axis=0)
    return _Survivors(upper, loss, float(metric[0]))


def _words(survivors: _Survivors, limit: int) -> Iterator[int]:
    """Information words (payload and CRC, 88 bits), likeliest first, at most `limit`."""
    upper, loss = survivors.upper.tolist(), survivors.loss.tolist()  # lists are read faster one by one
    # (loss, tie-break, step from which the path follows the survivors back, state there, its later bits)
    heap: list[tuple[float, int, int, int, int]] = [(0.0, 0, _STEPS - 1, 0, 0)]
    made = 0
    for _ in range(limit):
        if not heap:
            return
        base, _, last, state, word = heapq.heappop(heap)
        for t in range(last, -1, -1):
            word |= (state & 1) << (_STEPS - 1 - t)
            taken, cost = upper[t][state], loss[t][state]
            if cost < _UNREACHABLE / 2:
                made += 1
                other = state >> 1 | (1 - taken) << (_MEMORY - 1)
                heapq.heappush(heap, (base + cost, made, t - 1, other, word))
            state = state >> 1 | taken << (_MEMORY - 1)
        yield word >> _MEMORY
