"""Small pictures of one file for the reports: stills, and the detector's heat map over one of them.

In: a path, how many, the heat map. Out: JPEGs in base64. `pictures_task` runs in the guarded child.
"""

import base64
from pathlib import Path
from typing import Any

from sorakit.config import Limits
from sorakit.errors import SorakitError
from sorakit.nb.pictures import jpeg, stills
from sorakit.overlay import blend
from sorakit.types import Progress
from sorakit.video.guard import run_guarded

__all__ = ["pictures", "pictures_task"]

_HEIGHT, _HEAT_HEIGHT = 90, 180


def pictures(path: Path, n: int, heatmap: list[list[float]] | None, limits: Limits) -> dict[str, Any]:
    """`{"stills": [base64…], "heat": base64 or None}`; nothing where the file gives no picture.

    A report without its picture is still a report, so nothing is raised for a bad file.
    """
    none: dict[str, Any] = {"stills": [], "heat": None}
    if n == 0:
        return none
    request = {"path": str(path.absolute()), "n": n, "heatmap": heatmap}
    try:
        return none | run_guarded(
            "sorakit.scan.pictures:pictures_task",
            request,
            timeout=limits.check_seconds,
            memory_bytes=limits.memory_bytes,
        )
    except SorakitError:
        return none


def pictures_task(request: dict[str, Any], _progress: Progress) -> dict[str, Any]:
    """Decode in the child; a map that is none is left out."""
    path = request["path"]
    found = [_base64(jpeg(p)) for p in stills(path, int(request["n"]), height=_HEIGHT)]
    heat = None
    if request.get("heatmap"):
        try:
            heat = _base64(jpeg(blend(stills(path, 1, height=_HEAT_HEIGHT)[0], request["heatmap"])))
        except SorakitError:  # a detector of another's with a map of another shape
            heat = None
    return {"stills": found, "heat": heat}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
