"""The forms in which a training clip is seen: as it is, later in time, and after what dissemination does.

In: a file and a variant's name. Out: the canonical bitstream (`detectors.clip.pack`). Random choices follow
from the file's hash and the variant's name, so that the same file gives the same bytes in every run. Both
classes go through the same forms, at jittered frame rates: else the recoding, not the content, is learned.
"""

import tempfile
from pathlib import Path

import numpy as np

from detectors.clip import WIDE, degrade, pack, read_squares
from sorakit.errors import UsageError
from sorakit.video.roundtrip import recompress

__all__ = ["AUGMENTED", "LATER", "PLAIN", "SOCIAL", "VARIANTS", "make_variant"]

PLAIN, LATER, SOCIAL = "plain", "later", "social"
AUGMENTED = ("mixed1", "mixed2", "mixed3")
VARIANTS = (PLAIN, SOCIAL, *AUGMENTED, LATER)

_SPAN = 1.7
"""Seconds that a window of 13 frames lasts, about."""


def make_variant(path: Path, sha256: str, variant: str) -> bytes:
    """The canonical bytes of one variant of a file.

    `plain`: the first window. `later`: the last one. `social`: the first of the file shrunk to 640 px and
    re-encoded at CRF 30. `mixed1`…: a random window at a jittered stride, cropped, shrunk and re-encoded.
    Raises `UsageError` for another name, and as `read_squares` does.
    """
    if variant == PLAIN:
        return pack(read_squares(path).frames)
    if variant == LATER:
        first = read_squares(path, frames=1)
        return pack(read_squares(path, at=max(0.0, first.duration - _SPAN)).frames)
    if variant == SOCIAL:
        return _social(path)
    if variant not in AUGMENTED:
        raise UsageError(f"`variant` must be one of {', '.join(VARIANTS)}, got {variant!r}")
    rng = np.random.default_rng([int(sha256[:8], 16), AUGMENTED.index(variant)])
    first = read_squares(path, frames=1)
    room = max(0.0, first.duration - _SPAN)
    step = int(rng.integers(-1, 2)) if first.stride > 1 else 0
    window = read_squares(path, at=float(rng.uniform(0, room)), step=step, side=WIDE)
    return pack(degrade(window.frames, rng))


def _social(path: Path) -> bytes:
    data = recompress(path, long_side=640, crf=30, seconds=2.2)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "social.mp4"
        copy.write_bytes(data)
        return pack(read_squares(copy).frames)
