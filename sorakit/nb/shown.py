"""What all widgets share: a notebook shows the widget, or text where the packages for it are missing."""

import os
from abc import ABC, abstractmethod
from typing import Any

__all__ = ["Shown"]


class Shown(ABC):
    """Something with a `widget()`; `instead()` stands in where ipywidgets or anywidget is not installed.

    So it does where `SORAKIT_WIDGETS` is `none`: on pages that no kernel stands behind.
    """

    @abstractmethod
    def widget(self) -> Any:
        """A new widget. Raises `ImportError` where the packages for it are missing."""

    def instead(self) -> object:
        """What is shown in the widget's place."""
        return repr(self)

    def _ipython_display_(self) -> None:
        from IPython import display  # noqa: PLC0415 - only a notebook calls this

        wanted = os.environ.get("SORAKIT_WIDGETS") != "none"
        try:
            shown = self.widget() if wanted else self.instead()
        except ImportError:
            shown = self.instead()
        display.display(shown)  # type: ignore[no-untyped-call]
