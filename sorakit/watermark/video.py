"""`VideoWatermark`: the lattice watermark as the kit uses it, key in, filter or evidence out.

In: stored luma planes to mark, or display-oriented luma frames to read. Out: marked planes, or
`WatermarkEvidence` whose `log10_p` is the proven bound of `gate`.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from sorakit.errors import UnsupportedError, UsageError
from sorakit.types import FrameGeometry, Luma, LumaFilter, WatermarkEvidence
from sorakit.watermark.base import PUBLIC_KEY
from sorakit.watermark.detect import Average, Place
from sorakit.watermark.embed import LumaEmbedder
from sorakit.watermark.pattern import carriers, zoom_of
from sorakit.watermark.payload import PAYLOAD_BITS
from sorakit.watermark.reader import Reader

__all__ = ["FRAMES_WANTED", "MIN_SHORT_SIDE", "Averages", "VideoWatermark", "gather"]

Averages = dict[float, Average]
"""What was gathered from one video, by the size at which a pattern is sought."""

FRAMES_WANTED = 96
"""Frames that `detect` takes at most, best spread over the whole video: `read_luma(path, max_frames=…)`."""
MIN_SHORT_SIDE = 128
"""Smallest display short side that `embedder` takes, px; from 256 px on the mark survives re-encoding."""


class VideoWatermark:
    """Keyed lattice spread spectrum with a 64-bit payload; implements `sorakit.watermark.base.Watermark`.

    >>> mark = VideoWatermark()
    >>> filt = mark.embedder(FrameGeometry(320, 256), 0x1234567890ABCDEF)
    >>> frames = [(t / 25, filt(np.full((256, 320), 128, np.uint8))) for t in range(8)]
    >>> mark.detect(frames).payload
    '1234567890abcdef'
    """

    name = "io.github.sorakit.lattice.1"
    payload_bits = PAYLOAD_BITS

    def embedder(
        self,
        geometry: FrameGeometry,
        payload: int,
        *,
        keys: Sequence[bytes] = (PUBLIC_KEY,),
        psnr: float = 45.0,
        frames: int | None = None,
    ) -> LumaFilter:
        """A filter that marks the stored luma planes of one video, in display order, at `psnr` dB or better.

        With several keys (a public and a secret one) each one's reader finds the payload; their patterns
        share the energy, so each is weaker by the root of their number. `frames`: how many will come; known,
        a short video keeps its PSNR too.

        Raises `UnsupportedError` for a display side under `MIN_SHORT_SIDE` px or a depth other than 8 and 10,
        `UsageError` for a payload over 64 bits, no key, an empty one or one given twice.
        """
        if min(geometry.display_size) < MIN_SHORT_SIDE:
            w, h = geometry.display_size
            raise UnsupportedError(
                f"the shorter side must be at least {MIN_SHORT_SIDE} px for a mark, got {w}×{h}; enlarge it"
            )
        if geometry.bit_depth not in (8, 10):
            raise UnsupportedError(
                f"`bit_depth` must be 8 or 10, got {geometry.bit_depth}; convert the video first"
            )
        return LumaEmbedder(keys, payload, geometry, psnr, frames)

    def detect(
        self, frames: Iterable[tuple[float, Luma]], *, key: bytes = PUBLIC_KEY, thorough: bool = True
    ) -> WatermarkEvidence:
        """Read the mark from (seconds, luma) of one video, as `read_luma` yields them.

        Luma is 8-bit `(H, W)`, display-oriented, with square pixels; seconds never fall. Takes at most
        `FRAMES_WANTED` frames. Found means a payload whose chance of being read from unmarked video is at
        most 1e-9 a file; anything less is reported as not found. Without `thorough` only an untouched
        geometry is tried, in a tenth of the time.
        """
        return self.read(gather(frames, (key,)), key=key, thorough=thorough)

    def read(
        self, gathered: Averages, *, key: bytes, thorough: bool = True, parts: bool = True
    ) -> WatermarkEvidence:
        """The same as `detect` from what `gather` made for several keys, `key` among them.

        Without `parts` the evidence has no segments, which cost more than finding the mark.
        """
        average = gathered[zoom_of(key)]
        if not average.count:
            return WatermarkEvidence(algorithm=self.name)
        reader = Reader(carriers(key), average)
        best = reader.run(thorough=thorough)
        if best is None:
            return WatermarkEvidence(algorithm=self.name)
        return WatermarkEvidence(
            found=True,
            algorithm=self.name,
            payload=f"{best.payload:016x}",
            log10_p=round(best.log10_p, 2),
            geometry=_geometry(best.place),
            segments=reader.segments(best) if parts else [],
        )


def gather(
    frames: Iterable[tuple[float, Luma]], keys: Sequence[bytes], begun: Averages | None = None
) -> Averages:
    """At most `FRAMES_WANTED` of (seconds, luma), whitened once for all keys whose patterns are of one size.

    `begun`: what was gathered of earlier frames for the same keys, to which these are added.

    >>> [average.count for average in gather([], (PUBLIC_KEY,)).values()]
    [0]
    """
    gathered = begun or {zoom: Average(zoom) for zoom in map(zoom_of, keys)}
    taken = max((average.count for average in gathered.values()), default=0)
    for seconds, frame in islice(frames, FRAMES_WANTED - taken):
        _require(frame)
        for average in gathered.values():
            average.add(seconds, frame)
    return gathered


def _require(frame: Luma) -> None:
    if frame.dtype != np.uint8 or frame.ndim != 2 or min(frame.shape) < 16:
        raise UsageError(
            f"`frames` must be (seconds, uint8 (H, W)) of 16 px or more, got {frame.dtype} {frame.shape}; "
            "use read_luma"
        )


def _geometry(place: Place) -> dict[str, float | bool]:
    """What was undone. `scale`: pattern size over its size in an untouched video; `rotation`: clockwise."""
    m = place.matrix
    mirrored = bool(np.linalg.det(m) < 0)
    column = m[:, 1] * (-1, 1) if mirrored else m[:, 1]  # where the pattern's downward axis points
    return {
        "scale": round(float(np.sqrt(abs(np.linalg.det(m)))), 4),
        "rotation": round(float(np.degrees(np.arctan2(-column[0], column[1]))), 2),
        "mirrored": mirrored,
    }
