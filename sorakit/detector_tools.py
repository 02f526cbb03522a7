"""Find what trains, measures and watches detectors, without importing it: an entry-point group of its own.

In: a tool's name and its options. Out: its JSON-ready answer. A distribution offers tools in the group
`sorakit.detector_tools`; each is a function `(options, report) -> dict`.
"""

from importlib.metadata import entry_points
from typing import Any

from sorakit.errors import UsageError
from sorakit.types import Progress

__all__ = ["run_tool"]


def run_tool(name: str, options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Call the tool `name`; what it raises passes through.

    Raises `UsageError` when no installed distribution offers it.

    >>> run_tool("card", {}, lambda step, share: None)["name"]  # doctest: +SKIP
    'sorakit-detector'
    """
    found = list(entry_points(group="sorakit.detector_tools", name=name))
    if not found:
        raise UsageError(f"no installed package offers the detector tool {name!r}; reinstall sorakit")
    answer: dict[str, Any] = found[0].load()(options, progress)
    return answer
