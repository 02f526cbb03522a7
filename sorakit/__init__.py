"""sorakit: make AI video, mark it so that the mark survives, check any video for what made it.

Importing this package loads neither torch nor diffusers; `generate` does on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sorakit.types import Clip, Decision, Evidence, Verdict

if TYPE_CHECKING:
    from sorakit.check import check
    from sorakit.generate import generate
    from sorakit.publish import publish

__all__ = ["Clip", "Decision", "Evidence", "Verdict", "__version__", "check", "generate", "publish"]
__version__ = "0.1.0"

_LAZY = {"check": "sorakit.check", "generate": "sorakit.generate", "publish": "sorakit.publish"}


def __getattr__(name: str) -> Any:
    """Import the three entry points on first use (PEP 562)."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'sorakit' has no attribute {name!r}")
