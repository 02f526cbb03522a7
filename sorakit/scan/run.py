"""Check every video of a folder or bucket; stopped, killed and started again at will.

In: an `Order`. Out: a summary; in the output folder a journal, `sorakit-scan.jsonl`, `.parquet` and `.html`.
A file whose name and version (size and time, or what the bucket says) stand in the journal is not read
again; the same bytes are judged once. A bad file is reported with its reason and the rest goes on.
"""

import base64
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from sorakit.batch.journal import Journal
from sorakit.config import Settings
from sorakit.errors import OutputError, UsageError
from sorakit.moderation.decision_log import append
from sorakit.moderation.policy import Policy
from sorakit.moderation.policy_file import load_policy
from sorakit.provenance.trust import Trust, load_trust
from sorakit.scan.engines import Claims, Engine, local_engine
from sorakit.scan.hello import digest_of, hello_of
from sorakit.scan.locked import alone
from sorakit.scan.report import STILLS, write_reports
from sorakit.scan.rows import Row, make_rows
from sorakit.scan.source import Entry, open_source, printable

__all__ = ["JOURNAL", "Order", "scan"]

JOURNAL = "sorakit-scan.journal"
_FETCHED = ".sorakit-scan-fetched"

Told = Callable[[str, float], None]
"""Called with a line of words and the share done of all."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to do. `source`: a folder, a file or a URL; `out`: the folder for journal and reports.

    `policy`: what decides, `settings.policy` if None; `log`: where each decision of this run is noted, under
    the file's name here, `settings.decision_log` if None. `pattern`: on relative names, None for all videos;
    `jobs`: files at a time; `stills`: pictures a file in the report, 0 for none; `retry`: judge anew what
    could not be judged; `again`: judge all anew; `label_studio`: where to write a list of review tasks,
    `review_all`: of all files, not only of those that a person should see.
    """

    source: str
    out: Path
    pattern: str | None = None
    jobs: int = 1
    engine: Literal["local", "ray"] = "local"
    trust: Trust | None = None
    resolvers: tuple[str, ...] = ()
    stills: int = 4
    retry: bool = False
    again: bool = False
    policy: Policy | None = None
    log: Path | None = None
    label_studio: Path | None = None
    review_all: bool = False
    settings: Settings = field(default_factory=Settings)


def scan(order: Order, told: Told | None = None) -> dict[str, Any]:
    """Do it all; returns the summary that `sorakit scan --json` prints.

    `counts`: files judged, resumed (judged by an earlier run), duplicate, failed, stopped; `decisions`:
    files by decision; `failed`: each bad file and its reason; `reports`: what was written. Ctrl-C leaves
    the reports of what was reached. Raises `UsageError`, `OutputError`, `InputError` (a URL that cannot
    be listed).

    >>> scan(Order("uploads", Path("sorakit-scan")))["counts"]["failed"]  # doctest: +SKIP
    0
    """
    if not 1 <= order.jobs <= 256:
        raise UsageError(f"`jobs` must be 1 to 256, got {order.jobs}")
    if not 0 <= order.stills <= 16:
        raise UsageError(f"`stills` must be 0 to 16, got {order.stills}")
    start = time.monotonic()
    try:
        order.out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise OutputError(f"cannot make the folder {order.out}: {e.strerror}") from e
    with alone(order.out), Journal(order.out, JOURNAL, ("file", "version", "settings")) as journal:
        run = _Run(order, journal, told or (lambda *_: None))
        run.find()
        try:
            run.go()
        finally:
            summary = run.summary()
            summary["seconds"] = round(time.monotonic() - start, 1)
            summary["reports"] = run.report(summary)
    return summary


class _Run:
    """One pass over the files."""

    def __init__(self, order: Order, journal: Journal, told: Told) -> None:
        self._order, self._journal, self._told = order, journal, told
        self._source = open_source(order.source, order.out, order.pattern)
        self._policy = order.policy or load_policy(order.settings.policy)
        self._log = order.log or order.settings.decision_log
        trust = order.trust or load_trust(order.settings)
        self._hello = hello_of(order.settings, trust, order.resolvers, self._policy)
        self._digest = digest_of(self._hello)
        self._entries: list[Entry] = []
        self._states: dict[int, dict[str, Any]] = {}
        self._fresh: set[str] = set()
        self._twins: set[int] = set()
        self._shares: dict[int, float] = {}
        self._verdicts = {} if order.again else self._known()

    def find(self) -> None:
        self._told("listing", 0.0)
        self._entries = self._source.entries()
        if not self._entries:
            raise UsageError(f"no videos in {self._source.title}; give another folder or --pattern")

    def go(self) -> None:
        todo = [i for i in range(len(self._entries)) if not self._resumed(i)]
        fetched = self._order.out / _FETCHED
        shutil.rmtree(fetched, ignore_errors=True)  # what a killed scan left
        try:
            fetched.mkdir()
            if todo:
                self._work(todo, fetched)
        finally:
            shutil.rmtree(fetched, ignore_errors=True)

    def summary(self) -> dict[str, Any]:
        rows = self._rows()
        states = Counter(r.state for r in rows)
        counts = {s: states[s] for s in ("judged", "resumed", "duplicate", "failed")}
        return {
            "kit": version("sorakit"),
            "source": self._source.title,
            "files": len(self._entries),
            "counts": counts | {"stopped": len(self._entries) - len(rows)},
            "decisions": dict(sorted(Counter(r.decision for r in rows).items())),
            "failed": [{"file": r.file, "error": r.error} for r in rows if r.state == "failed"],
        }

    def report(self, summary: dict[str, Any]) -> dict[str, str | None]:
        links = {printable(e.name): self._source.link(e.name, self._order.out) for e in self._entries}
        return write_reports(
            self._rows(),
            summary,
            self._order.out,
            links,
            self._order.label_studio,
            every=self._order.review_all,
        )

    def _known(self) -> dict[str, dict[str, Any]]:
        """Verdicts of earlier runs with the same settings, by the content's key."""
        own = [e for e in self._journal if e.get("settings") == self._digest and "verdict" in e]
        if self._order.retry:
            own = [e for e in own if e["verdict"].get("error") is None]
        return {str(e["key"]): e["verdict"] for e in own}

    def _resumed(self, i: int) -> bool:
        past = self._journal.last((printable(self._entries[i].name), self._entries[i].version, self._digest))
        if past is None or past.get("key") not in self._verdicts:
            return False
        self._settle(i, {"key": past["key"], "sha256": past["sha256"]}, note=False)
        return True

    def _work(self, todo: list[int], fetched: Path) -> None:
        jobs = min(self._order.jobs, len(todo))
        with self._engine(jobs, fetched) as engine:
            for i in todo:
                for event in engine.events(until=2 * jobs - 1):  # one in hand for each that gets free
                    self._hear(*event)
                engine.give(i, asdict(self._entries[i]))
            for event in engine.events():
                self._hear(*event)
        for i in todo:
            key = self._states[i].get("key")
            if key is not None and key not in self._verdicts:  # its twin was claimed, and no answer came
                self._settle(i, {"failed": "the same bytes as another file, which could not be judged"})
            elif i in self._twins:
                self._note(i)

    def _engine(self, jobs: int, fetched: Path) -> Engine:
        hello = self._hello | {"stills": self._order.stills}
        limit = self._order.settings.limits.max_bytes
        if self._order.engine == "ray":
            from sorakit.scan.rays import RayEngine  # noqa: PLC0415 - an extra

            return RayEngine(self._order.source, jobs, hello, list(self._verdicts), limit)
        return local_engine(
            self._source, jobs, hello, Claims(self._verdicts), max_bytes=limit, folder=fetched
        )

    def _hear(self, i: int, message: dict[str, Any]) -> None:
        if "progress" in message:
            self._shares[i] = 0.9 * float(message["progress"][1])
            self._tell(i)
        elif "failed" in message:
            self._settle(i, {"failed": str(message["failed"])})
        else:
            done = message["done"]
            facts = {"key": str(done["key"]), "sha256": str(done["sha256"])}
            if "verdict" in done:
                self._keep(facts["key"], done["pictures"])
                self._verdicts[facts["key"]] = done["verdict"]
                self._fresh.add(facts["key"])
                self._settle(i, facts, verdict=done["verdict"])
            else:  # the other file may still be in work: it is noted at the end
                self._twins.add(i)
                self._settle(i, facts, note=False)

    def _keep(self, key: str, pictures: dict[str, Any]) -> None:
        """Stills go to the disk before the journal says that the file is done."""
        folder = self._order.out / STILLS
        try:
            folder.mkdir(exist_ok=True)
            for n, picture in enumerate(pictures["stills"]):
                (folder / f"{key}-{n}.jpg").write_bytes(base64.b64decode(picture))
            if pictures["heat"]:
                (folder / f"{key}-heat.jpg").write_bytes(base64.b64decode(pictures["heat"]))
        except OSError as e:
            raise OutputError(f"cannot write into {folder}: {e.strerror}; check free space") from e

    def _settle(
        self, i: int, state: dict[str, Any], *, note: bool = True, verdict: dict[str, Any] | None = None
    ) -> None:
        self._states[i] = state
        self._shares[i] = 1.0
        if note:
            self._note(i, verdict)
        self._tell(i)

    def _note(self, i: int, verdict: dict[str, Any] | None = None) -> None:
        """The decision goes to the log first: a kill in between logs it twice rather than never."""
        entry, state = self._entries[i], self._states[i]
        if self._log is not None:
            (row,) = make_rows([(entry, state)], self._verdicts, self._fresh, self._policy)
            append(self._log, row.verdict(), self._policy)
        head = {"file": printable(entry.name), "version": entry.version, "settings": self._digest}
        self._journal.add(head | state | ({} if verdict is None else {"verdict": verdict}))

    def _rows(self) -> list[Row]:
        # A twin of a file that was still in work when the scan was stopped was not reached either.
        keys = {i: self._states[i].get("key") for i in self._twins}
        waiting = {i for i, key in keys.items() if key is not None and key not in self._verdicts}
        found = ((e, self._states.get(i)) for i, e in enumerate(self._entries) if i not in waiting)
        settled = [(entry, state) for entry, state in found if state is not None]
        return make_rows(settled, self._verdicts, self._fresh, self._policy)

    def _tell(self, i: int) -> None:
        total, bad = len(self._entries), sum("failed" in s for s in self._states.values())
        words = f"{len(self._states)} of {total} files" + (f", {bad} failed" if bad else "")
        self._told(f"{words}, {printable(self._entries[i].name)}", sum(self._shares.values()) / total)
