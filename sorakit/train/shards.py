"""Clips in tar shards, laid out as WebDataset reads them: one's own clips, or the sprite world's, as files.

A sample is `KEY.png`, all frames of a clip below one another (lossless, and any viewer shows it), and
`KEY.json` with its caption and number of frames. `KEY.mask.png`, if there, weighs pixels as a sprite's does.
No pickle, and nothing is unpacked to disk: a reader looks members up by their place in the tar, refuses those
over a limit before reading them, and checks a picture's size before decoding it.

Captions must use the words of `sorakit.world.caption`: the text encoder's vocabulary is closed.
"""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sorakit.errors import InputError, LimitError, UsageError
from sorakit.train.recipe import Recipe
from sorakit.types import Rgb
from sorakit.video.convert import resize
from sorakit.world.caption import caption, encode
from sorakit.world.dataset import MAKEUP, Batch, Draw, make_batch
from sorakit.world.frames import sample_given

__all__ = ["Sample", "ShardSet", "Where", "read_sample", "world_samples", "write_shards"]

_MAX_BYTES = 64 << 20
_MAX_PIXELS = 1 << 26
_MAX_SAMPLES = 10_000_000

Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A clip `uint8 (T, H, W, 3)`, its caption and, if wanted, a mask `uint8 (T, H, W)`: what counts more."""

    frames: Rgb
    caption: str
    mask: Grey | None = None


@dataclass(frozen=True, slots=True)
class Where:
    """Where a sample lies in its shard: (offset, bytes) of each member."""

    shard: Path
    key: str
    frames: tuple[int, int]
    about: tuple[int, int]
    mask: tuple[int, int] | None


class _About(BaseModel):
    """`KEY.json`."""

    model_config = ConfigDict(extra="ignore")
    caption: str = Field(max_length=1000)
    frames: int = Field(ge=1, le=4096)


def write_shards(samples: Iterable[Sample], folder: Path, *, per_shard: int = 1000) -> list[Path]:
    """Write `samples` to `folder/shard-000000.tar`, …; the shards' paths come back.

    Raises `UsageError` for a caption that the text encoder cannot read, a clip of a wrong form and shards of
    nothing. A shard appears under its name only when it is whole.
    """
    if per_shard < 1:
        raise UsageError(f"`per_shard` must be at least 1, got {per_shard}")
    folder.mkdir(parents=True, exist_ok=True)
    done: list[Path] = []
    source = enumerate(samples)
    first = next(source, None)
    while first is not None:
        path = folder / f"shard-{len(done):06d}.tar"
        part = path.with_suffix(".part")
        with tarfile.open(part, "w") as tar:
            item: tuple[int, Sample] | None = first
            while item is not None and item[0] < (len(done) + 1) * per_shard:
                _add(tar, f"{item[0]:08d}", item[1])
                item = next(source, None)
            first = item
        part.replace(path)
        done.append(path)
    return done


def world_samples(recipe: Recipe, count: int, seed: int = 0) -> Iterator[Sample]:
    """`count` clips of the recipe's world, of its usual size, with masks of their sprites."""
    draw = Draw(recipe.space, 1, (recipe.shape,), length=recipe.length, patch=recipe.draw.patch)
    for i in range(count):
        b = make_batch(seed, i, draw)
        yield Sample(b.clips[0], caption(b.scenes[0]), np.rint(b.masks[0] * 255).astype(np.uint8))


def read_sample(where: Where) -> Sample:
    """The sample at `where`; raises `InputError` when it is not what `write_shards` writes."""
    with where.shard.open("rb") as file:
        try:
            about = _About.model_validate_json(_bytes(file, where.about, where))
        except ValidationError as error:
            raise InputError(f"{where.shard}: {where.key}.json is not a caption and a frame count") from error
        strip = _decode(_bytes(file, where.frames, where), cv2.IMREAD_COLOR, where)  # (T·H, W, 3)
        mask = _decode(_bytes(file, where.mask, where), cv2.IMREAD_GRAYSCALE, where) if where.mask else None
    T, height = about.frames, strip.shape[0]
    if height % T or (mask is not None and mask.shape != strip.shape[:2]):
        raise InputError(
            f"{where.shard}: {where.key} is no strip of {T} frames, or its mask is no such strip"
        )
    frames = strip[..., ::-1].reshape(T, height // T, -1, 3)  # BGR to RGB
    return Sample(frames, about.caption, None if mask is None else mask.reshape(frames.shape[:3]))


@dataclass(frozen=True, slots=True)
class ShardSet:
    """All samples of a folder's shards, and how batches are drawn from them."""

    places: tuple[Where, ...]
    seed: int
    draw: Draw

    @classmethod
    def open(cls, folder: Path, recipe: Recipe) -> "ShardSet":
        """Look up all samples in `folder/*.tar`.

        Raises `UsageError` when there is none, or when the recipe wants truth that files do not have.
        """
        if recipe.probe or recipe.decoy:
            raise UsageError(
                f"`{recipe.name}` trains with a probe and decoys, which only rendered clips have; "
                "add --set probe=0 --set decoy=0"
            )
        shards = sorted(folder.glob("*.tar"))
        places = tuple(w for shard in shards for w in _index(shard))
        if not places:
            raise UsageError(f"{folder} holds no *.tar of KEY.png and KEY.json; write some with write_shards")
        return cls(places, recipe.seed, recipe.draw)

    @property
    def about(self) -> str:
        """What the clips are, for the ledger."""
        shards = sorted({w.shard.name for w in self.places})
        return f"{len(self.places):,} clips in {len(shards)} shard(s), {shards[0]} to {shards[-1]}"

    def batch(self, index: int) -> Batch:
        """Batch `index`: samples drawn with replacement, each fitted to the batch's shape."""
        rng = np.random.default_rng([self.seed, index])
        size, shape = self.draw.shape_of(rng)
        clips = np.empty((size, *shape, 3), np.uint8)
        masks = np.zeros((size, *shape), np.float32)
        given = np.zeros((size, shape[0]), bool)
        tokens = []
        for i, at in enumerate(rng.integers(len(self.places), size=size)):
            sample = read_sample(self.places[at])
            clips[i], masks[i] = _fitted(sample, shape, rng)
            tokens.append(encode(sample.caption, self.draw.length))
            if rng.random() < self.draw.given:
                given[i, list(sample_given(rng, shape[0], 1).frames)] = True
        patches = int(np.prod([s // p for s, p in zip(shape, self.draw.patch, strict=True)]))
        makeup = np.zeros((size, patches, MAKEUP), np.float32)
        textured = np.zeros((size, shape[0]), np.float32)
        return Batch((), clips, clips, np.stack(tokens), masks, given, makeup, textured)


def _add(tar: tarfile.TarFile, key: str, sample: Sample) -> None:
    frames = sample.frames
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise UsageError(f"`frames` must be uint8 (T, H, W, 3), got {frames.dtype} {frames.shape}")
    if sample.mask is not None and sample.mask.shape != frames.shape[:3]:
        raise UsageError(f"`mask` must be {frames.shape[:3]} as the frames, got {sample.mask.shape}")
    encode(sample.caption, 1000)  # refuse unknown words now rather than in a run
    T, H, W = frames.shape[:3]
    members = {"png": _png(frames.reshape(T * H, W, 3)[..., ::-1])}
    if sample.mask is not None:
        members["mask.png"] = _png(sample.mask.reshape(T * H, W))
    members["json"] = json.dumps({"caption": sample.caption, "frames": T}).encode()
    for name, data in members.items():
        info = tarfile.TarInfo(f"{key}.{name}")
        info.size, info.mode = len(data), 0o644
        tar.addfile(info, io.BytesIO(data))


def _png(picture: Grey) -> bytes:
    _, data = cv2.imencode(".png", np.ascontiguousarray(picture))
    return data.tobytes()


def _index(shard: Path) -> Iterator[Where]:
    """Samples of one shard, in the order of their keys; members of other kinds are passed over."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(shard, "r:") as tar:  # uncompressed: members have a place
            for member in tar:
                key, _, kind = member.name.partition(".")
                if member.isreg() and kind in ("png", "json", "mask.png"):
                    found.setdefault(key, {})[kind] = (member.offset_data, member.size)
                if len(found) > _MAX_SAMPLES:
                    raise LimitError(f"{shard} holds more than {_MAX_SAMPLES} samples; split it")
    except (OSError, tarfile.TarError) as error:
        raise InputError(f"{shard} is no tar file that can be read: {error}") from error
    for key, members in sorted(found.items()):
        if "png" in members and "json" in members:
            yield Where(shard, key, members["png"], members["json"], members.get("mask.png"))


def _bytes(file: io.BufferedReader, place: tuple[int, int], where: Where) -> bytes:
    offset, size = place
    if size > _MAX_BYTES:
        raise LimitError(f"{where.shard}: {where.key} has {size} bytes, the limit is {_MAX_BYTES}")
    file.seek(offset)
    return file.read(size)


def _decode(data: bytes, how: int, where: Where) -> Grey:
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        raise InputError(f"{where.shard}: {where.key} is no PNG")
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if not 0 < width * height <= _MAX_PIXELS:
        raise LimitError(f"{where.shard}: {where.key} has {width} × {height} px, the limit is {_MAX_PIXELS}")
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), how)
    if picture is None:
        raise InputError(f"{where.shard}: {where.key} does not decode")
    return picture.astype(np.uint8, copy=False)


def _fitted(
    sample: Sample, shape: tuple[int, int, int], rng: np.random.Generator
) -> tuple[Rgb, npt.NDArray[np.float32]]:
    """A random window of `shape` frames, cropped in the middle to the aspect ratio and resized.

    A clip that is too short is held on its last frame.
    """
    T, H, W = shape
    frames = sample.frames
    start = int(rng.integers(max(1, len(frames) - T + 1)))
    at = np.minimum(np.arange(start, start + T), len(frames) - 1)
    mask = sample.mask if sample.mask is not None else np.zeros(frames.shape[:3], np.uint8)
    h, w = frames.shape[1:3]
    ch, cw = min(h, round(w * H / W)), min(w, round(h * W / H))
    y, x = (h - ch) // 2, (w - cw) // 2
    cut = (slice(y, y + max(1, ch)), slice(x, x + max(1, cw)))
    clip = np.stack([resize(np.ascontiguousarray(frames[(t, *cut)]), W, H) for t in at])
    weight = np.stack([resize(np.ascontiguousarray(mask[(t, *cut)]), W, H) for t in at])
    return clip, weight.astype(np.float32) / np.float32(255)
