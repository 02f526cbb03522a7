"""The attacks of the benchmark, the most important first, and how they are grouped in its picture.

In: words of a caller, such as "table" or names. Out: names of attacks in the order of their rows.
"""

from collections.abc import Sequence

from sorakit.errors import UsageError
from sorakit.robustness.run import listed

__all__ = ["SECURITY", "TABLE", "choose"]

TABLE = (
    "untouched", "h264_crf28", "social_upload", "half_size", "crop_80", "h264_crf33",
    "vertical_reframe", "rotate_15", "h264_crf40", "screen_capture", "h264_crf23", "h265_crf28",
    "av1_crf35", "vp9_crf40", "scale_360p", "mirror", "letterbox", "caption_bars", "gray",
    "brightness", "contrast", "gamma", "noise", "blur", "frame_drop", "retime_30", "trim_1s", "gif",
    "rotate_5", "crop_half", "inset", "scale_240p", "perspective", "double_encode",
    "crop_off_centre", "blurred_sides", "speed_up", "sticker", "subtitles", "denoise",
)  # fmt: skip
"""Forty that platforms and people do, in the order in which their rows come out."""

SECURITY = ("average_remove", "re_mark", "average_forge", "copy_mark", "wrong_key")
"""By somebody who wants the mark gone, or on another clip."""


def choose(words: Sequence[str]) -> tuple[str, ...]:
    """Names of attacks: `table`, `security`, `model`, `all`, a family, or single names, in order.

    Raises `UsageError` for a word that is none of those.

    >>> choose(["security"])[0]
    'average_remove'
    """
    known = {a.name: a.family for a in listed()}
    groups: dict[str, Sequence[str]] = {"table": TABLE, "security": SECURITY}
    groups["all"] = (*TABLE, *(n for n in known if n not in TABLE))
    for name, family in known.items():
        groups[family] = (*groups.get(family, ()), name)
    chosen: list[str] = []
    for word in words:
        if word not in known and word not in groups:
            raise UsageError(
                f"`--attacks` takes {', '.join(groups)} and names of attacks, got {word!r}; "
                "see `sorakit attack --list`"
            )
        chosen += [word] if word in known else groups[word]
    return tuple(dict.fromkeys(chosen))
