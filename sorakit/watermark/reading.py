"""Read the public mark and the secret ones of one video, and say which key read what.

In: frames and secret keys. Out: one `WatermarkEvidence`. The frames are decoded once and kept for the next
key. Every key is another chance to be wrong, so the bound of `gate` is multiplied by their number
(Bonferroni): found still means at most 1e-9 a file. Where the payloads differ the secret one counts, since
anyone can write a public mark over another.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sorakit.types import Luma, WatermarkEvidence
from sorakit.video.probe import probe
from sorakit.video.read import read_luma
from sorakit.watermark.base import PUBLIC_KEY
from sorakit.watermark.gate import MAX_LOG10_P
from sorakit.watermark.video import FRAMES_WANTED, VideoWatermark

__all__ = ["read_file", "read_marks", "reads_under"]

PUBLIC, SECRET = "public", "secret"
_LONG = 10.0
"""Seconds from which decoding all frames costs more than a first look at a few."""
_FIRST_LOOK = 12
_READINGS = 2  # of one file at most: a chance match has that many tries


def read_file(path: Path, secret: Sequence[dict[str, str]] = ()) -> WatermarkEvidence:
    """The marks in a video file: from a few frames if it is long and they all agree, else from more.

    Raises as `read_luma` does.

    >>> read_file(Path("clip.mp4")).payload  # doctest: +SKIP
    '1f00000000000001'
    """
    if probe(path).duration > _LONG:
        first = read_marks(read_luma(path, max_frames=_FIRST_LOOK), secret, thorough=False)
        agreed = all(segment["state"] == "marked" for segment in first.segments)
        if first.found and agreed and (SECRET in first.keys or not secret):
            return first
    return read_marks(read_luma(path, max_frames=FRAMES_WANTED), secret)


def read_marks(
    frames: Iterable[tuple[float, Luma]],
    secret: Sequence[dict[str, str]] = (),
    *,
    public: bool = True,
    thorough: bool = True,
) -> WatermarkEvidence:
    """What the marks in (seconds, luma) say; `secret`: `{"id", "key"}` as `keyring.secret_keys` gives them.

    Reads under each key, newest first, until a secret one is found; the public key too unless told not to.
    `thorough` as for `VideoWatermark.detect`.

    >>> read_marks([]).keys
    []
    """
    replay, mark = _Replay(frames), VideoWatermark()
    tried = _READINGS * (len(secret) + public)
    shown = (
        _within(mark.detect(replay, key=PUBLIC_KEY, thorough=thorough), tried)
        if public
        else WatermarkEvidence()
    )
    for item in secret:
        hidden = _within(mark.detect(replay, key=bytes.fromhex(item["key"]), thorough=thorough), tried)
        if hidden.found:
            return _both(shown, hidden, item["id"])
    return replace(shown, keys=[PUBLIC] if shown.found else [])


def reads_under(keys: Sequence[bytes], frames: Iterable[tuple[float, Luma]], payload: str) -> bool:
    """Whether `payload` (16 hex digits) is read under every one of `keys`.

    >>> reads_under([PUBLIC_KEY], [], "0" * 16)
    False
    """
    replay, mark = _Replay(frames), VideoWatermark()
    return all(mark.detect(replay, key=key).payload == payload for key in keys)


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


class _Replay:
    """Frames that can be gone through again; each is taken from the source once, at most `FRAMES_WANTED`."""

    def __init__(self, frames: Iterable[tuple[float, Luma]]) -> None:
        self._source, self._kept = iter(frames), list[tuple[float, Luma]]()

    def __iter__(self) -> Iterator[tuple[float, Luma]]:
        yield from list(self._kept)
        while len(self._kept) < FRAMES_WANTED:
            frame = next(self._source, None)
            if frame is None:
                return
            self._kept.append(frame)
            yield frame
