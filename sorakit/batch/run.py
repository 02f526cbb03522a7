"""Mark every video of a folder into another folder that mirrors it; stopped and started at will.

In: an `Order`. Out: a summary, a journal, and a report as JSON and as a page. An input is known by its
SHA-256: what the journal says is done, with the same settings and its output unchanged, is not done again;
the same bytes twice are marked once and copied, so that one id stays one video. A bad file fails alone.
"""

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sorakit.batch.crew import Crew
from sorakit.batch.journal import Journal
from sorakit.batch.plan import Item, check_place, find
from sorakit.batch.report import write_report
from sorakit.config import Settings
from sorakit.errors import OutputError, SorakitError, UsageError
from sorakit.place import move, workplace
from sorakit.registry.record import file_sha256
from sorakit.registry.repo import Registry
from sorakit.types import Generation, SourceType

__all__ = ["Order", "mark_folder"]

_ROOM = 64 << 20
_NOT_IN_DIGEST = {"home", "registry_url", "limits", "trust_list_days"}

Told = Callable[[str, int, int, float], None]
"""Called with an input's name (or ""), files settled, files in all, and the share done of all."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to do. `pattern`: on relative paths, None for all videos; `jobs`: worker processes."""

    folder: Path
    out: Path
    pattern: str | None = None
    jobs: int = 1
    source_type: SourceType = SourceType.GENERATED
    generation: Generation | None = None
    overwrite: bool = False
    settings: Settings = field(default_factory=Settings)

    def digest(self) -> str:
        """Of all that shapes an output: another digest, another marking."""
        made = self.generation
        parts = {
            "kit": version("sorakit"),
            "source_type": str(self.source_type),
            "generation": [made.model, made.version] if made else None,
            "settings": self.settings.model_dump(mode="json", exclude=_NOT_IN_DIGEST),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def mark_folder(order: Order, told: Told | None = None) -> dict[str, Any]:
    """Do it all; returns `{"counts", "seconds", "files"}`, as `sorakit-batch.json` holds it.

    Each of `files` has `source`, `output`, `state` (done, skipped, copied, failed, and stopped where the run
    was ended before it) and what `sorakit mark --json` says, or `error`. Ctrl-C leaves whole files alone, a
    true journal and the report of what was reached. Raises `UsageError` and `OutputError` for the folders.

    >>> mark_folder(Order(Path("in"), Path("out")))["counts"]  # doctest: +SKIP
    {'done': 2, 'skipped': 0, 'copied': 0, 'failed': 0}
    """
    if not 1 <= order.jobs <= 64:
        raise UsageError(f"`jobs` must be 1 to 64, got {order.jobs}")
    items = find(order.folder, order.out, order.pattern)
    if not items:
        raise UsageError(f"no videos in {order.folder}; give another folder or --pattern")
    try:
        order.out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OutputError(f"cannot make the folder {order.out}: {e.strerror}") from e
    start = time.monotonic()
    with Journal(order.out) as journal:
        run = _Run(order, items, journal, told or (lambda *_: None))
        try:
            run.go()
        finally:
            summary = run.summary(time.monotonic() - start)
            write_report(summary, order.out)
    return summary


class _Run:
    """One pass over the items."""

    def __init__(self, order: Order, items: list[Item], journal: Journal, told: Told) -> None:
        self._order, self._items, self._journal, self._told = order, items, journal, told
        self._digest = order.digest()
        self._results: dict[int, dict[str, Any]] = {}
        self._hashes: dict[int, str] = {}
        self._first: dict[tuple[str, str], int] = {}
        self._copies: list[int] = []
        self._shares: dict[int, float] = {}

    def go(self) -> None:
        settings = self._order.settings.model_dump(mode="json")
        with Crew(min(self._order.jobs, len(self._items)), settings) as crew:
            for i in range(len(self._items)):
                for event in crew.events(until=self._order.jobs):
                    self._hear(*event)
                self._begin(i, crew)
            for event in crew.events():
                self._hear(*event)
        for i in self._copies:
            self._guarded(i, self._copy)

    def summary(self, seconds: float) -> dict[str, Any]:
        files = []
        for i, item in enumerate(self._items):
            result = self._results.get(i, {"state": "stopped"})
            files.append({"source": item.source, "output": item.output} | result)
        counts = dict.fromkeys(("done", "skipped", "copied", "failed"), 0) | Counter(
            f["state"] for f in files
        )
        return {"kit": version("sorakit"), "counts": counts, "seconds": round(seconds, 1), "files": files}

    def _begin(self, i: int, crew: Crew) -> None:
        self._guarded(i, lambda i: self._start(i, crew))

    def _guarded(self, i: int, step: Callable[[int], None]) -> None:
        """Run a step; what the kit or the file system refuses fails this file alone."""
        try:
            step(i)
        except SorakitError as e:
            self._settle(i, {"state": "failed", "error": str(e)})
        except OSError as e:
            self._settle(i, {"state": "failed", "error": f"cannot read it: {e.strerror or e}"})

    def _start(self, i: int, crew: Crew) -> None:
        source, output = self._paths(i)
        digest = self._hashes[i] = file_sha256(source)
        before = self._journal.last((digest, self._items[i].output, self._digest))
        known = self._known(before, output)
        if known is not None:
            self._first.setdefault(self._same(i), i)
            self._settle(i, known | {"state": "skipped"}, note=False)
            return
        if self._same(i) in self._first:
            self._copies.append(i)
            return
        check_place(output, overwrite=self._order.overwrite, source=source)
        self._must_have_room(source)
        self._first[self._same(i)] = i
        replaced = file_sha256(output) if output.is_file() else None
        self._journal.add(self._entry(i) | {"state": "started", "replaces": replaced})
        made = self._order.generation
        crew.give(
            i,
            {
                "source": str(source.absolute()),
                "output": str(output.absolute()),
                "source_type": str(self._order.source_type),
                "generation": {"model": made.model, "version": made.version} if made else None,
                "overwrite": self._order.overwrite,
            },
        )

    def _known(self, before: dict[str, Any] | None, output: Path) -> dict[str, Any] | None:
        """What an earlier run made of it, if its output still stands as it was; else None."""
        if before is None or not output.is_file():
            return None
        now = file_sha256(output)
        if before.get("state") in ("done", "copied"):
            fields = ("sha256", "manifest_id", "payload", "psnr", "notes", "copy_of")
            return {k: before[k] for k in fields if k in before} if before.get("sha256") == now else None
        url = self._order.settings.database_url
        if before.get("state") != "started" or before.get("replaces") == now or not Registry.exists(url):
            return None
        with Registry(url) as registry:  # stopped between the rename and the journal: the registry knows it
            record = registry.find_by_file_hash(now)
        if record is None:
            return None
        return {"sha256": now, "manifest_id": record.manifest_id}

    def _hear(self, i: int, message: dict[str, Any]) -> None:
        if "progress" in message:
            step, share = message["progress"]
            if step in ("mark", "encode"):
                self._shares[i] = float(share) * 0.9
                self._tell(i)
        elif "done" in message:
            self._settle(i, {k: v for k, v in message["done"].items() if k != "file"} | {"state": "done"})
        else:
            self._settle(i, {"state": "failed", "error": str(message["failed"])})

    def _copy(self, i: int) -> None:
        """The same bytes came before: the same marked file, under this name too."""
        first = self._first[self._same(i)]
        result = self._results[first]
        if result["state"] not in ("done", "skipped"):
            raise OutputError(f"the same video as {self._items[first].source}, which failed")
        source, output = self._paths(i)
        check_place(output, overwrite=self._order.overwrite, source=source)
        with workplace(output) as work:
            twin = work / output.name
            shutil.copyfile(self._order.out / self._items[first].output, twin)
            if file_sha256(twin) != result["sha256"]:
                raise OutputError(f"{self._items[first].output} changed meanwhile; run it again")
            move(twin, output, overwrite=self._order.overwrite)
        kept = {k: result[k] for k in ("sha256", "manifest_id", "payload", "psnr") if k in result}
        self._settle(i, kept | {"state": "copied", "copy_of": self._items[first].source})

    def _must_have_room(self, source: Path) -> None:
        free, need = shutil.disk_usage(self._order.out).free, 2 * source.stat().st_size + _ROOM
        if free < need:
            raise OutputError(f"not enough room: {free >> 20} MiB free, about {need >> 20} MiB needed")

    def _settle(self, i: int, result: dict[str, Any], *, note: bool = True) -> None:
        if "error" in result:
            result = result | {"error": self._private(str(result["error"]))}
        self._results[i] = result
        self._shares[i] = 1.0
        if note and i in self._hashes:
            self._journal.add(self._entry(i) | result)
        self._tell(i)

    def _private(self, text: str) -> str:
        """An error without the folders' own paths: reports are passed on."""
        for folder in (self._order.folder, self._order.out):
            for name in (str(folder.absolute()), str(folder)):
                text = text.replace(f"{name}/", "") if name != "." else text
        return text

    def _entry(self, i: int) -> dict[str, Any]:
        item = self._items[i]
        return {
            "source": item.source,
            "output": item.output,
            "input_sha256": self._hashes[i],
            "settings": self._digest,
        }

    def _same(self, i: int) -> tuple[str, str]:
        """What two inputs share that give one output: their bytes, and the output's container."""
        return self._hashes[i], Path(self._items[i].output).suffix.lower()

    def _paths(self, i: int) -> tuple[Path, Path]:
        return self._order.folder / self._items[i].source, self._order.out / self._items[i].output

    def _tell(self, i: int) -> None:
        total = len(self._items)
        share = sum(self._shares.values()) / total
        self._told(self._items[i].source, len(self._results), total, share)
