"""How well a clip holds together where a model took it over: endpoints, seams, colours kept.

In: frames `uint8 (T, H, W, 3)` and where frames were given. Out: numbers. NumPy and the oracle, no torch.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from sorakit.errors import UsageError
from sorakit.types import Rgb
from sorakit.world.caption import parse
from sorakit.world.oracle import score

__all__ = ["endpoint_psnr", "facts_kept", "psnr", "seam_ratios"]

FLOOR = 0.25
"""Grey levels: less difference between two frames than this counts as this, so that still clips give 1."""

_CAP = 100.0


def psnr(made: Rgb, true: Rgb) -> float:
    """Peak signal-to-noise ratio of `uint8` pictures of one shape, dB; equal ones give 100.

    >>> psnr(np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8))
    0.0
    """
    if made.shape != true.shape:
        raise UsageError(f"`made` and `true` must have one shape, got {made.shape} and {true.shape}")
    error = float(np.mean((made.astype(np.float64) - true.astype(np.float64)) ** 2))
    return min(_CAP, 10 * np.log10(255**2 / error)) if error else _CAP


def endpoint_psnr(frames: Rgb, given: Mapping[int, Rgb]) -> dict[int, float]:
    """PSNR of each given frame `(H, W, 3)` in its place, dB; negative places count from the end.

    >>> clip = np.zeros((4, 8, 8, 3), np.uint8)
    >>> endpoint_psnr(clip, {0: clip[0], -1: clip[3]})
    {0: 100.0, -1: 100.0}
    """
    return {place: psnr(frames[place], picture) for place, picture in given.items()}


def seam_ratios(frames: Rgb, seams: Sequence[int], reach: int = 4) -> list[float]:
    """For each seam, the step over it as a multiple of the steps around it; 1 when nobody would see it.

    `seams`: first frames after each seam. A step is the mean absolute difference of two neighbours; those
    around are up to `reach` on both sides, no seam among them. Steps below 0.25 grey levels count as that.
    Raises `UsageError` for a seam outside the clip, or with no step beside it.

    >>> fade = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    >>> seam_ratios(fade, [4])
    [1.0]
    """
    moved = frames.astype(np.int16)
    steps = np.abs(moved[1:] - moved[:-1]).mean((1, 2, 3))  # (T - 1,), step i leads to frame i + 1
    steps = np.maximum(steps, FLOOR)
    apart = {s - 1 for s in seams}
    out = []
    for seam in seams:
        if not 1 <= seam < len(frames):
            raise UsageError(f"a seam must be 1 to {len(frames) - 1}, got {seam}")
        around = [i for i in range(seam - 1 - reach, seam + reach) if 0 <= i < len(steps) and i not in apart]
        if not around:
            raise UsageError(f"the seam at {seam} has no step beside it; give a longer clip or more `reach`")
        out.append(float(steps[seam - 1] / steps[around].mean()))
    return out


def facts_kept(
    frames: Rgb, prompt: str | Sequence[str], facts: Sequence[str] = ("colour",), window: int = 16
) -> dict[str, float]:
    """Share of windows of a long clip in which the oracle reads each fact of the prompt.

    The clip is cut into windows of `window` frames, what is left over at the end joins the last. `prompt`:
    one, or one a window. Raises `UsageError` for a clip shorter than a window, or another number of prompts.

    >>> from sorakit.world import render
    >>> text = "a big red circle bounces on a navy background"
    >>> facts_kept(render(parse(text), 1, 32, span=16).frames, text)
    {'colour': 1.0}
    """
    count = len(frames) // window
    if count < 1:
        raise UsageError(f"`frames` must hold a window of {window}, got {len(frames)}")
    prompts = [prompt] * count if isinstance(prompt, str) else list(prompt)
    if len(prompts) != count:
        raise UsageError(
            f"`prompt` must be one text or one for each of the {count} windows, got {len(prompts)}"
        )
    rows = []
    for i, text in enumerate(prompts):
        end = len(frames) if i == count - 1 else (i + 1) * window
        rows.append(score(frames[i * window : end], parse(text)))
    return {fact: float(np.mean([row[fact] for row in rows])) for fact in facts}
