"""One file of a scan: checked through the one gate, with a few small pictures for the report.

In: a path and the scan's hello (JSON). Out: JSON: the verdict as `sorakit check --json` prints it, and JPEGs
in base64. What a file is called does not stand in the answer, so that the same bytes give the same answer.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sorakit.check import check
from sorakit.config import Settings
from sorakit.moderation.policy import Policy
from sorakit.provenance.trust import Trust
from sorakit.scan.pictures import pictures
from sorakit.types import Progress, Verdict

__all__ = ["Judge"]

_MAX_VERDICT = 256 << 10
"""Bytes of JSON; a hostile credential may hold megabytes."""
_MAX_LIST, _MAX_TEXT = 50, 1000


class Judge:
    """Checks files, all in the same way. `hello`: settings, trust, resolvers, policy, stills (how many)."""

    def __init__(self, hello: dict[str, Any]) -> None:
        self._settings = Settings(**hello["settings"])
        self._trust = Trust.from_json(hello["trust"])
        self._policy = Policy.model_validate(hello["policy"])
        self._resolvers = tuple(hello["resolvers"])
        self._stills = int(hello["stills"])

    def __call__(self, path: Path, progress: Progress | None = None) -> dict[str, Any]:
        """`{"verdict", "pictures"}`; a bad file gives a verdict too."""
        verdict = check(
            path,
            trust=self._trust,
            settings=self._settings,
            resolvers=self._resolvers,
            progress=progress,
            policy=self._policy,
        )
        said, seen = _nameless(verdict, path), verdict.evidence
        heatmap = seen.detector.heatmap if seen.detector else None
        n = self._stills if seen.error is None else 0
        return {"verdict": _bounded(said), "pictures": pictures(path, n, heatmap, self._settings.limits)}


def _nameless(verdict: Verdict, path: Path) -> dict[str, Any]:
    """The verdict's JSON; where a message names the file, or where it lies, it says "the file"."""
    names = {str(path), str(path.absolute())}
    if "." in path.name:
        names.add(path.name)
    longest = sorted(names, key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w/])(?:{'|'.join(map(re.escape, longest))})(?!\w)")

    def clean(text: str) -> str:
        return pattern.sub("the file", text).removeprefix("the file: ")

    said = verdict.to_json()
    said["reasons"] = [clean(r) for r in said["reasons"]]
    said["error"] = None if said["error"] is None else clean(said["error"])
    said["provenance"]["problems"] = [clean(p) for p in said["provenance"]["problems"]]
    if said["detector"]:
        said["detector"]["reasons"] = [clean(r) for r in said["detector"]["reasons"]]
    return said | {"file": ""}


def _bounded(said: dict[str, Any]) -> dict[str, Any]:
    """Cut what foreign credentials brought along until the verdict is of a size that reports can hold."""
    steps: tuple[Callable[[dict[str, Any]], None], ...] = (
        lambda v: v["recovery"].update(manifest=None),
        lambda v: v["provenance"].update(ingredients=[], generation=None),
        lambda v: v.update(labels=_cut(v["labels"]), provenance=_cut(v["provenance"])),
        lambda v: v.update(reasons=_cut(v["reasons"]), error=_cut(v["error"])),
        lambda v: v.update(watermark=_cut(v["watermark"]), detector=_cut(v["detector"])),
    )
    for step in steps:
        if len(json.dumps(said)) <= _MAX_VERDICT:
            break
        step(said)
    return said


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_MAX_TEXT]
    if isinstance(value, list):
        return [_cut(v) for v in value[:_MAX_LIST]]
    if isinstance(value, dict):
        return {k: _cut(v) for k, v in list(value.items())[:_MAX_LIST]}
    return value
