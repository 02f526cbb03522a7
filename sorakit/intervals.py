"""95 % intervals of shares when several clips answer one prompt, and of the difference of two shares.

In: scores `(n, K)` in [0, 1], one row a prompt, one column a noise seed. Out: a `Share`. Clips of one prompt
are alike, so K seeds tell less than K prompts would: Wilson's score interval (1927) is taken at the effective
number of clips, n K over the design effect, the form that Franco, Little, Louis & Slud (2019, J. Survey Stat.
Methodol. 7:334) recommend for clustered samples. With one seed it is Wilson's own interval.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError

__all__ = ["Share", "difference", "effective_clips", "share", "wilson", "wilson_ends"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Share:
    """A share, or a difference of shares, with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def ci(self) -> list[float]:
        """The interval for JSON, 4 digits."""
        return [round(self.low, 4), round(self.high, 4)]


def share(values: npt.ArrayLike) -> Share:
    """Mean of `values` `(n, K)` with its interval.

    >>> share([[1], [1], [0], [1]]).ci == wilson(0.75, 4)
    True
    """
    rows = _rows(values)
    mean = float(rows.mean())
    return Share(mean, *wilson_ends(mean, effective_clips(rows)))


def effective_clips(values: npt.ArrayLike) -> float:
    """How many clips of different prompts tell as much as `values` `(n, K)`: from n to n K.

    The design effect is K times the variance of the prompts' means over that of single clips, 1 to K. Both
    are estimated as if one more prompt had always failed and one always been obeyed: a handful of failures
    says little of how alike the seeds of a prompt are, and none at all says nothing.

    >>> effective_clips([[1, 1], [0, 0]]), effective_clips([[1], [0], [1]])
    (2.0, 3.0)
    """
    rows = _rows(values)
    n, K = rows.shape
    means = np.concatenate([rows.mean(1), [0.0, 1.0]])  # (n + 2,)
    p = float(means.mean())
    effect = K * float(means.var()) / (p * (1 - p))
    clips: float = n * K / min(max(effect, 1.0), float(K))
    return clips


def difference(first: Share, second: Share) -> Share:
    """`first` − `second` of two independent samples: Newcombe's hybrid score interval (1998, method 10).

    >>> difference(Share(0.5, 0.4, 0.6), Share(0.5, 0.4, 0.6)).ci
    [-0.1414, 0.1414]
    """
    d = first.mean - second.mean
    low = d - math.hypot(first.mean - first.low, second.high - second.mean)
    high = d + math.hypot(first.high - first.mean, second.mean - second.low)
    return Share(d, max(-1.0, low), min(1.0, high))


def wilson(mean: float, n: float) -> list[float]:
    """Wilson's interval of a share `mean` among `n`, 4 digits; wide for shares of parts.

    >>> wilson(0.5, 100)
    [0.4038, 0.5962]
    """
    return [round(x, 4) for x in wilson_ends(mean, n)]


def wilson_ends(mean: float, n: float, z: float = 1.959964) -> tuple[float, float]:
    """As `wilson`, in full precision."""
    middle = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def _rows(values: npt.ArrayLike) -> Floats:
    rows = np.asarray(values, np.float64)
    if rows.ndim != 2 or rows.size == 0 or rows.min() < 0 or rows.max() > 1:
        raise UsageError(f"`values` must be (prompts, seeds) in [0, 1], got shape {rows.shape}")
    return rows
