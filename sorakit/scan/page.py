"""The report of a scan as one page that needs nothing beside it and asks for nothing.

In: rows, the summary, the folder of stills. Out: HTML that can be sorted and filtered, also by address
(`#show=undecided`). A content security policy allows the page's own script by its hash and no request at all.
Names and credentials come from foreign files, so all text goes through an autoescaping template.
"""

import base64
import hashlib
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from sorakit.nb.card import environment
from sorakit.nb.pictures import data_uri
from sorakit.nb.words import BADGES, credential_words, mark_words, recovery_words, source_words
from sorakit.scan.labelstudio import needs_review
from sorakit.scan.rows import Row
from sorakit.types import Decision, DetectorEvidence, Verdict

__all__ = ["MAX_ROWS", "render"]

MAX_ROWS = 5000
"""Rows of the page; a browser gets slow with more. What needs attention comes first; the JSONL holds all."""
MAX_STILLS = 2000
"""Files with stills in the page."""
_MAX_TEXT = 500

_ORDER = (
    Decision.ERROR,
    Decision.TAMPERED,
    Decision.CONFLICT,
    Decision.LIKELY_AI,
    Decision.UNCERTAIN,
    Decision.AI_WATERMARKED,
    Decision.AI_DECLARED,
    Decision.AI_RECOVERED,
    Decision.AUTHENTIC_DECLARED,
    Decision.NO_EVIDENCE,
)

SHOWS = {
    "all": "all",
    "review": "for a person",
    "undecided": "undecided",
    "conflict": "conflicts",
    "ai": "AI",
    "failed": "failed",
    "duplicate": "duplicates",
}

_KINDS = {
    Decision.TAMPERED: ("conflict",),
    Decision.CONFLICT: ("conflict",),
    Decision.AI_DECLARED: ("ai",),
    Decision.AI_RECOVERED: ("ai",),
    Decision.AI_WATERMARKED: ("ai",),
    Decision.LIKELY_AI: ("ai",),
    Decision.UNCERTAIN: ("undecided",),
}


def render(rows: list[Row], summary: dict[str, Any], stills: Path, links: dict[str, str | None]) -> str:
    """The page. `links`: an address for each file's name, or None."""
    rank = {d: n for n, d in enumerate(_ORDER)}
    ordered = sorted(rows, key=lambda r: (rank[Decision(r.decision)], -_score(r), r.file))
    shown = ordered[:MAX_ROWS]
    lines, budget = [], MAX_STILLS
    for n, row in enumerate(shown):
        pictures = _stills(stills, row) if budget > 0 else []
        budget -= bool(pictures)
        heat = _heat(stills, row) if pictures else None
        lines.append(_line(n, row, pictures, heat, links.get(row.file)))
    counts = Counter(kind for line in lines for kind in line["kinds"])
    shows = [(k, words, len(lines) if k == "all" else counts[k]) for k, words in SHOWS.items()]
    decisions = Counter(BADGES[Decision(r.decision)].title for r in ordered)
    script = _source("page.js")
    return (
        _pages()
        .get_template("report.html.j2")
        .render(
            lines=lines,
            shows=shows,
            decisions=decisions,
            choices=[(str(d), BADGES[d].title) for d in _ORDER if BADGES[d].title in decisions],
            summary=summary,
            left_out=len(rows) - len(shown),
            styles=_source("page.css"),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(str(script).encode()).digest()).decode(),
            now=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        )
    )


def _line(n: int, row: Row, pictures: list[str], heat: str | None, link: str | None) -> dict[str, Any]:
    verdict = row.verdict()
    kinds = list(_KINDS.get(verdict.decision, ()))
    kinds += ["review"] if needs_review(row) else []
    kinds += [row.state] if row.state in ("failed", "duplicate") else []
    detector = verdict.evidence.detector
    return {
        "n": n,
        "file": row.file,
        "link": link,
        "stills": pictures,
        "badge": BADGES[verdict.decision],
        "decision": row.decision,
        "kinds": kinds,
        "score": detector.probability if detector else None,
        "size": _bytes(row.size),
        "bytes": row.size,
        "duplicate_of": row.duplicate_of,
        "reasons": [r[:_MAX_TEXT] for r in verdict.reasons],
        "facts": _facts(row, verdict),
        "heat": heat,
        "segments": _segments(detector),
    }


def _facts(row: Row, verdict: Verdict) -> list[tuple[str, str]]:
    """Names and words of the evidence; nothing for a file that could not be read."""
    e = verdict.evidence
    if e.error is not None:
        return []
    facts = [
        ("Credential", credential_words(verdict)),
        ("Signed by", e.provenance.signer or ""),
        ("Made with", e.provenance.claim_generator or ""),
        ("Declares", source_words(e.provenance.digital_source_type) or ""),
        ("Watermark", mark_words(verdict)),
        ("Registry", recovery_words(verdict)),
        ("Manifest", e.recovery.manifest_id or e.provenance.manifest_id or ""),
        *_opinion(e.detector),
        ("SHA-256", row.said["sha256"] or ""),
        ("Policy", "; ".join([verdict.policy, *_follows(row)])),
    ]
    return [(name, text[:_MAX_TEXT]) for name, text in facts if text]


def _follows(row: Row) -> list[str]:
    """What the policy wants done, and by whom."""
    action, review = row.said.get("action", "none"), row.said.get("review")
    words = [] if action == "none" else [str(action)]
    return [*words, f"{review} is to look at it"] if review else words


def _opinion(d: DetectorEvidence | None) -> list[tuple[str, str]]:
    if d is None:
        return []
    score = "no score" if d.probability is None else f"{d.probability:.3f}"
    prior = "" if d.prior is None else f" where {d.prior:.0%} of the clips are generated"
    spoke = "; ".join(str(f.get("words") or f.get("name") or "") for f in d.families[:4])
    alike = "; ".join(str(n.get("generator") or "") for n in d.nearest[:3])
    return [
        ("Detector", f"{d.label.replace('_', ' ')}, {score}{prior} ({d.model})"),
        ("It says", "; ".join(d.reasons)),
        ("What spoke", spoke),
        ("Most alike", f"{alike} (a hint only)" if alike else ""),
    ]


def _segments(d: DetectorEvidence | None) -> list[dict[str, Any]]:
    """Where in time the detector saw what."""
    found = []
    for s in (d.segments if d else [])[:60]:
        start, end, score = (s.get(k) for k in ("start_ms", "end_ms", "score"))
        if isinstance(start, int | float) and isinstance(end, int | float) and isinstance(score, int | float):
            found.append({"start": start / 1000, "end": end / 1000, "score": float(score)})
    return found


def _stills(folder: Path, row: Row) -> list[str]:
    found = []
    for n in range(16):
        path = folder / f"{row.key}-{n}.jpg"
        if row.key is None or not path.is_file():
            break
        found.append(data_uri(path.read_bytes()))
    return found


def _heat(folder: Path, row: Row) -> str | None:
    path = folder / f"{row.key}-heat.jpg"
    return data_uri(path.read_bytes()) if path.is_file() else None


def _score(row: Row) -> float:
    return float((row.said["detector"] or {}).get("probability") or 0.0)


def _bytes(size: int) -> str:
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} GB"


@cache
def _pages() -> Environment:
    return environment().overlay(loader=PackageLoader("sorakit.scan"))


def _source(name: str) -> Markup:
    """A file of this package, our own text."""
    loader = PackageLoader("sorakit.scan")
    return Markup(loader.get_source(_pages(), name)[0])  # noqa: S704
