"""sorakit: make AI video, mark it so that the mark survives, check any video for what made it.

`sorakit.generate`, `sorakit.publish` and `sorakit.check` are functions. Importing this package loads neither
torch nor diffusers; `generate` does on first use.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sorakit.types import Clip, Decision, Evidence, Verdict

if TYPE_CHECKING:
    from sorakit.check import check
    from sorakit.generate import generate
    from sorakit.publish import publish

__all__ = ["Clip", "Decision", "Evidence", "Verdict", "__version__", "check", "generate", "publish"]
__version__ = "0.1.0"

_ENTRY_POINTS = ("check", "generate", "publish")


class _Package(ModuleType):
    """The three entry points are named like the modules they live in; the function wins."""

    def __getattr__(self, name: str) -> Any:
        """Import an entry point on first use."""
        if name not in _ENTRY_POINTS:
            raise AttributeError(f"module 'sorakit' has no attribute {name!r}")
        import_module(f"sorakit.{name}")
        return self.__dict__[name]

    def __setattr__(self, name: str, value: Any) -> None:
        """Bind the function where the import system would bind its module."""
        if name in _ENTRY_POINTS and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
