"""Try attacks on a published video and see what the check still says: buttons, or a plain call.

In: the path of one of your own videos. Out: an `AttackLab`, which a notebook shows as buttons (native ones,
so Tab, Enter and Space work) and a terminal as a list. The attacked copies are test files in a temporary
folder that goes away with the lab.
"""

import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import escape

from sorakit.check import check
from sorakit.config import Settings
from sorakit.errors import SorakitError, UsageError
from sorakit.nb.card import CredentialCard
from sorakit.nb.view import strip
from sorakit.types import Verdict
from sorakit.video.guard import prescan
from sorakit.watermark import attacks

__all__ = ["AttackLab", "Attempt"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attacked copy and what the check says about it; notebooks show stills and card."""

    name: str
    path: Path
    verdict: Verdict
    card: CredentialCard

    def _repr_html_(self) -> str:
        stills = strip(self.path, 4, height=112, caption=f"after: {self.name}")
        return f'<div role="status">{stills.html}{self.card._repr_html_()}</div>'

    def __repr__(self) -> str:
        return f"{self.name}: {self.card}"


class AttackLab:
    """Buttons that attack `path`; the same without buttons: `lab.run("remux")`.

    `names`: which attacks to offer, all of `sorakit.watermark.attacks.ATTACKS` by default. `last`: the latest
    attempt.

    >>> lab = AttackLab("clip.mp4", ["remux"])  # doctest: +SKIP
    >>> lab.run("remux").verdict.decision  # doctest: +SKIP
    <Decision.AI_RECOVERED: 'ai_recovered'>
    """

    def __init__(
        self, path: Path | str, names: Sequence[str] | None = None, *, settings: Settings | None = None
    ) -> None:
        """Raises `UsageError` for names that are no attacks."""
        self.path = Path(path)
        self.names = tuple(names if names is not None else attacks.ATTACKS)
        unknown = [n for n in self.names if n not in attacks.ATTACKS]
        if unknown or not self.names:
            raise UsageError(f"`names` must be among {', '.join(attacks.ATTACKS)}, got {', '.join(unknown)}")
        self.last: Attempt | None = None
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="sorakit-lab-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def run(self, name: str) -> Attempt:
        """Attack the video, check the result, and return both. Raises the kit's errors."""
        if name not in self.names:
            raise UsageError(f"`name` must be one of {', '.join(self.names)}, got {name!r}")
        settings = self._settings or Settings()
        prescan(self.path, settings.limits)
        out = self._folder / f"{name}.mp4"
        out.unlink(missing_ok=True)
        attacks.apply(name, self.path, out)
        verdict = check(out, settings=settings)
        self.last = Attempt(name, out, verdict, CredentialCard.of(verdict, settings))
        return self.last

    def __repr__(self) -> str:
        return f"AttackLab on {self.path.name}: lab.run(NAME) with NAME one of {', '.join(self.names)}"

    def widget(self) -> Any:
        """The buttons with the result below them, an `ipywidgets.VBox`."""
        import ipywidgets  # noqa: PLC0415 - an extra; `run` works without it

        result = ipywidgets.HTML(value="<p>Choose an attack.</p>")
        buttons = [self._button(ipywidgets, name, result) for name in self.names]
        row = ipywidgets.HBox(buttons, layout=ipywidgets.Layout(flex_flow="row wrap"))
        return ipywidgets.VBox([row, result])

    def _button(self, ipywidgets: Any, name: str, result: Any) -> Any:
        button = ipywidgets.Button(
            description=name.replace("_", " "),
            tooltip=f"Apply the attack “{name}” and check the result",
            layout=ipywidgets.Layout(width="auto"),
        )

        def clicked(_button: Any) -> None:
            result.value = '<p role="status">working …</p>'
            try:
                result.value = self.run(name)._repr_html_()
            except SorakitError as e:  # shown where the reader looks; a traceback would go to the log
                result.value = _problem(str(e))

        button.on_click(clicked)
        return button

    def _ipython_display_(self) -> None:
        from IPython import display  # noqa: PLC0415 - only a notebook calls this

        put: Callable[[Any], None] = display.display
        try:
            put(self.widget())
        except ImportError:
            put(repr(self))


def _problem(text: str) -> str:
    return f'<p role="alert">{escape(text)}</p>'
