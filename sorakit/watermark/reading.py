"""Read the public mark and the secret ones of one video, and say which key read what.

In: frames and secret keys. Out: one `WatermarkEvidence`. The frames are decoded and whitened once for all
keys. Every key is another chance to be wrong, so the bound of `gate` is multiplied by their number
(Bonferroni): found still means at most 1e-9 a file. Where the payloads differ the secret one counts, since
anyone can write a public mark over another.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from sorakit.types import Luma, WatermarkEvidence
from sorakit.video.read import read_luma
from sorakit.watermark.base import PUBLIC_KEY
from sorakit.watermark.gate import MAX_LOG10_P
from sorakit.watermark.video import FRAMES_WANTED, Averages, VideoWatermark, gather

__all__ = ["read_file", "read_marks", "reads_under"]

PUBLIC, SECRET = "public", "secret"
_LONG = 10.0
"""Seconds from which decoding all frames costs more than choosing some."""
_FIRST_LOOK, _GLANCES, _MOST = 6, 12, 64
"""Frames of the beginning, of the whole where they showed the mark, and of the whole where they did not."""
_READINGS = 3  # of one file at most: a chance match has that many tries


def read_file(path: Path, duration: float, secret: Sequence[dict[str, str]] = ()) -> WatermarkEvidence:
    """The marks in a video file, `duration` seconds long, as `probe` told.

    Of a long file 64 frames are read, or fewer: once the mark shows in the first six, where it was put,
    only a frame now and then, to see that the rest carries it too; if it does not, all of them after all.

    Raises as `read_luma` does.

    >>> read_file(Path("clip.mp4"), 3.0).payload  # doctest: +SKIP
    '1f00000000000001'
    """
    if duration <= _LONG:
        return read_marks(read_luma(path, max_frames=FRAMES_WANTED), secret)
    seen = False
    frames = read_luma(path, max_frames=_MOST, apart=lambda: duration / _GLANCES if seen else 0.0)
    gathered = gather(islice(frames, _FIRST_LOOK), _keys(secret))
    first = _read(gathered, secret, thorough=False, parts=False)
    seen = first.found and (SECRET in first.keys or not secret)
    whole = _read(gather(frames, _keys(secret), gathered), secret, thorough=not seen)
    if seen and not (whole.found and all(segment["state"] == "marked" for segment in whole.segments)):
        return read_marks(read_luma(path, max_frames=_MOST), secret)
    return whole


def read_marks(
    frames: Iterable[tuple[float, Luma]],
    secret: Sequence[dict[str, str]] = (),
    *,
    thorough: bool = True,
) -> WatermarkEvidence:
    """What the marks in (seconds, luma) say; `secret`: `{"id", "key"}` as `keyring.secret_keys` gives them.

    Reads under the public key, and under each secret one, newest first, until one is found. `thorough` as
    for `VideoWatermark.detect`.

    >>> read_marks([]).keys
    []
    """
    return _read(gather(frames, _keys(secret)), secret, thorough=thorough)


def _keys(secret: Sequence[dict[str, str]]) -> list[bytes]:
    return [PUBLIC_KEY, *(bytes.fromhex(item["key"]) for item in secret)]


def _read(
    gathered: Averages, secret: Sequence[dict[str, str]], *, thorough: bool, parts: bool = True
) -> WatermarkEvidence:
    def read(key: bytes) -> WatermarkEvidence:
        found = VideoWatermark().read(gathered, key=key, thorough=thorough, parts=parts)
        return _within(found, _READINGS * (1 + len(secret)))

    shown = read(PUBLIC_KEY)
    for item in secret:
        if (found := read(bytes.fromhex(item["key"]))).found:
            return _both(shown, found, item["id"])
    return replace(shown, keys=[PUBLIC] if shown.found else [])


def reads_under(keys: Sequence[bytes], frames: Iterable[tuple[float, Luma]], payload: str) -> bool:
    """Whether `payload` (16 hex digits) is read under every one of `keys`.

    >>> reads_under([PUBLIC_KEY], [], "0" * 16)
    False
    """
    gathered = gather(frames, keys)
    return all(VideoWatermark().read(gathered, key=key).payload == payload for key in keys)


def _within(found: WatermarkEvidence, tried: int) -> WatermarkEvidence:
    """`found` with its bound for all the keys that are tried; not found where that is above the gate."""
    bound = found.log10_p + math.log10(max(1, tried))
    if not found.found or bound > MAX_LOG10_P:
        return WatermarkEvidence(algorithm=found.algorithm)
    return replace(found, log10_p=round(bound, 2))


def _both(shown: WatermarkEvidence, hidden: WatermarkEvidence, key_id: str) -> WatermarkEvidence:
    """The secret mark's evidence, with what the public one adds or contradicts."""
    agreed = shown.found and shown.payload == hidden.payload
    best = shown if agreed and shown.log10_p < hidden.log10_p else hidden
    overwritten: dict[str, Any] = {"public_payload": shown.payload} if shown.found and not agreed else {}
    keys = [PUBLIC, SECRET] if agreed else [SECRET]
    return replace(best, keys=keys, key_id=key_id, **overwritten)
