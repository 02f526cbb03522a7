"""How unlikely a decoded payload is on video that does not carry it: a proven bound, no calibration.

Conditions. The carriers' values y_j come from the video and from hypotheses (position, geometry) that were
chosen with the synchronisation phases and with magnitudes only. The payload carriers' signs s_j come from
another branch of SHAKE-256, so on unmarked video, or under another key, they are independent fair coins
whatever the video is. For one code word c and any weights w_j ≥ 0 that depend on the y_j's magnitudes,

    P(Σ c_j s_j sgn(y_j) w_j ≥ t)  ≤  min over λ > 0 of  exp(-λ t) Π cosh(λ w_j)          (Chernoff)

which is never worse than Hoeffding's exp(-t² / 2 Σ w²), and a good deal tighter near the decoding limit.
A false decode needs *some* code word at *some* hypothesis to pass, so the bound is multiplied by the 2^64
code words (the CRC is part of the code word: there are 2^64, not 2^88) and by the number of hypotheses
that one detection may decode. No list size enters: all code words are counted already. Choosing the
position needs no factor either, as it uses none of the signs. The result is a valid p-value for a file.
"""

import numpy as np
import numpy.typing as npt

from sorakit.watermark.payload import PAYLOAD_BITS

__all__ = ["MAX_DECODES", "MAX_LOG10_P", "log10_bound", "log10_chernoff"]

MAX_DECODES = 256
"""Hypotheses that one detection may decode; the union bound counts all of them, tried or not."""
MAX_LOG10_P = -9.0
"""A decode counts as found only below this bound."""

Doubles = npt.NDArray[np.float64]


def log10_bound(agreement: Doubles) -> float:
    """log10 of the bound on a false decode a file. `agreement` `(n,)`: weights, + where the code word fits.

    Never above 0.

    >>> log10_bound(np.ones(404)) < -90
    True
    >>> log10_bound(np.resize([1.0, -1.0], 404))
    0.0
    """
    union = (PAYLOAD_BITS * np.log(2) + np.log(MAX_DECODES)) / np.log(10)
    return min(0.0, log10_chernoff(agreement) + float(union))


def log10_chernoff(agreement: Doubles) -> float:
    """log10 of the bound for one code word at one hypothesis fixed beforehand; never above 0."""
    weights = np.abs(agreement)
    energy = float(np.sum(weights**2))
    total = float(np.sum(agreement))
    if not np.isfinite(energy) or energy <= 0 or total <= 0:
        return 0.0
    # Any λ > 0 is valid; total / energy is Hoeffding's choice, and the best lies there or above.
    lam = total / energy * np.geomspace(1, 16, 64)[:, None]
    exponents = np.sum(_log_cosh(lam * weights), axis=1) - lam[:, 0] * total
    return float(min(0.0, exponents.min() / np.log(10)))


def _log_cosh(x: Doubles) -> Doubles:
    return np.asarray(np.logaddexp(x, -x) - np.log(2), dtype=np.float64)
