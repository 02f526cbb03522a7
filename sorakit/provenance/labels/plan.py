"""Which visible labels a video gets under which law, and the signed statement of what was drawn.

In: names of laws (`eu`, `cn`, `ca`, `ca-visible`) and what the video is. Out: a `LabelPlan`: the stamps to
draw, the data of the assertion that declares them, and its words for those who cannot see them. EU: AI Act
Art. 50 and the Code of Practice on marking and labelling (June 2026), section 2: a capital "AI" in the top
right corner, at the start and at regular intervals. China: GB 45438-2025, visible label of video: "AI" with
生成 or 合成, no lower than 5 % of the shorter side, at least 2 s from the first frame. California: Business
and Professions Code § 22757.3(a), the visible disclosure that users may ask for.

Wording of law changes: read it again before relying on this. Nothing here is legal advice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sorakit.errors import UsageError
from sorakit.provenance.declarations import clean, items
from sorakit.types import SourceType
from sorakit.video.stamp import Stamp

__all__ = ["LABELS_ASSERTION", "SCHEMES", "LabelPlan", "parse_schemes", "plan_labels", "read_declared"]

LABELS_ASSERTION = "io.github.sorakit.labels"
SCHEMES = ("eu", "cn", "ca", "ca-visible")

EU_SECONDS, EU_EVERY = 5.0, 30.0
"""The icon stands this long at the start, and again so long in every half minute."""

CN_SECONDS = 3.0
"""One second more than the standard's least, so that a cut at the start leaves enough."""

EU_SIZE, CN_SIZE = 0.026, 0.0515
"""Height of a capital letter over the shorter side. The Chinese characters are higher than the capitals."""

_MOST = 8
_NUMBERS = ("startSeconds", "showSeconds", "everySeconds", "heightShare")
_TEXTS = ("scheme", "text", "language", "position")


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """What is drawn and said. `schemes`: the laws asked for, in the order of `SCHEMES`."""

    schemes: tuple[str, ...] = ()
    stamps: tuple[Stamp, ...] = ()
    text_alternative: tuple[tuple[str, str], ...] = ()

    def assertion(self, duration: float, kept: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """Data of the `io.github.sorakit.labels` assertion; None where there is nothing to say.

        `duration`: of the video, seconds: no label stands longer. `kept`: an `AIGC` label of another producer
        that the file came with and still carries.
        """
        if not self.schemes and not kept:
            return None
        data: dict[str, Any] = {
            "schemes": list(self.schemes),
            "visible": [_declare(s, duration) for s in self.stamps],
            "textAlternative": dict(self.text_alternative),
        }
        return data | ({"keptAigc": kept} if kept else {})

    def tags(self, present: Mapping[str, str]) -> dict[str, str]:
        """Container tags that say the same in words; a description that the file has already stays."""
        if not self.text_alternative or any(k.lower() == "description" for k in present):
            return {}
        return {"description": " ".join(text for _, text in self.text_alternative)}


def parse_schemes(text: str | Iterable[str]) -> tuple[str, ...]:
    """Names of laws from `"eu,cn"`, or a list of them, in fixed order, each once.

    Raises `UsageError` for a name that is none of `SCHEMES`.

    >>> parse_schemes("cn, eu")
    ('eu', 'cn')
    """
    parts = text.split(",") if isinstance(text, str) else list(text)
    names = {p.strip().lower() for p in parts} - {""}
    unknown = sorted(names.difference(SCHEMES))
    if unknown:
        raise UsageError(f"`labels` must be some of {', '.join(SCHEMES)}, got {', '.join(unknown)!r:.80}")
    return tuple(s for s in SCHEMES if s in names)


def plan_labels(schemes: str | Iterable[str], source_type: SourceType) -> LabelPlan:
    """The plan for a video of this kind.

    >>> [s.text for s in plan_labels("eu,cn", SourceType.GENERATED).stamps]
    ['GENERATED', 'AI生成']
    """
    chosen = parse_schemes(schemes)
    whole = source_type is SourceType.GENERATED
    stamps = []
    if {"eu", "ca-visible"} & set(chosen):
        word = "GENERATED" if whole else "MODIFIED"
        stamps.append(Stamp(word, "AI", "top-right", EU_SIZE, 8, EU_SECONDS, EU_EVERY))
    if "cn" in chosen:
        stamps.append(Stamp("AI生成" if whole else "AI合成", "", "top-left", CN_SIZE, 13, CN_SECONDS))
    told = [("en", f"This video was {'generated' if whole else 'modified'} with artificial intelligence.")]
    if "cn" in chosen:
        told.append(("zh", f"本视频由人工智能{'生成' if whole else '合成'}。"))
    return LabelPlan(chosen, tuple(stamps), tuple(told) if chosen else ())


def _declare(stamp: Stamp, duration: float) -> dict[str, Any]:
    chinese = not stamp.tile
    return {
        "scheme": "cn" if chinese else "eu",
        "text": f"{stamp.tile} {stamp.text}".strip(),
        "language": "zh" if chinese else "en",
        "position": stamp.corner,
        "startSeconds": 0,
        "showSeconds": round(min(stamp.seconds, duration), 3),
        "heightShare": stamp.size,
    } | ({} if stamp.every is None else {"everySeconds": stamp.every})


def read_declared(data: Any) -> dict[str, Any] | None:
    """What an assertion of this kind says, bounded and printable: the bytes may be anyone's.

    >>> read_declared({"schemes": ["eu"], "visible": [], "more": 1})
    {'schemes': ['eu'], 'visible': [], 'textAlternative': {}}
    """
    if not isinstance(data, dict):
        return None
    schemes, told = data.get("schemes"), data.get("textAlternative")
    visible = []
    for entry in items(data.get("visible"))[:_MOST]:
        texts = {k: text for k in _TEXTS if (text := clean(entry.get(k)))}
        visible.append(texts | {k: n for k in _NUMBERS if (n := _number(entry.get(k))) is not None})
    return {
        "schemes": [s for s in schemes[:_MOST] if s in SCHEMES] if isinstance(schemes, list) else [],
        "visible": visible,
        "textAlternative": {str(k)[:8]: v for k, t in list(told.items())[:_MOST] if (v := clean(t))}
        if isinstance(told, dict)
        else {},
    }


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        return None
    return float(value)
