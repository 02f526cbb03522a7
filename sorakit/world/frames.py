"""Which frames of a clip are given: image-to-video, first and last, extension both ways, in between.

One mechanism for all of them: a boolean a frame says whether the model is shown it clean (the masked
conditioning of MagicVideo-V2 and of Sora's report; Ho et al. 2022, arXiv:2204.03458, §3.1). To be continued,
a clip is a window of a longer one, so the window's place on the shot's time line is drawn too.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Given", "sample_given"]


@dataclass(frozen=True, slots=True)
class Given:
    """`frames`: indices shown clean; `start`, `span`: its place on a longer time line, as in `render`."""

    frames: tuple[int, ...] = ()
    start: int = 0
    span: int | None = None


def sample_given(rng: np.random.Generator, frames: int, shots: int) -> Given:
    """Draw a task for a clip of `frames`; a clip with a cut (`shots` 2) is never a window.

    Of the tasks 25 % give the first frame, 15 % the first and last, 35 % the first 4 or 8 of a window that
    begins up to two spans later, 15 % the last 4 or 8 of one that begins up to a span earlier, and 10 %
    frames scattered over the clip. Windows come most often, because they alone show motions that have ended.
    """
    task = rng.random()
    if task < 0.25 or frames < 8:
        return Given((0,))
    if task < 0.4:
        return Given((0, frames - 1))
    if task < 0.5:
        count = int(rng.integers(1, frames // 2 + 1))
        return Given(tuple(sorted(int(i) for i in rng.choice(frames, count, replace=False))))
    known = 4 if frames < 16 or rng.random() < 0.5 else 8
    if shots > 1:
        return Given(tuple(range(known)))
    if task < 0.85:
        return Given(tuple(range(known)), 4 * int(rng.integers(0, frames // 2 + 1)), frames)
    return Given(tuple(range(frames - known, frames)), -4 * int(rng.integers(0, frames // 4 + 1)), frames)
