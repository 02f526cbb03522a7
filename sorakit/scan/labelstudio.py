"""Review tasks for Label Studio, with our decision as the pre-annotation.

In: rows. Out: a JSON file in Label Studio's import format (a list of tasks, each with `data` and
`predictions`; https://labelstud.io/guide/tasks, .../predictions), and beside it, `.xml`, the labelling
configuration that its names refer to.
"""

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sorakit.batch.report import put
from sorakit.errors import UsageError
from sorakit.moderation.queue import needs_person
from sorakit.scan.rows import Row
from sorakit.types import Decision

__all__ = ["CONFIG", "needs_review", "task", "write_tasks"]

_CHOICES = "\n".join(f'    <Choice value="{d}"/>' for d in Decision if d is not Decision.ERROR)

CONFIG = f"""<View>
  <Header value="$file"/>
  <Image name="still" value="$still"/>
  <Video name="video" value="$video"/>
  <Text name="why" value="$reasons"/>
  <Choices name="decision" toName="video" choice="single" required="true" showInline="false">
{_CHOICES}
  </Choices>
  <TextArea name="note" toName="video" rows="2" placeholder="Why, if you disagree"/>
</View>
"""


def needs_review(row: Row) -> bool:
    """Whether a person should look (`needs_person`); a failed file has nothing to look at."""
    return row.state != "failed" and needs_person(Decision(row.decision), row.said.get("review"))


def write_tasks(
    rows: list[Row], path: Path, stills: Path, links: dict[str, str | None], *, every: bool = False
) -> int:
    """Write tasks and configuration; returns how many tasks. The same bytes are one task.

    `every`: all readable files instead of those that need a person. Raises `UsageError`, `OutputError`.
    """
    if path.suffix.lower() != ".json":
        raise UsageError(f"`--label-studio` takes a .json file, got {path.name}")
    chosen = [
        r for r in rows if r.state != "failed" and r.duplicate_of is None and (every or needs_review(r))
    ]
    tasks = [task(r, stills, links.get(r.file)) for r in chosen]
    put(path, json.dumps(tasks, ensure_ascii=False, indent=1) + "\n")
    put(path.with_suffix(".xml"), CONFIG)
    return len(tasks)


def task(row: Row, stills: Path, link: str | None) -> dict[str, Any]:
    """One task. A file here is named as Label Studio's local storage has it, below the scanned folder."""
    detector = row.said["detector"] or {}
    web = link if link and link.startswith(("http://", "https://")) else None
    still = stills / f"{row.key}-0.jpg"
    picture = base64.b64encode(still.read_bytes()).decode() if still.is_file() else None
    told: dict[str, Any] = {
        "model_version": f"sorakit {row.said['policy']}",
        "result": [
            {
                "id": "decision",
                "from_name": "decision",
                "to_name": "video",
                "type": "choices",
                "value": {"choices": [row.decision]},
            }
        ],
    }
    if detector.get("probability") is not None:
        told["score"] = float(detector["probability"])
    return {
        "data": {
            "video": web or f"/data/local-files/?d={quote(row.file)}",
            "still": f"data:image/jpeg;base64,{picture}" if picture else "",
            "file": row.file,
            "sha256": row.said["sha256"],
            "decision": row.decision,
            "reasons": "\n".join(row.said["reasons"]),
        },
        "predictions": [told],
    }
