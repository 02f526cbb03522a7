"""Perceptual fingerprints of videos: `sketch` makes them, `match` compares them.

In: (seconds, luma) frames. Out: a `Fingerprint`, and how alike two are.
"""

from sorakit.registry.match import MATCH_THRESHOLD, similarity
from sorakit.registry.sketch import Fingerprint, fingerprint

__all__ = ["MATCH_THRESHOLD", "Fingerprint", "fingerprint", "similarity"]
