"""How unlikely a decoded payload is on video that does not carry it: a proven bound, no calibration.

Conditions. The carriers' values y_j come from the video and from hypotheses (position, geometry) that were
chosen with the synchronisation phases and with magnitudes only. The payload carriers' signs s_j come from
another branch of SHAKE-256, so on unmarked video, or under another key, they are independent fair coins
whatever the video is. For one code word c and any weights w_j ≥ 0 that depend on the y_j's magnitudes,

    P(Σ c_j s_j sgn(y_j) w_j ≥ t)  ≤  min over λ > 0 of  exp(-λ t) Π cosh(λ w_j)          (Chernoff)

which is never worse than Hoeffding's exp(-t² / 2 Σ w²), and a good deal tighter near the decoding limit.
A false decode needs *some* code word at *some* hypothesis to pass. All code words are counted (the CRC is
part of the code word: there are 2^64, not 2^88), half of the budget for the 2^60 of the version in use and
half for the rest. The decodes of one detection are counted by rank: the i-th may take 1 / (i (i + 1)) of the
budget, which sums to 1 however many follow. So

    p = exp(-λ t) Π cosh(λ w_j) · 2 · 2^60 (or 2^64) · i (i + 1)

and the sum over everything that can be decoded from a file is a valid p-value for the file. No list size
enters: all code words are counted already. Choosing the position needs no factor either, as it uses none of
the signs, and neither does stopping at the first decode that passes. A decode that is given up because no
code word can pass takes its rank all the same.
"""

import math

import numpy as np
import numpy.typing as npt

from sorakit.watermark.payload import ID_BITS, PAYLOAD_BITS, VERSION, split

__all__ = ["MAX_LOG10_P", "log10_bound", "log10_chernoff", "within_reach"]

MAX_LOG10_P = -9.0
"""A decode counts as found only below this bound."""

Doubles = npt.NDArray[np.float64]


def log10_bound(agreement: Doubles, *, rank: int, payload: int) -> float:
    """log10 of the bound on a false decode a file.

    `agreement` `(n,)`: weights, + where the code word fits. `rank`: which decode of this detection it is,
    from 1. Never above 0.

    >>> log10_bound(np.ones(404), rank=1, payload=VERSION << ID_BITS) < -90
    True
    >>> log10_bound(np.resize([1.0, -1.0], 404), rank=1, payload=0)
    0.0
    """
    bits = ID_BITS if split(payload)[0] == VERSION else PAYLOAD_BITS
    return min(0.0, log10_chernoff(agreement) + _union(bits, rank))


def within_reach(weights: Doubles, fit: float, *, rank: int) -> bool:
    """Whether a code word that fits by `fit` = Σ c s sgn(y) w could pass the gate at this rank.

    The likeliest code word's fit bounds that of every other: if it is out of reach, so are all.

    >>> within_reach(np.ones(404), 404.0, rank=1), within_reach(np.ones(404), 100.0, rank=1)
    (True, False)
    """
    return _log10_tail(np.abs(weights), fit) + _union(ID_BITS, rank) <= MAX_LOG10_P


def log10_chernoff(agreement: Doubles) -> float:
    """log10 of the bound for one code word at one hypothesis fixed beforehand; never above 0."""
    return _log10_tail(np.abs(agreement), float(np.sum(agreement)))


def _union(bits: int, rank: int) -> float:
    """log10 of what the bound of one code word is multiplied by: all words of so many bits, and the rank."""
    return (bits + 1) * math.log10(2) + math.log10(rank * (rank + 1))


def _log10_tail(weights: Doubles, total: float) -> float:
    """log10 of the bound on a sum of at least `total` of `weights` with fair signs."""
    energy = float(np.sum(weights**2))
    if not np.isfinite(energy) or energy <= 0 or total <= 0:
        return 0.0
    # Any λ > 0 is valid; total / energy is Hoeffding's choice, and the best lies there or above.
    lam = total / energy * np.geomspace(1, 16, 64)[:, None]
    exponents = np.sum(_log_cosh(lam * weights), axis=1) - lam[:, 0] * total
    return float(min(0.0, exponents.min() / np.log(10)))


def _log_cosh(x: Doubles) -> Doubles:
    return np.asarray(np.logaddexp(x, -x) - np.log(2), dtype=np.float64)
