"""Which video codec goes into which file, and how one quality setting reaches each encoder.

In: a file's ending and `EncodeSettings`. Out: the muxer, the encoder's name and its options. `crf` and
`preset` are on x264's scale; for the other encoders they are turned into values of about the same quality and
effort. Standards: ITU-T H.264 and H.265, AV1, VP9; Matroska (RFC 9559), of which WebM is a part.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sorakit.errors import UsageError

__all__ = ["CODECS", "PRESETS", "Codec", "EncodeSettings", "container_of", "encoder_of"]

Codec = Literal["auto", "h264", "hevc", "av1", "vp9"]
CODECS = ("auto", "h264", "hevc", "av1", "vp9")

SUFFIXES = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")

_HELD: dict[str, tuple[str, ...]] = {  # the first is what `auto` means
    "mp4": ("h264", "hevc", "av1"),
    "mov": ("h264", "hevc"),
    "matroska": ("h264", "hevc", "av1", "vp9"),
    "webm": ("vp9", "av1"),
}
_ENCODERS = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1", "vp9": "libvpx-vp9"}
_SVT_PRESETS = (13, 12, 11, 10, 9, 8, 6, 4, 2)
_VPX_SPEEDS = (8, 7, 6, 5, 4, 3, 2, 1, 0)
_WIDE = 63 / 51
"""AV1 and VP9 count quality to 63 where x264 counts to 51."""


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """How a video is encoded.

    `crf`: x264's rate factor, 0 to 51; `preset`: x264's; `key_seconds`: most between key frames; `codec`:
    `auto` is H.264, and VP9 in WebM.
    """

    crf: int = 18
    preset: str = "medium"
    key_seconds: float = 2.0
    codec: Codec = "auto"

    def __post_init__(self) -> None:
        """Refuse what x264 would refuse, in words."""
        if not 0 <= self.crf <= 51:
            raise UsageError(f"`crf` must be 0 to 51, got {self.crf}")
        if self.preset not in PRESETS:
            raise UsageError(f"`preset` must be one of {', '.join(PRESETS)}, got {self.preset!r}")
        if not self.key_seconds > 0:
            raise UsageError(f"`key_seconds` must be positive, got {self.key_seconds}")
        if self.codec not in CODECS:
            raise UsageError(f"`codec` must be one of {', '.join(CODECS)}, got {self.codec!r}")


def container_of(path: Path) -> str:
    """The muxer for a path's suffix; `UsageError` for any that is not written.

    >>> container_of(Path("a.mkv"))
    'matroska'
    """
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        known = ", ".join(SUFFIXES)
        raise UsageError(f"the output must end in {known}, got {path.name!r}; rename it") from None


def encoder_of(path: Path, settings: EncodeSettings) -> tuple[str, dict[str, str]]:
    """The encoder's name and options; `UsageError` for a codec that the file cannot hold.

    >>> encoder_of(Path("a.webm"), EncodeSettings())[0]
    'libvpx-vp9'
    """
    held = _HELD[container_of(path)]
    codec = held[0] if settings.codec == "auto" else settings.codec
    if codec not in held:
        raise UsageError(f"a {path.suffix} file is written with {' or '.join(held)}, got {codec}")
    return _ENCODERS[codec], _options(codec, settings)


def _options(codec: str, settings: EncodeSettings) -> dict[str, str]:
    effort = PRESETS.index(settings.preset)
    if codec == "h264":
        return {"crf": str(settings.crf), "preset": settings.preset}
    if codec == "hevc":
        quiet = {"x265-params": "log-level=error"}
        return {"crf": str(settings.crf), "preset": settings.preset} | quiet
    quality = str(round(settings.crf * _WIDE))
    if codec == "av1":
        return {"crf": quality, "preset": str(_SVT_PRESETS[effort])}
    speed = _VPX_SPEEDS[effort]
    deadline = "realtime" if speed > 5 else "good"
    return {"crf": quality, "b": "0", "deadline": deadline, "cpu-used": str(speed), "row-mt": "1"}
