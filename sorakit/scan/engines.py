"""Who does the work of a scan: processes of this machine, fed by threads that fetch and hash.

In: orders for single files. Out: for each one answer: `{"done": {"key", "sha256", "verdict", "pictures"}}`,
`{"done": {"key", "sha256"}}` where another file has the same bytes, or `{"failed": …}`. Which of two files
with the same bytes is judged is settled by who claims them first.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from sorakit.batch.crew import Crew
from sorakit.errors import InputError, SorakitError
from sorakit.scan.source import Entry, Source, identity

__all__ = ["Claims", "Engine", "local_engine", "ready"]

Facts = dict[str, str]


class Engine(Protocol):
    """What `sorakit.batch.crew.Crew` can do."""

    def __enter__(self) -> Any:
        """Ready for orders."""

    def __exit__(self, *_: object) -> None:
        """Stop what still runs."""

    def give(self, number: int, order: dict[str, Any]) -> None:
        """Hand over one order."""

    def events(self, *, until: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        """Progress and answers until at most `until` orders are open."""


class Claims:
    """The contents that are judged or being judged."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._taken, self._lock = set(known), threading.Lock()

    def claim(self, key: str) -> bool:
        """Whether the asker is the first."""
        with self._lock:
            new = key not in self._taken
            self._taken.add(key)
            return new


@contextmanager
def ready(
    source: Source, entry: Entry, claim: Callable[[str], bool], max_bytes: int, folder: Path | None
) -> Iterator[tuple[Path | None, dict[str, Any]]]:
    """A file that is here and has to be judged, with its `key` and `sha256`; or None and the answer."""
    with ExitStack() as stack:
        path: Path | None = None
        try:
            path = stack.enter_context(source.fetched(entry, max_bytes, folder))
            key, sha256 = identity(path)
        except SorakitError as e:
            yield None, {"failed": str(e), "error": type(e).__name__}
            return
        except OSError as e:
            told = InputError(f"cannot read it: {e.strerror or e}; check its permissions")
            yield None, {"failed": str(told), "error": "InputError"}
            return
        facts = {"key": key, "sha256": sha256}
        if claim(key):
            yield path, facts
        else:
            yield None, {"done": facts}


def local_engine(
    source: Source, jobs: int, hello: dict[str, Any], claims: Claims, *, max_bytes: int, folder: Path
) -> Engine:
    """`jobs` processes; files from elsewhere are fetched into `folder`, each by the thread that needs it."""

    @contextmanager
    def prepare(order: dict[str, Any]) -> Iterator[tuple[dict[str, Any] | None, dict[str, Any]]]:
        entry = Entry(**order)
        with ready(source, entry, claims.claim, max_bytes, folder) as (path, told):
            if path is None:
                yield None, told
            else:
                yield {"path": str(path.absolute()), "facts": told}, {}

    return Crew(jobs, hello, worker="sorakit.scan.worker", prepare=prepare)
