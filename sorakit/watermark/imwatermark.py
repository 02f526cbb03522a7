"""The three watermarks of invisible-watermark 0.2.0, for comparison: dwtDct, dwtDctSvd and rivaGan.

In: RGB frames and a 32-bit payload. Out: marked frames, or the payload by majority over frames. These are
frame-level schemes, not the luma `Watermark` protocol, on purpose: dwtDct and dwtDctSvd write into the chroma
plane and rivaGan into all of RGB, so a gray picture made of luma would cripple them. They also return 32 bits
from any picture whatever and no evidence, so they cannot serve as a check. Needs the `iw` extra (rivaGan its
ONNX weights, which the package ships); nothing is imported before a scheme is made.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sorakit.errors import ModelError, UnsupportedError, UsageError
from sorakit.types import Rgb

__all__ = ["METHODS", "ImWatermark", "Method"]

Method = Literal["dwtDct", "dwtDctSvd", "rivaGan"]
METHODS: tuple[Method, ...] = ("dwtDct", "dwtDctSvd", "rivaGan")
_MIN_PIXELS = 256 * 256


class ImWatermark:
    """One method of invisible-watermark.

    `strength`: quantisation step of the two DCT methods (their default is 36); rivaGan has none.
    Raises `ModelError` when the `iw` extra is missing, `UsageError` for an unknown method.

    >>> ImWatermark("dwtDctSvd").payload_bits  # doctest: +SKIP
    32
    """

    payload_bits = 32

    def __init__(self, method: Method, *, strength: float = 36.0) -> None:
        if method not in METHODS:
            raise UsageError(f"`method` must be one of {', '.join(METHODS)}, got {method!r}")
        self.name = f"invisible-watermark.{method}"
        self._method = method
        self._options: dict[str, Any] = {} if method == "rivaGan" else {"scales": [0, strength, 0]}
        self._library = _library()
        if method == "rivaGan":
            self._library.WatermarkEncoder.loadModel()

    def embedder(self, payload: int) -> Callable[[Rgb], Rgb]:
        """A function that marks one `uint8 (H, W, 3)` RGB frame."""
        if not 0 <= payload < 1 << self.payload_bits:
            raise UsageError(f"`payload` must fit {self.payload_bits} bits, got {payload}")
        encoder = self._library.WatermarkEncoder()
        encoder.set_watermark(
            "bits", [payload >> shift & 1 for shift in range(self.payload_bits - 1, -1, -1)]
        )

        def mark(rgb: Rgb) -> Rgb:
            marked = encoder.encode(_bgr(rgb), self._method, **self._options)
            return np.ascontiguousarray(marked[:, :, ::-1])

        return mark

    def detect(self, frames: Iterable[Rgb]) -> int:
        """The payload by majority over frames, each bit on its own; some number comes back from any video."""
        decoder = self._library.WatermarkDecoder("bits", self.payload_bits)
        votes = [
            np.asarray(decoder.decode(_bgr(f), self._method, **self._options), dtype=float) for f in frames
        ]
        if not votes:
            raise UsageError("`frames` must hold at least one frame, got none")
        bits: npt.NDArray[np.bool_] = np.mean(votes, axis=0) > 0.5
        return int("".join("1" if bit else "0" for bit in bits), 2)


def _bgr(rgb: Rgb) -> npt.NDArray[np.uint8]:
    if rgb.shape[0] * rgb.shape[1] < _MIN_PIXELS:
        raise UnsupportedError(
            f"invisible-watermark needs {_MIN_PIXELS} px a frame, got {rgb.shape[:2]}; enlarge it"
        )
    return np.ascontiguousarray(rgb[:, :, ::-1])


def _library() -> Any:
    try:
        import imwatermark  # noqa: PLC0415  an optional extra, and it imports torch
    except ImportError as error:
        raise ModelError(
            f"invisible-watermark is not installed ({error}); install it with `pip install sorakit[iw]`"
        ) from error
    return imwatermark
