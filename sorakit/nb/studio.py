"""From a sentence to a checked file as one form: generate, publish, check, attack.

In: a prompt, a seed, a size and a number of steps. Out: a `Studio`, which a notebook shows as a form with a
progress bar and a terminal as text; `studio.make(…)` does the same. The model runs in this kernel. Videos lie
in a temporary folder that goes away with the studio, unless it is given one; they leave through `publish`.
"""

import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import escape

from sorakit.check import check
from sorakit.config import Settings
from sorakit.errors import SorakitError, UsageError
from sorakit.generate import generate
from sorakit.model_info import DEFAULT_MODEL, load_info, model_folder
from sorakit.nb.card import CredentialCard
from sorakit.nb.lab import AttackLab, Attempt
from sorakit.nb.shown import Shown
from sorakit.nb.view import show
from sorakit.publish import Published, publish
from sorakit.types import Clip, Progress, Verdict
from sorakit.world.caption import EXAMPLE, parse

__all__ = ["Made", "Studio"]

_SHARES = {"generate": (0.0, 0.7), "publish": (0.7, 0.2), "check": (0.9, 0.1)}
"""Where each part begins on the bar, and how long it is."""
_PUBLISH_STEPS = 7
_MAX_STEPS = 64


@dataclass(frozen=True, slots=True)
class Made:
    """A clip on its way out: in memory, as published, and what the check says of the file."""

    clip: Clip
    published: Published
    verdict: Verdict
    card: CredentialCard

    def _repr_html_(self) -> str:
        seen = show(self.published.path, caption=f"published as {self.published.path.name}").html
        return f'<div role="status">{seen}{self.card._repr_html_()}</div>'

    def __repr__(self) -> str:
        return f"{self.published.path.name}, payload {self.published.payload}\n{self.card}"


class Studio(Shown):
    """A form that makes, publishes, checks and attacks a video; without it: `studio.make(prompt, seed=7)`.

    `sizes`: names of the sizes that the model was measured on, each (frames, height, width). `last`: what was
    made latest; `lab`: the attack lab on it.

    >>> studio = Studio()  # doctest: +SKIP
    >>> studio.make("a big red circle bounces on a navy background", seed=7)  # doctest: +SKIP
    >>> studio.attack("remux").verdict.decision  # doctest: +SKIP
    <Decision.AI_RECOVERED: 'ai_recovered'>
    """

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        model: Path | str = DEFAULT_MODEL,
        settings: Settings | None = None,
    ) -> None:
        """`model`: a packaged model's name, or a folder. Raises `ModelError` for what is no model."""
        self.model = model_folder(model)
        self.info = load_info(self.model)
        T, H, W = self.info.usual
        self.sizes = {
            "usual": (T, H, W),
            "wide": (T, H, W * 3 // 2),
            "tall": (T, H * 3 // 2, W),
            "longer": (T * 3 // 2, H, W),
        }
        self.last: Made | None = None
        self.lab: AttackLab | None = None
        self._settings = settings
        if folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="sorakit-studio-"))
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        else:
            self.folder = Path(folder)

    def make(
        self,
        prompt: str,
        *,
        seed: int = 0,
        size: str = "usual",
        steps: int | None = None,
        progress: Progress | None = None,
    ) -> Made:
        """Generate, publish and check; `size` is one of `sizes`, `steps` the model's own if None.

        Raises the kit's errors: `UsageError` for a prompt that the model does not understand, with the
        nearest words, and `IdentityError` where nobody can sign (`sorakit keys dev`).
        """
        if size not in self.sizes:
            raise UsageError(f"`size` must be one of {', '.join(self.sizes)}, got {size!r}")
        if steps is not None and not 1 <= steps <= _MAX_STEPS:
            raise UsageError(f"`steps` must be 1 to {_MAX_STEPS}, got {steps}")
        settings = self._settings or Settings()
        frames, height, width = self.sizes[size]
        clip = generate(
            prompt, seed=seed, frames=frames, height=height, width=width, steps=steps, model=self.model,
            device=_device(), progress=_part("generate", progress),
        )  # fmt: skip
        path = self._free()
        published = publish(clip, path, settings=settings, progress=_counted(_part("publish", progress)))
        verdict = check(path, settings=settings, progress=_part("check", progress))
        self.last = Made(clip, published, verdict, CredentialCard.of(verdict, settings))
        self.lab = AttackLab(path, settings=settings)
        return self.last

    def attack(self, name: str, strength: float | None = None) -> Attempt:
        """Attack what was made latest and check the copy (`AttackLab.run`)."""
        if self.lab is None:
            raise UsageError("nothing has been made yet; call make first")
        return self.lab.run(name, strength)

    def __repr__(self) -> str:
        return (
            f"Studio with {self.info.name}: studio.make(PROMPT, seed=0, size=SIZE, steps={self.info.steps}) "
            f"with SIZE one of {', '.join(self.sizes)}, then studio.attack(NAME); for example: {EXAMPLE}"
        )

    def widget(self) -> Any:
        """The form: prompt, seed, size, steps, a button; below it the bar, the video, its card, attacks.

        All are native controls: Tab moves between them, Enter or Space presses the button.
        """
        import ipywidgets  # noqa: PLC0415 - an extra; `make` works without it

        wide = ipywidgets.Layout(width="min(100%, 40rem)")
        prompt = ipywidgets.Text(EXAMPLE, description="Prompt", layout=wide, continuous_update=False)
        hint, result = ipywidgets.HTML(), ipywidgets.HTML()
        seed = ipywidgets.BoundedIntText(0, min=0, max=2**31 - 1, description="Seed")
        options = [(f"{n}: {t} frames, {w}×{h} px", n) for n, (t, h, w) in self.sizes.items()]
        size = ipywidgets.Dropdown(options=options, description="Size")
        steps = ipywidgets.IntSlider(self.info.steps, min=1, max=_MAX_STEPS, description="Steps")
        button = ipywidgets.Button(
            description="Make", button_style="primary", tooltip="Generate, publish, check"
        )
        bar = ipywidgets.FloatProgress(0.0, min=0.0, max=1.0, description="Ready", layout=wide)
        attacks = ipywidgets.VBox()

        def told(step: str, share: float) -> None:
            bar.description, bar.value = step.title(), share

        def understood(_change: Any = None) -> None:
            hint.value = self._hint(prompt.value)

        def clicked(_button: Any) -> None:
            button.disabled, result.value, attacks.children = True, "", ()
            try:
                made = self.make(
                    prompt.value, seed=seed.value, size=size.value, steps=steps.value, progress=told
                )
                result.value = made._repr_html_()
                if self.lab is not None:
                    attacks.children = (self.lab.widget(),)
                told("done", 1.0)
            except SorakitError as e:  # shown where the reader looks; a traceback would go to the log
                told("ready", 0.0)
                result.value = f'<p role="alert">{escape(str(e))}</p>'
            finally:
                button.disabled = False

        prompt.observe(understood, "value")
        button.on_click(clicked)
        row = ipywidgets.HBox([seed, size, steps, button], layout=ipywidgets.Layout(flex_flow="row wrap"))
        return ipywidgets.VBox([prompt, hint, row, bar, result, attacks])

    def _hint(self, prompt: str) -> str:
        """What is wrong with a prompt, as HTML; empty where nothing is."""
        try:
            self.info.check(parse(prompt))
        except SorakitError as e:
            return f'<p role="alert">{escape(str(e))}</p>'
        return ""

    def _free(self) -> Path:
        n = 1
        while (path := self.folder / f"clip-{n}.mp4").exists():
            n += 1
        return path


def _device() -> str:
    try:
        import torch  # noqa: PLC0415 - `generate` says what is missing
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def _part(name: str, progress: Progress | None) -> Progress:
    """Progress of one part as progress of the whole."""
    start, length = _SHARES[name]

    def tell(_step: str, share: float) -> None:
        if progress is not None:
            progress(name, start + length * min(max(share, 0.0), 1.0))

    tell("", 0.0)
    return tell


def _counted(progress: Progress) -> Progress:
    """`publish` starts each of its steps at 0: how many have begun says how far it is."""
    begun: list[str] = []

    def tell(step: str, share: float) -> None:
        if step not in begun:
            begun.append(step)
        progress(step, (len(begun) - 1 + share) / _PUBLISH_STEPS)

    return tell
