"""The measurement itself: clips × attacks × schemes, attack by attack, resumable.

In: a `Plan`. Out: rows in `rows.jsonl` of its folder, one a clip, attack and scheme; `measure` yields them as
they come. All schemes get the same decoded pictures, the same encoder settings (H.264 CRF 18 veryfast) and
the same attacks with the same seed. Each clip is marked once and its marked copy stays in `work/`; each
attack decodes that copy once. A run that is stopped goes on where it was: no row is done twice.
Workers are processes of their own that hold no keys; clips are the caller's own choice of files.
"""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sorakit.errors import OutputError, UsageError
from sorakit.robustness.schemes import SchemeSpec, open_scheme
from sorakit.robustness.work import attack_one, mark_one, prepare_worker
from sorakit.types import Progress

__all__ = ["ROWS", "UNMARKED", "Plan", "load_rows", "measure"]

ROWS = "rows.jsonl"
UNMARKED = SchemeSpec("unmarked", "unmarked")
"""The clips as they are, encoded alike: what must not be read as marked."""

FORGERIES = ("average_forge", "wrong_key", "copy_mark")
"""Attacks that end in a mark on a clip that never was marked with it."""

_MOST_OTHERS = 30
"""Further clips that go into an average, so that its cost does not grow with the clips."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure. `short_side`: clips are made smaller to this, px; `seconds`: and cut to this.

    `psnr`: luma PSNR of the marks, dB. `attacks`: in the order in which their rows are wanted.
    """

    folder: Path
    clips: tuple[Path, ...]
    attacks: tuple[str, ...]
    schemes: tuple[SchemeSpec, ...]
    psnr: float = 45.0
    seed: int = 0
    short_side: int = 540
    seconds: float = 5.0
    jobs: int = 1

    @property
    def settings(self) -> Row:
        """What rows of one file have in common; a run with others would mix what cannot be compared."""
        return {
            "psnr": self.psnr,
            "seed": self.seed,
            "short_side": self.short_side,
            "seconds": self.seconds,
            "schemes": {s.name: s.frames for s in self.schemes},
        }


def load_rows(folder: Path) -> tuple[Row | None, list[Row]]:
    """(settings, rows) of a folder; a last line that was cut off by a kill is passed over."""
    path = folder / ROWS
    if not path.exists():
        return None, []
    lines: list[Row] = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return (lines[0], lines[1:]) if lines and "settings" in lines[0] else (None, [])


def measure(plan: Plan, progress: Progress | None = None) -> Iterator[Row]:
    """Do what is not done yet, and yield every row of the plan as it is there, old ones first.

    Raises `UsageError` when the folder holds rows of other settings, `OutputError` when it cannot be written.
    """
    for scheme in plan.schemes:
        open_scheme(scheme)  # a missing package or missing weights stop the run before any work
    old = _prepare(plan)
    marks = {(r["scheme"], r["clip"]): r for r in old if r["kind"] == "mark"}
    done = {(r["attack"], r["scheme"], r["clip"]) for r in old if r["kind"] == "attack"}
    wanted = {
        (a, s.name, str(c)) for a in plan.attacks for s in (*plan.schemes, UNMARKED) for c in plan.clips
    }
    yield from (r for r in old if r["kind"] == "mark" or (r["attack"], r["scheme"], r["clip"]) in wanted)
    with (plan.folder / ROWS).open("a", encoding="utf-8") as log, _Pool(plan.jobs) as pool:
        todo = [t for t in _marking(plan) if not _has(marks, t)]
        for index, row in enumerate(pool.run(mark_one, todo)):
            marks[row["scheme"], row["clip"]] = row
            yield _keep(log, row)
            _tell(progress, "mark", index + 1, len(todo))
        rest = [
            t for t in _attacking(plan, marks) if (t["attack"], t["scheme"]["name"], t["clip"]) not in done
        ]
        for index, row in enumerate(pool.run(attack_one, rest)):
            yield _keep(log, row)
            _tell(progress, row["attack"], index + 1, len(rest))


def _prepare(plan: Plan) -> list[Row]:
    """The rows that are there; makes the folder and the head of its log."""
    try:
        (plan.folder / "work").mkdir(parents=True, exist_ok=True)
        head, rows = load_rows(plan.folder)
        if head is None:
            text = json.dumps({"settings": plan.settings}) + "\n"
            (plan.folder / ROWS).write_text(text, encoding="utf-8")
            return []
        raw = (plan.folder / ROWS).read_bytes()
        if not raw.endswith(b"\n"):  # the line that a kill cut off must not swallow the next one
            with (plan.folder / ROWS).open("ab") as log:
                log.write(b"\n")
    except OSError as error:
        raise OutputError(
            f"cannot write in {plan.folder}: {error.strerror}; choose another folder"
        ) from error
    if head["settings"] != plan.settings:
        raise UsageError(
            f"{plan.folder} holds rows of other settings, {json.dumps(head['settings'])}; go on with those, "
            "or choose another folder"
        )
    return rows


def _marking(plan: Plan) -> list[Row]:
    """Clip by clip, so that a run that is stopped has whole clips."""
    return [
        _task(plan, clip, scheme)
        | {"psnr": plan.psnr, "short_side": plan.short_side, "seconds": plan.seconds}
        for clip in plan.clips
        for scheme in (*plan.schemes, UNMARKED)
    ]


def _task(plan: Plan, clip: Path, scheme: SchemeSpec) -> Row:
    marked = _copy_of(plan, clip, scheme)
    return {"clip": str(clip), "scheme": asdict(scheme), "marked": marked, "seed": plan.seed}


def _copy_of(plan: Plan, clip: Path, scheme: SchemeSpec) -> str:
    """Where the marked copy of a clip stands; by its path, since a run that goes on may have other clips."""
    slug = "".join(c if c.isalnum() else "-" for c in scheme.name)
    digest = hashlib.sha256(os.fsencode(clip)).hexdigest()[:12]
    return str(plan.folder / "work" / slug / f"{clip.stem[:40]}-{digest}.mp4")


def _has(marks: dict[tuple[str, str], Row], task: Row) -> bool:
    return (task["scheme"]["name"], task["clip"]) in marks and Path(task["marked"]).exists()


def _attacking(plan: Plan, marks: dict[tuple[str, str], Row]) -> list[Row]:
    """Attack by attack; forgeries start from the unmarked clip, and the plain copy of it is read too."""
    tasks = []
    for name in plan.attacks:
        for clip in plan.clips:
            for scheme in (*plan.schemes, *((UNMARKED,) if name == "untouched" else ())):
                mark = marks.get((scheme.name, str(clip)))
                if mark is not None and not mark["error"]:
                    task = _task(plan, clip, scheme) | {"attack": name, "mark": mark}
                    tasks.append(task | _sources(plan, clip, scheme, name))
    return tasks


def _sources(plan: Plan, clip: Path, scheme: SchemeSpec, name: str) -> Row:
    """What goes into an attack: the marked clip, or for forgeries the unmarked one, and further clips."""
    forged = name in ("average_forge", "wrong_key")
    others: list[str] = []
    if name == "copy_mark":
        following = plan.clips[(plan.clips.index(clip) + 1) % len(plan.clips)]
        others = [_copy_of(plan, following, UNMARKED)]
    elif name in ("average_forge", "average_remove", "average_pictures"):
        more = [c for c in plan.clips if c != clip][:_MOST_OTHERS]
        others = [_copy_of(plan, c, scheme) for c in more]
    return {"src": _copy_of(plan, clip, UNMARKED if forged else scheme), "others": others}


def _keep(log: Any, row: Row) -> Row:
    log.write(json.dumps(row) + "\n")
    log.flush()
    return row


def _tell(progress: Progress | None, name: str, done: int, total: int) -> None:
    if progress is not None:
        progress(f"{name} ({done} of {total})", done / total)


class _Pool:
    """Runs tasks in order of submission over some processes, or in this one for a single job."""

    def __init__(self, jobs: int) -> None:
        self._pool: ProcessPoolExecutor | None = None
        if jobs > 1:
            context = multiprocessing.get_context("spawn")
            os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the workers, before they start
            self._pool = ProcessPoolExecutor(jobs, context, initializer=prepare_worker)
        else:
            prepare_worker()

    def __enter__(self) -> "_Pool":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def run(self, function: Any, tasks: Sequence[Row]) -> Iterator[Row]:
        if self._pool is None:
            yield from map(function, tasks)
            return
        for future in as_completed([self._pool.submit(function, task) for task in tasks]):
            yield future.result()
