"""Where a shot begins: what `embed` strengthens and `detect` weighs has to be found alike in both.

In: successive frames' luma on a coarse grid. Out: whether each is the first of a shot.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Cuts"]

_CUT = 20.0
"""Mean change between frames, 8-bit levels, that is a cut if it is also four times the usual one."""


class Cuts:
    """Call it with each frame in turn.

    >>> cuts = Cuts()
    >>> [cuts(np.full((4, 4), level, np.int16)) for level in (50, 51, 120)]
    [True, False, True]
    """

    def __init__(self) -> None:
        self._last: npt.NDArray[Any] | None = None
        self._usual = 0.0

    def __call__(self, glance: npt.NDArray[Any]) -> bool:
        """Whether `glance (h, w)`, signed 8-bit levels, follows a cut; the first one does."""
        last, self._last = self._last, glance
        if last is None:
            return True
        change = float(np.mean(np.abs(glance - last)))
        usual, self._usual = self._usual, 0.8 * self._usual + 0.2 * change
        return change > max(_CUT, 4 * usual)
