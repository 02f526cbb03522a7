"""Frames that a clip is made around: a first or last image, or any frames by their place.

In: pictures `uint8 (H, W, 3)` or runs of them `(k, H, W, 3)`, for all clips of a batch or one set a clip.
Out: `GivenFrames`, arrays with their places marked. One mechanism (the masked conditioning of Sora's report
and MagicVideo-V2, see `sorakit.world.frames`) serves image to video, first and last frame, extension both
ways and in-between frames.

A model in latents sees frames by whole groups of 4, as its autoencoder codes them. There an image stands
for its group (the clip holds it for 4 frames), and other frames are given a whole group at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sorakit.errors import UsageError
from sorakit.types import Rgb

__all__ = ["Frames", "GivenFrames", "gather"]

Frames = Mapping[int, Any]
"""Place → picture or run of pictures that begins there; negative places count from the end."""


@dataclass(frozen=True, slots=True, eq=False)
class GivenFrames:
    """`pictures` `uint8 (N, T, H, W, 3)`, black where none is given; `mask` `bool (N, T)` says where."""

    pictures: Rgb
    mask: npt.NDArray[np.bool_]

    def paste(self, clips: Rgb) -> Rgb:
        """`clips` `(N, T, H, W, 3)` with the given frames in their places, bit for bit."""
        return np.where(self.mask[:, :, None, None, None], self.pictures, clips)


def gather(
    count: int,
    size: tuple[int, int, int],
    *,
    image: Any = None,
    last_image: Any = None,
    frames: Frames | Sequence[Frames | None] | None = None,
    group: int = 1,
) -> GivenFrames | None:
    """All that is given to `count` clips of `size` (T, H, W), or None when nothing is.

    `image`, `last_image`: one picture for all clips, or a sequence with one (or None) a clip. `frames`: a
    mapping for all, or a sequence of them. `group`: frames that can only be given together. Raises
    `UsageError` for pictures of another kind or size, places outside the clip or taken twice, part of a
    group, or nothing left to make.

    >>> gather(1, (16, 32, 32), image=np.zeros((32, 32, 3), np.uint8)).mask.sum()
    np.int64(1)
    """
    if image is None and last_image is None and frames is None:
        return None
    T = size[0]
    out = GivenFrames(np.zeros((count, *size, 3), np.uint8), np.zeros((count, T), bool))
    for name, places, value in (
        ("image", range(group), image),
        ("last_image", range(T - group, T), last_image),
    ):
        for i, picture in enumerate(_one_each(name, value, count)):
            if picture is not None:
                for place in places:
                    _put(out, i, place, _picture(name, picture, size))
    for i, mapping in enumerate(_one_each("frames", frames, count)):
        for place, picture in _spread(mapping or {}, size):
            _put(out, i, place, picture)
    _check_groups(out.mask, group)
    return out if out.mask.any() else None


def _one_each(name: str, value: Any, count: int) -> list[Any]:
    """`value` for each clip: itself when it is one picture or mapping, its parts when it is a sequence."""
    single = isinstance(value, Mapping) or hasattr(value, "convert") or getattr(value, "ndim", 4) == 3
    if value is None or single:
        return [value] * count
    if not isinstance(value, Sequence | np.ndarray):
        raise UsageError(f"`{name}` must be given as arrays or pictures, got {type(value).__name__}")
    if len(value) != count:
        raise UsageError(f"`{name}` must hold one for each of the {count} prompts, got {len(value)}")
    return list(value)


def _spread(mapping: Frames, size: tuple[int, int, int]) -> Iterator[tuple[int, Rgb]]:
    """Each given frame by itself, with its place from the start."""
    if not isinstance(mapping, Mapping):
        raise UsageError(f"`frames` must map places to pictures, got {type(mapping).__name__}")
    for place, value in mapping.items():
        name = f"frames[{place}]"
        if isinstance(place, bool) or not isinstance(place, int | np.integer):
            raise UsageError(f"`frames` must map whole numbers to pictures, got {place!r}")
        run = value if getattr(value, "ndim", 3) == 4 else [value]
        first = int(place) + (size[0] if place < 0 else 0)
        if not 0 <= first <= first + len(run) <= size[0]:
            raise UsageError(
                f"`{name}` must lie in the clip of {size[0]} frames, got {len(run)} frame(s) there"
            )
        for k, picture in enumerate(run):
            yield first + k, _picture(name, picture, size)


def _picture(name: str, value: Any, size: tuple[int, int, int]) -> Rgb:
    array = np.asarray(value.convert("RGB") if hasattr(value, "convert") else value)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] != 3:
        raise UsageError(f"`{name}` must be uint8 (H, W, 3), got {array.dtype} {array.shape}")
    if array.shape[:2] != size[1:]:
        raise UsageError(
            f"`{name}` must be {size[1]}×{size[2]} px as the clip, got {array.shape[0]}×{array.shape[1]}; "
            "resize it, or ask for that `height` and `width`"
        )
    return array


def _put(out: GivenFrames, clip: int, place: int, picture: Rgb) -> None:
    if out.mask[clip, place]:
        raise UsageError(f"frame {place} is given twice; give each frame once")
    out.pictures[clip, place] = picture
    out.mask[clip, place] = True


def _check_groups(mask: npt.NDArray[np.bool_], group: int) -> None:
    if mask.all(1).any():
        raise UsageError(f"all {mask.shape[1]} frames are given and none is left to make; give fewer")
    inside = mask.reshape(len(mask), -1, group)
    part = inside.any(2) & ~inside.all(2)
    if part.any():
        first = group * int(np.argwhere(part)[0, 1])
        raise UsageError(
            f"this model works in latents of {group} frames, so frames are given {group} at a time; got part "
            f"of {first} to {first + group - 1}: give all of them, or use `image` or `last_image`"
        )
