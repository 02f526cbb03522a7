"""What all widgets share: a notebook shows the widget, or text where the packages for it are missing."""

from abc import ABC, abstractmethod
from typing import Any

__all__ = ["Shown"]


class Shown(ABC):
    """Something with a `widget()`; `instead()` stands in where ipywidgets or anywidget is not installed."""

    @abstractmethod
    def widget(self) -> Any:
        """A new widget. Raises `ImportError` where the packages for it are missing."""

    def instead(self) -> object:
        """What is shown in the widget's place."""
        return repr(self)

    def _ipython_display_(self) -> None:
        from IPython import display  # noqa: PLC0415 - only a notebook calls this

        try:
            shown = self.widget()
        except ImportError:
            shown = self.instead()
        display.display(shown)  # type: ignore[no-untyped-call]
