"""Real footage at low resolution: a folder with a `manifest.csv` in, seeded crops out.

Every clip is decoded once, shrunk and appended to one memory-mapped file, so that training reads no video.
About a fifth of the sources is held back for measuring; which ones depends on their names alone, so that no
run ever trains on them. Training takes only clips under a licence that lets a model be passed on.
"""

import csv
import hashlib
import json
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sorakit.errors import InputError, SorakitError, UsageError
from sorakit.types import Rgb
from sorakit.video.convert import resize
from sorakit.video.read import read_rgb

__all__ = ["OPEN_LICENCES", "Footage", "Strip", "is_held_back", "open_footage"]

OPEN_LICENCES = frozenset({"Apache-2.0", "Apache-2.0/BSD", "BSD", "MIT", "CC0-1.0", "CC-BY-4.0"})

_LONG_SIDE = 176
_FRAMES = 32
_LEAST = 64


@dataclass(frozen=True, slots=True)
class Strip:
    """One clip's place in the cache: `uint8 (frames, height, width, 3)` at byte `offset`."""

    path: str
    source: str
    licence: str
    offset: int
    frames: int
    height: int
    width: int


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """The cached clips; `pixels` is one flat memory map."""

    pixels: npt.NDArray[np.uint8]
    strips: tuple[Strip, ...]

    def for_training(self) -> "Footage":
        """The clips of all sources that are not held back, where the licence is open."""
        keep = (s for s in self.strips if not is_held_back(s.source) and s.licence in OPEN_LICENCES)
        return Footage(self.pixels, tuple(keep))

    def held_back(self) -> "Footage":
        """The clips of the sources that no run trains on."""
        return Footage(self.pixels, tuple(s for s in self.strips if is_held_back(s.source)))

    def crop(self, rng: np.random.Generator, shape: tuple[int, int, int]) -> Rgb:
        """A crop `(T, H, W, 3)` of random place, scale and mirroring; each source is drawn equally often.

        A clip that is too short runs to its end and back again.
        """
        sources = sorted({s.source for s in self.strips})
        source = sources[int(rng.integers(len(sources)))]
        choice = [s for s in self.strips if s.source == source]
        strip = choice[int(rng.integers(len(choice)))]
        T, H, W = shape
        size = strip.frames * strip.height * strip.width * 3
        video = self.pixels[strip.offset : strip.offset + size]
        video = video.reshape(strip.frames, strip.height, strip.width, 3)
        scale = rng.uniform(0.5, 1.0) * min(strip.height / H, strip.width / W)
        h, w = round(H * max(scale, 0.5)), round(W * max(scale, 0.5))
        h, w = min(h, strip.height), min(w, strip.width)
        y, x = int(rng.integers(strip.height - h + 1)), int(rng.integers(strip.width - w + 1))
        stride = int(rng.integers(1, 3))
        first = int(rng.integers(max(1, strip.frames - stride * (T - 1))))
        at = _back_and_forth(first + stride * np.arange(T), strip.frames)
        out = np.stack([resize(np.ascontiguousarray(video[t, y : y + h, x : x + w]), W, H) for t in at])
        return out[:, :, ::-1] if rng.random() < 0.5 else out


def is_held_back(source: str) -> bool:
    """Whether the source of this name is only for measuring.

    >>> is_held_back("opencv-doc")
    False
    """
    return hashlib.sha256(source.encode()).digest()[0] % 5 == 0


def open_footage(folder: Path, cache: Path) -> Footage:
    """The real clips of `folder`, decoded into `cache` unless they are there already.

    Raises `UsageError` without a manifest or without a real clip in it. A clip that does not decode is left
    out; `cache/footage.json` says which are in.
    """
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise UsageError(
            f"{folder} has no manifest.csv; give the folder that holds it, or leave `--real` out"
        )
    key = hashlib.sha256(manifest.read_bytes()).hexdigest()
    index, data = cache / "footage.json", cache / "footage.bin"
    if not index.is_file() or json.loads(index.read_text())["manifest"] != key:
        cache.mkdir(parents=True, exist_ok=True)
        strips = _decode_all(manifest, data)
        index.write_text(json.dumps({"manifest": key, "strips": [asdict(s) for s in strips]}, indent=1))
    strips = [Strip(**row) for row in json.loads(index.read_text())["strips"]]
    return Footage(np.memmap(data, np.uint8, "r"), tuple(strips))


def _decode_all(manifest: Path, data: Path) -> list[Strip]:
    with manifest.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["label"] == "real"]
    strips: list[Strip] = []
    part = data.with_suffix(".part")
    with part.open("wb") as out:
        for row in rows:
            try:
                clip = _decode(manifest.parent / row["path"])
            except SorakitError:
                continue
            T, H, W = clip.shape[:3]
            name, licence = row["generator_or_source"], row["licence"]
            strips.append(Strip(row["path"], name, licence, out.tell(), T, H, W))
            out.write(clip.tobytes())
    if not strips:
        raise UsageError(f"{manifest} names no real clip that decodes")
    part.replace(data)
    return strips


def _decode(path: Path) -> Rgb:
    """The first frames of a file, at low resolution; raises `InputError` when they are too small."""
    pictures = [p for _, p in islice(read_rgb(path, max_side=_LONG_SIDE, threads=1), _FRAMES)]
    if not pictures or min(pictures[0].shape[:2]) < _LEAST:
        raise InputError(f"{path} has no frame of at least {_LEAST} px")
    return np.stack([p for p in pictures if p.shape == pictures[0].shape])


def _back_and_forth(at: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
    """Indices reflected at both ends."""
    if length == 1:
        return np.zeros_like(at)
    at = at % (2 * length - 2)
    return np.minimum(at, 2 * length - 2 - at)
