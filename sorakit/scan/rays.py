"""The work of a scan on a Ray cluster: one task a file, fetched, hashed and checked on one of its nodes.

In: the source's text (a URL, or a folder that all nodes see), the hello, contents that are judged already.
Out: the same events as the local engine's. The cluster is that of `RAY_ADDRESS`, or one started on this
machine, bound to it alone and without its usage reports and dashboard.
"""

import os
from collections.abc import Iterator
from typing import Any

from sorakit.errors import SorakitError, UsageError
from sorakit.scan.engines import Claims, ready
from sorakit.scan.judge import Judge
from sorakit.scan.source import Entry, Folder, Remote, open_source

__all__ = ["RayEngine"]


_PROXIES = ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY")
_NOWHERE = {"http_proxy": "http://127.0.0.1:9", "no_proxy": "127.0.0.1,localhost"}
"""Ray's head process asks the cloud's metadata service where it runs, whatever its options say: with this it
finds nobody. Tasks get the user's own proxies back."""


def _judge_one(
    text: str,
    order: dict[str, Any],
    hello: dict[str, Any],
    claims: Any,
    *,
    max_bytes: int,
    proxies: dict[str, str] | None,
) -> dict[str, Any]:
    """What runs on a node. `proxies`: the user's, where the cluster was started here; None elsewhere."""
    import ray  # noqa: PLC0415

    if proxies is not None:
        _set(proxies)

    def claim(key: str) -> bool:
        return bool(ray.get(claims.claim.remote(key)))

    try:
        with ready(open_source(text), Entry(**order), claim, max_bytes, None) as (path, told):
            if path is None:
                return told
            return {"done": Judge(hello)(path) | told}
    except SorakitError as e:
        return {"failed": str(e), "error": type(e).__name__}


class RayEngine:
    """`jobs` tasks at a time; use as a context manager. Raises `UsageError` without Ray."""

    def __init__(self, text: str, jobs: int, hello: dict[str, Any], known: list[str], max_bytes: int) -> None:
        try:
            import ray  # noqa: PLC0415 - an extra
        except ImportError as e:
            raise UsageError("`--engine ray` needs Ray: pip install 'sorakit[ray]'") from e
        source = open_source(text)
        if isinstance(source, Remote) and text.startswith("memory:"):
            raise UsageError("memory:// is this process's own; a cluster cannot see it: use --engine local")
        self._text = str(source.path.absolute()) if isinstance(source, Folder) else text
        self._ray, self._hello, self._max_bytes = ray, hello, max_bytes
        self._started = not ray.is_initialized()
        self._proxies = _start(ray, jobs) if self._started else None
        self._claims: Any = ray.remote(num_cpus=0)(Claims).remote(known)
        as_task: Any = ray.remote(num_cpus=1, max_retries=1)
        self._task = as_task(_judge_one)
        self._running: dict[Any, int] = {}

    def __enter__(self) -> "RayEngine":
        """Nothing to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what still runs; a cluster that was there before stays."""
        for task in self._running:
            self._ray.cancel(task, force=True)
        self._ray.kill(self._claims)
        if self._started:
            self._ray.shutdown()

    def give(self, number: int, order: dict[str, Any]) -> None:
        """Hand over one order."""
        more = {"max_bytes": self._max_bytes, "proxies": self._proxies}
        task = self._task.remote(self._text, order, self._hello, self._claims, **more)
        self._running[task] = number

    def events(self, *, until: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        """Answers as they come, until at most `until` orders are open."""
        while len(self._running) > until:
            (task,), _ = self._ray.wait(list(self._running), num_returns=1)
            number = self._running.pop(task)
            try:
                yield number, self._ray.get(task)
            except self._ray.exceptions.RayError as e:
                text = " ".join(str(e).split())[:300]
                yield number, {"failed": f"the cluster gave up on it: {text}", "error": type(e).__name__}


def _start(ray: Any, jobs: int) -> dict[str, str] | None:
    """Join the cluster of `RAY_ADDRESS` (None), or start one of this machine's; then the user's proxies."""
    quiet: dict[str, Any] = {"configure_logging": False, "log_to_driver": False}
    own = not os.environ.get("RAY_ADDRESS")
    before = {name: os.environ[name] for name in _PROXIES if name in os.environ}
    if own:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet |= {"num_cpus": jobs, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        _set(_NOWHERE)
    try:
        ray.init(**quiet)
    except Exception as e:  # a node that does not come up in time raises no narrower class
        way = (
            "it has 15 seconds to start, so wait until the machine is less busy"
            if own
            else "look at RAY_ADDRESS"
        )
        raise UsageError(f"no Ray cluster: {' '.join(str(e).split())[:300]}; {way}") from e
    finally:
        if own:
            _set(before)
    return before if own else None


def _set(proxies: dict[str, str]) -> None:
    for name in _PROXIES:
        os.environ.pop(name, None)
    os.environ.update(proxies)
