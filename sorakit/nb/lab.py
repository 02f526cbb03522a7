"""Try attacks on a published video and see what the check still says: a widget, or a plain call.

In: the path of one of your own videos. Out: an `AttackLab`, which a notebook shows as a list, a slider and a
button (native ones, so Tab, arrows, Enter and Space work) and a terminal as text. The attacked copies are
test files in a temporary folder that goes away with the lab.
"""

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import escape

from sorakit.check import check
from sorakit.config import Settings
from sorakit.errors import SorakitError, UsageError
from sorakit.nb.card import CredentialCard
from sorakit.nb.shown import Shown
from sorakit.nb.view import strip
from sorakit.regenerate import install
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
    source: Path | None = None
    strength: float | None = None

    @property
    def mark(self) -> str:
        """Whether the mark still reads, in words."""
        found = self.verdict.evidence.watermark
        if not found.found:
            return f"the mark does not read (log10 p {found.log10_p:.1f})"
        return f"the mark reads: {found.payload} (log10 p {found.log10_p:.1f})"

    def _repr_html_(self) -> str:
        what = self.name if self.strength is None else f"{self.name}, strength {self.strength:g}"
        before = strip(self.source, 4, height=112, caption="before").html if self.source else ""
        after = strip(self.path, 4, height=112, caption=f"after: {what}").html
        said = f"<p><strong>{escape(self.mark)}</strong></p>"
        return f'<div role="status">{before}{after}{said}{self.card._repr_html_()}</div>'

    def __repr__(self) -> str:
        return f"{self.name}: {self.card}; {self.mark}"


class AttackLab(Shown):
    """A widget that attacks `path`; the same without a widget: `lab.run("h264_crf28", 30)`.

    `names`: which attacks to offer, by default all that need no further video. `last`: the latest attempt.

    >>> lab = AttackLab("clip.mp4", ["remux"])  # doctest: +SKIP
    >>> lab.run("remux").verdict.decision  # doctest: +SKIP
    <Decision.AI_RECOVERED: 'ai_recovered'>
    """

    def __init__(
        self, path: Path | str, names: Sequence[str] | None = None, *, settings: Settings | None = None
    ) -> None:
        """Raises `UsageError` for names that are no attacks."""
        self.path = Path(path)
        self.names = tuple(names if names is not None else _alone())
        unknown = [n for n in self.names if n not in attacks.ATTACKS]
        if unknown or not self.names:
            raise UsageError(f"`names` must be among {', '.join(attacks.ATTACKS)}, got {', '.join(unknown)}")
        self.last: Attempt | None = None
        self._settings = settings
        self._folder = Path(tempfile.mkdtemp(prefix="sorakit-lab-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def run(self, name: str, strength: float | None = None, seed: int = 0) -> Attempt:
        """Attack the video, check the result, and return both. Raises the kit's errors.

        `strength`: within the attack's range (`sorakit attack --list`), its default if None.
        """
        if name not in self.names:
            raise UsageError(f"`name` must be one of {', '.join(self.names)}, got {name!r}")
        settings = self._settings or Settings()
        prescan(self.path, settings.limits)
        out = self._folder / f"{name}.mp4"
        out.unlink(missing_ok=True)
        attacks.apply(name, self.path, out, strength, seed)
        verdict = check(out, settings=settings)
        card = CredentialCard.of(verdict, settings)
        self.last = Attempt(name, out, verdict, card, self.path, strength)
        return self.last

    def __repr__(self) -> str:
        return (
            f"AttackLab on {self.path.name}: lab.run(NAME, STRENGTH) with NAME one of {', '.join(self.names)}"
        )

    def widget(self) -> Any:
        """A list of attacks, a slider, a button, and the result below: an `ipywidgets.VBox`.

        All are native controls: Tab moves between them, arrow keys choose and slide, Enter or Space attacks.
        """
        import ipywidgets  # noqa: PLC0415 - an extra; `run` works without it

        options = [(n.replace("_", " "), n) for n in self.names]
        chosen = ipywidgets.Dropdown(options=options, description="Attack")
        slider = ipywidgets.FloatSlider(description="Strength", readout_format=".3g", continuous_update=False)
        says = ipywidgets.HTML()
        button = ipywidgets.Button(description="Attack", tooltip="Attack the video and check the result")
        result = ipywidgets.HTML(value="<p>Choose an attack.</p>")

        def turn(_change: Any = None) -> None:
            attack = attacks.ATTACKS[chosen.value]
            says.value = f"<p>{escape(attack.summary)}{_range(attack)}</p>"
            _set_range(slider, attack.strength)

        def clicked(_button: Any) -> None:
            result.value = '<p role="status">working …</p>'
            try:
                result.value = self.run(chosen.value, _turned(slider, chosen.value))._repr_html_()
            except SorakitError as e:  # shown where the reader looks; a traceback would go to the log
                result.value = _problem(str(e))

        chosen.observe(turn, "value")
        button.on_click(clicked)
        turn()
        row = ipywidgets.HBox([chosen, slider, button], layout=ipywidgets.Layout(flex_flow="row wrap"))
        return ipywidgets.VBox([row, says, result])


def _alone() -> list[str]:
    install()
    return [a.name for a in attacks.ATTACKS.values() if not a.needs_others]


def _range(attack: attacks.Attack) -> str:
    s = attack.strength
    return f"; strength {s.low:g} to {s.high:g} {escape(s.unit)}" if s else ""


def _set_range(slider: Any, strength: attacks.Strength | None) -> None:
    """Give the slider an attack's range; the widget never passes through a range with its ends crossed."""
    slider.disabled = strength is None
    slider.layout.visibility = "hidden" if strength is None else "visible"
    if strength is None:
        return
    with slider.hold_trait_notifications():
        slider.min, slider.max = strength.low, strength.high
        slider.step = (strength.high - strength.low) / 100
        slider.value = strength.default


def _turned(slider: Any, name: str) -> float | None:
    """The slider's strength; None at the default, which rounding to steps must not shift."""
    strength = attacks.ATTACKS[name].strength
    if strength is None or abs(slider.value - strength.default) <= slider.step / 2:
        return None
    return float(min(max(slider.value, strength.low), strength.high))


def _problem(text: str) -> str:
    return f'<p role="alert">{escape(text)}</p>'
