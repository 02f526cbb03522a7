"""What decides how a file is judged: handed to every worker, and known again by its digest.

In: settings, trust, resolvers. Out: JSON, and a short hash: with another hash a file is judged anew.
"""

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import entry_points, version
from typing import Any

from sorakit.config import Settings
from sorakit.moderation.policy import Policy
from sorakit.provenance.trust import Trust

__all__ = ["digest_of", "hello_of"]

_PLACES = ("home", "registry_url", "limits", "trust_list_days", "policy")
"""Where things lie and how much a file may cost: they decide nothing that stands."""


def hello_of(settings: Settings, trust: Trust, resolvers: Sequence[str], policy: Policy) -> dict[str, Any]:
    """The first line that a worker reads; the log of decisions is kept by the scan, not by its workers."""
    return {
        "settings": settings.model_dump(mode="json") | {"decision_log": None},
        "policy": policy.model_dump(mode="json"),
        "trust": trust.to_json(),
        "resolvers": list(resolvers),
    }


def digest_of(hello: dict[str, Any]) -> str:
    """16 hex digits of all that shapes a verdict, the kit's version and the installed detectors included."""
    settings = {k: v for k, v in hello["settings"].items() if k not in _PLACES}
    points = entry_points(group="sorakit.detectors")
    detectors = sorted(f"{p.name}={p.value}@{p.dist.version if p.dist else ''}" for p in points)
    parts = hello | {"settings": settings, "kit": version("sorakit"), "detectors": detectors}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
