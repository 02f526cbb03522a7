"""The `Watermark` protocol: what a scheme must offer to be used by `publish` and `check`.

In: stored luma planes. Out: marked planes, or evidence. Schemes never see RGB, files or codecs.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from sorakit.types import FrameGeometry, Luma, LumaFilter, WatermarkEvidence

__all__ = ["PUBLIC_KEY", "Watermark"]

PUBLIC_KEY = b"sorakit-public-1"
"""The pattern key that anyone may read (and so also write: the signature, not the mark, proves who)."""


class Watermark(Protocol):
    """A blind, keyed video watermark on the luma plane."""

    @property
    def name(self) -> str:
        """Algorithm name as it stands in the soft-binding assertion (reverse-DNS)."""
        ...

    @property
    def payload_bits(self) -> int:
        """Size of the payload that `embedder` takes."""
        ...

    def embedder(
        self,
        geometry: FrameGeometry,
        payload: int,
        *,
        keys: Sequence[bytes] = (PUBLIC_KEY,),
        psnr: float = 45.0,
        frames: int | None = None,
    ) -> LumaFilter:
        """A filter that marks successive stored luma planes of one video in display order.

        With several keys each one's reader finds the payload; the patterns share the energy. `frames`: how
        many will come, where that is known.
        """
        ...

    def detect(self, frames: Iterable[tuple[float, Luma]], *, key: bytes = PUBLIC_KEY) -> WatermarkEvidence:
        """Evidence from (seconds, luma) of one video, as `read_luma` yields them."""
        ...
