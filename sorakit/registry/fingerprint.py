"""Perceptual fingerprints of videos: `sketch` makes them, `match` compares them.

In: a video, or its (seconds, luma) frames. Out: a `Fingerprint`, and how alike two are.
"""

from pathlib import Path

from sorakit.registry.match import MATCH_THRESHOLD, similarity
from sorakit.registry.sketch import Fingerprint, fingerprint
from sorakit.video.read import read_luma

__all__ = ["MATCH_THRESHOLD", "Fingerprint", "fingerprint", "fingerprint_file", "similarity"]

_FRAMES_READ = 48  # of which it keeps twelve, so that times can be met; a watermark's reader wants more


def fingerprint_file(path: Path) -> Fingerprint:
    """The fingerprint of a video file. Raises as `read_luma` does.

    >>> len(fingerprint_file(Path("clip.mp4")).to_bytes()) < 4096  # doctest: +SKIP
    True
    """
    return fingerprint(read_luma(path, max_frames=_FRAMES_READ))
