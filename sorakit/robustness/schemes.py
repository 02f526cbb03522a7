"""Watermarking schemes behind one face, so that one benchmark measures them all.

In: RGB pictures and a payload. Out: marked pictures, and from a file what is read there. `SchemeSpec` is
plain data that crosses to worker processes; `open_scheme` turns it into the scheme. Third parties add theirs
through the entry-point group `sorakit.watermarks`: a callable (weights: Path | None) → `Scheme`.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

import av
import numpy as np

from sorakit.errors import InputError, UsageError
from sorakit.types import Rgb
from sorakit.video.convert import frame_to_rgb, rgb_to_frame
from sorakit.video.read import read_luma, read_rgb
from sorakit.watermark.attacks.forgery import marked
from sorakit.watermark.imwatermark import METHODS, ImWatermark, Method
from sorakit.watermark.payload import ID_BITS, VERSION
from sorakit.watermark.video import FRAMES_WANTED, VideoWatermark

__all__ = [
    "Reading",
    "Scheme",
    "SchemeSpec",
    "State",
    "decibels",
    "delivered_psnr",
    "mixed",
    "open_scheme",
    "specs",
]

RGB_BELOW_LUMA = 1.32
"""A luma error is this much larger in RGB, dB: 20 log10(255 / 219), the limited range's stretch."""


State = dict[str, float]
"""What a scheme has to know of a clip to mark and to read it, such as its step; plain JSON.

`frames`: how many pictures come, which `publish` knows too."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file said. `payload`: None where no mark was found; `log10_p`: the evidence, if there is any."""

    payload: int | None
    log10_p: float | None = None


class Scheme(Protocol):
    """A video watermark as the benchmark uses it."""

    @property
    def bits(self) -> int:
        """Size of the payload."""
        ...

    def tune(self, rgb: Rgb, payload: int, psnr: float) -> State:
        """How strong to mark a clip that begins with `rgb`, for a luma PSNR of `psnr` dB or its equal."""
        ...

    def mark(self, pictures: Iterator[Rgb], payload: int, state: State) -> Iterator[av.VideoFrame]:
        """Marked frames, yuv420p, of pictures with even sides."""
        ...

    def read(self, path: Path, state: State) -> Reading:
        """Look for the mark in a file."""
        ...


@dataclass(frozen=True, slots=True)
class SchemeSpec:
    """Which scheme. `frames`: how many frames of a clip it is given, all for None. `weights`: of a plugin."""

    name: str
    kind: str
    frames: int | None = None
    weights: str | None = None


def specs(peers: bool, plugins: dict[str, Path], peer_frames: int) -> list[SchemeSpec]:
    """Ours first; with `peers` or `plugins` also ours on the same few frames that the others get."""
    out = [SchemeSpec("sorakit", "sorakit")]
    if peers or plugins:
        out.append(SchemeSpec("sorakit few frames", "sorakit", peer_frames))
    if peers:
        out += [SchemeSpec(method, method, peer_frames) for method in METHODS]
    out += [SchemeSpec(name, name, peer_frames, str(path)) for name, path in plugins.items()]
    return out


@lru_cache(maxsize=8)
def open_scheme(spec: SchemeSpec) -> Scheme:
    """The scheme itself; raises `UsageError` for an unknown one, `ModelError` without package or weights."""
    weights = Path(spec.weights) if spec.weights else None
    if spec.kind == "sorakit":
        return Lattice()
    for method in METHODS:
        if spec.kind == method:
            return Peer(method, spec.frames)
    from sorakit.robustness.plugins import ADAPTERS  # noqa: PLC0415 - only where one is asked for

    if spec.kind in ADAPTERS:
        return ADAPTERS[spec.kind](weights, spec.frames)
    points = {p.name: p for p in entry_points(group="sorakit.watermarks")}
    if spec.kind in points:
        make: Callable[[Path | None], Scheme] = points[spec.kind].load()
        return make(weights)
    known = ", ".join(sorted({*ADAPTERS, *points}))
    raise UsageError(f"unknown plugin {spec.kind!r}; known are {known}; install one that registers it")


class Lattice:
    """The kit's own watermark, on the luma plane, with the public key."""

    bits = ID_BITS

    def tune(self, _rgb: Rgb, _payload: int, psnr: float) -> State:
        """See `Scheme`; the embedder holds the PSNR itself."""
        return {"psnr": psnr}

    def mark(self, pictures: Iterator[Rgb], payload: int, state: State) -> Iterator[av.VideoFrame]:
        """See `Scheme`."""
        count = int(state["frames"]) if "frames" in state else None
        word = VERSION << ID_BITS | payload
        return marked(map(rgb_to_frame, pictures), word, state["psnr"], count=count)

    def read(self, path: Path, _state: State) -> Reading:
        """See `Scheme`; all 64 bits have to be right, of which 4 are the version."""
        found = VideoWatermark().detect(read_luma(path, max_frames=FRAMES_WANTED, threads=1))
        whole = int(found.payload, 16) if found.payload else None
        return Reading(None if whole is None else whole ^ VERSION << ID_BITS, found.log10_p)


class Peer:
    """A method of invisible-watermark, its strength turned until the PSNR is the wanted one.

    The two DCT methods have a step to turn; rivaGan has none, so its change is scaled. A payload comes back
    from any video whatever: these schemes have no gate.
    """

    bits = ImWatermark.payload_bits

    def __init__(self, method: Method, frames: int | None) -> None:
        self._method, self._frames = method, frames
        self._plain = ImWatermark(method)

    def tune(self, rgb: Rgb, payload: int, psnr: float) -> State:
        """See `Scheme`."""
        wanted = psnr - RGB_BELOW_LUMA
        if self._method == "rivaGan":
            return {"share": 10 ** ((delivered_psnr(self._plain.embedder(payload)(rgb), rgb) - wanted) / 20)}
        low, high = 2.0, 200.0
        for _ in range(6):
            step = (low * high) ** 0.5
            marked = ImWatermark(self._method, strength=step).embedder(payload)(rgb)
            low, high = (step, high) if delivered_psnr(marked, rgb) > wanted else (low, step)
        return {"step": low}

    def mark(self, pictures: Iterator[Rgb], payload: int, state: State) -> Iterator[av.VideoFrame]:
        """See `Scheme`."""
        mark = self._turned(state).embedder(payload)
        for rgb in pictures:
            marked = mark(rgb)
            yield rgb_to_frame(mixed(rgb, marked, state["share"]) if "share" in state else marked)

    def read(self, path: Path, state: State) -> Reading:
        """See `Scheme`."""
        frames = (rgb for _, rgb in read_rgb(path, max_frames=self._frames, threads=1))
        try:
            return Reading(self._turned(state).detect(frames))
        except InputError:  # too small for it, which is a failure of the scheme and not of the run
            return Reading(None)

    def _turned(self, state: State) -> ImWatermark:
        return ImWatermark(self._method, strength=state["step"]) if "step" in state else self._plain


def delivered_psnr(marked: Rgb, plain: Rgb) -> float:
    """PSNR of two pictures in RGB, dB, after both were stored as yuv420p: what is delivered is compared.

    Storing halves the colour's resolution and with it some of a mark that lies in colour.
    """
    a, b = (frame_to_rgb(rgb_to_frame(picture)).astype(np.float32) for picture in (marked, plain))
    return decibels(float(np.mean((a - b) ** 2)))


def decibels(error: float) -> float:
    """PSNR of 8-bit values by their mean squared error; no error counts as 1e-9."""
    return 10 * math.log10(255**2 / max(error, 1e-9))


def mixed(rgb: Rgb, marked: Rgb, share: float) -> Rgb:
    """`rgb` with `share` of what the mark changed."""
    changed = rgb + share * (marked.astype(np.float32) - rgb)
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)
