"""Pictures on their way into a foreign pipeline, and its frames on their way out.

In: a picture file or array; what a pipeline returns as `.frames`. Out: a `PIL.Image`; `uint8 (T, H, W, 3)`.
"""

import hashlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from sorakit.errors import InputError, LimitError, ModelError, NotAVideoError, UsageError
from sorakit.types import Rgb
from sorakit.video.convert import array_to_rgb

__all__ = ["digest_of", "load_picture", "to_rgb"]

_FORMATS = ("PNG", "JPEG", "WEBP")
_MAX_PIXELS = 1 << 26
_MAX_BYTES = 1 << 28


def load_picture(image: Path | npt.NDArray[np.uint8]) -> Any:
    """A `PIL.Image` in RGB, turned as its camera says.

    `image`: a PNG, JPEG or WebP file, or `uint8 (H, W, 3)`. Raises `InputError` for a file that is none of
    these, `LimitError` for one above 64 megapixels, `UsageError` for another array.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError  # noqa: PLC0415 - comes with diffusers

    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3 or 0 in image.shape:
            raise UsageError(f"`image` must be a file or uint8 (H, W, 3), got {image.dtype} {image.shape}")
        return Image.fromarray(np.ascontiguousarray(image))
    if not image.is_file():
        raise InputError(f"{image}: no such picture file")
    if image.stat().st_size > _MAX_BYTES:
        raise LimitError(f"{image} must be at most {_MAX_BYTES} bytes")
    try:
        with Image.open(image, formats=_FORMATS) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                raise LimitError(f"{image} must have at most {_MAX_PIXELS} pixels, got {picture.size}")
            return ImageOps.exif_transpose(picture).convert("RGB")
    except UnidentifiedImageError as error:
        raise NotAVideoError(f"{image} is no picture in {', '.join(_FORMATS)}") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{image} does not read as a picture: {str(error)[:200]}") from error


def digest_of(picture: Any) -> str:
    """SHA-256 of the picture's pixels, RGB row by row: which picture a clip started from."""
    return "sha256:" + hashlib.sha256(picture.tobytes()).hexdigest()


def to_rgb(frames: Any) -> Rgb:
    """The first video of `frames` as `uint8 (T, H, W, 3)`.

    Pipelines return a batch of lists of PIL images, an array `(N, T, H, W, C)` or a tensor `(N, T, C, H, W)`,
    floats in [0, 1] or `uint8`; gray and alpha too. Raises `ModelError` for anything else.
    """
    video = _array(frames)
    if video.ndim == 5:
        video = video[0]
    if video.ndim != 4 or 0 in video.shape:
        raise ModelError(f"the pipeline's frames must be (T, H, W, C) or (T, C, H, W), got {video.shape}")
    if video.shape[-1] not in (1, 3, 4) and video.shape[1] in (1, 3, 4):
        video = video.transpose(0, 2, 3, 1)  # (T, H, W, C)
    channels = video.shape[-1]
    if channels not in (1, 3, 4):
        raise ModelError(f"the pipeline's frames must have 1, 3 or 4 channels, got {video.shape}")
    video = np.repeat(video, 3, axis=-1) if channels == 1 else video[..., :3]  # (T, H, W, 3)
    if video.dtype == np.uint8:
        return cast(Rgb, np.ascontiguousarray(video))
    video = video.astype(np.float32)
    if not np.isfinite(video).all():
        raise ModelError("the pipeline made NaN or infinity; use `dtype` bfloat16 or float32")
    if video.min() < -1e-3 or video.max() > 1 + 1e-3:
        raise ModelError(
            f"the pipeline's frames must be in [0, 1], got {video.min():.3g} to {video.max():.3g}"
        )
    return array_to_rgb(video.transpose(3, 0, 1, 2) * 2 - 1)


def _array(frames: Any) -> npt.NDArray[Any]:
    """Arrays from tensors, PIL images and nested lists of either."""
    if hasattr(frames, "detach"):
        return cast("npt.NDArray[Any]", frames.detach().float().cpu().numpy())
    if isinstance(frames, list | tuple):
        if not frames:
            raise ModelError("the pipeline returned no frames")
        first = frames[0]
        nested = isinstance(first, list | tuple) or getattr(first, "ndim", 3) >= 4
        return _array(first) if nested else np.stack([_array(f) for f in frames])
    return np.asarray(frames)
