"""Which clips a measurement runs on: picked from a manifest, taken from a folder, or made here.

In: a folder or manifest, a number, a seed. Out: paths. A manifest is a `manifest.csv` with the columns path,
generator_or_source, width, height and duration; its sources are split in two halves by a hash of their name,
so that no source is in both: develop on `dev`, report on `held-out`.
"""

import csv
import hashlib
import random
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np

from sorakit.errors import InputError, UsageError
from sorakit.types import Clip, Rgb
from sorakit.watermark.attacks.base import Job
from sorakit.watermark.attacks.reframe import detail
from sorakit.watermark.attacks.stream import Stream, encode
from sorakit.world.render import render
from sorakit.world.scene import Space, sample_scene

__all__ = ["Split", "collect", "half_of", "made", "pick"]

Split = Literal["dev", "held-out"]

VIDEO = frozenset({".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".gif"})
MIN_SIDE = 256
MAX_PIXELS = 1920 * 1080
_WANTED = (3.0, 5.1)
_MAX_LISTED = 100_000


def half_of(source: str) -> Split:
    """The half that a source of clips belongs to, for good."""
    digest = hashlib.md5(source.encode(), usedforsecurity=False).digest()
    return "dev" if digest[0] % 2 == 0 else "held-out"


def pick(data: Path, split: Split | str, n: int, seed: int) -> list[Path]:
    """`n` clips of one half of a manifest's sources; those of 3 to 5 s first, then long before short.

    Clips have a short side of 256 px or more, at most 1080p, and last 1 to 6 s. Raises `InputError` for a
    manifest that is missing or has other columns.
    """
    found: list[tuple[bool, int, float, Path]] = []
    dice = random.Random(seed)  # noqa: S311  a sample of clips
    try:
        with (data / "manifest.csv").open(newline="", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                w, h, seconds = int(row["width"]), int(row["height"]), float(row["duration"])
                fits = w * h <= MAX_PIXELS and min(w, h) >= MIN_SIDE and 1 <= seconds <= 6
                if fits and half_of(row["generator_or_source"]) == split:
                    whole = _WANTED[0] <= seconds <= _WANTED[1]
                    found.append((not whole, -int(seconds), dice.random(), data / row["path"]))
    except (OSError, KeyError, ValueError, UnicodeError) as error:
        raise InputError(f"{data / 'manifest.csv'} is no manifest of clips: {error}") from error
    return sorted(path for *_, path in sorted(found)[:n])


def collect(clips: Path | None, n: int, seed: int, split: Split, scratch: Path) -> list[Path]:
    """`n` clips: of a manifest (a folder with one, or the file), of a folder, or drawn into `scratch`.

    Raises `UsageError` when there are none.
    """
    if clips is None:
        return made(n, seed, scratch)
    if clips.name == "manifest.csv" or (clips / "manifest.csv").is_file():
        found = pick(clips.parent if clips.name == "manifest.csv" else clips, split, n, seed)
    elif clips.is_dir():
        every = [p for p in clips.rglob("*") if p.suffix.lower() in VIDEO and p.is_file()][:_MAX_LISTED]
        dice = random.Random(seed)  # noqa: S311  a sample of clips
        found = sorted(dice.sample(sorted(every), min(n, len(every))))
    else:
        found = [clips] if clips.is_file() else []
    if not found:
        raise UsageError(
            f"no clips in {clips}; give a folder of videos, a manifest.csv, or leave --clips out"
        )
    return found


def made(n: int, seed: int, folder: Path) -> list[Path]:
    """`n` clips of 3 s, 640 × 360, drawn from the seed: sprite scenes and moving 1/f pictures in turn."""
    paths = []
    for index in range(n):
        path = folder / f"made-{seed}-{index:03d}.mp4"
        paths.append(path)
        if not path.exists():
            clip = _scene(seed, index) if index % 2 else _texture(seed, index)
            part = path.with_name(f".{path.name}")
            encode(Stream(iter(clip.frames), clip.fps), Job("made clip", part, part), 12)
            part.replace(path)
    return paths


def _scene(seed: int, index: int) -> Clip:
    scene = sample_scene(np.random.default_rng([seed, index]), Space())
    return Clip(render(scene, seed * 1000 + index, 72, 360, 640).frames, Fraction(24))


def _texture(seed: int, index: int, frames: int = 72) -> Clip:
    """A picture with detail at all scales under a moving camera."""
    rng = np.random.default_rng([seed, index])
    size, room = (360, 640), 72
    total = detail(size[0] + room, size[1] + room, rng, [2**octave for octave in range(2, 8)])
    canvas = np.clip(120 + 45 * (total - total.mean()) / total.std(), 0, 255).astype(np.uint8)
    pictures: list[Rgb] = []
    for t in range(frames):
        y, x = round(36 + 34 * np.sin(t / 23)), round(36 + 34 * np.cos(t / 17))
        pictures.append(canvas[y : y + size[0], x : x + size[1]])
    return Clip(np.stack(pictures), Fraction(24))
