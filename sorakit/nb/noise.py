"""Turn the noise of a clip up and down: what the model sees, what it must take away, and what it guesses.

In: a prompt, whose clip the sprite world draws, and a noise level σ. Out: a `Level`: pictures and one line.
z = (1 − σ) x + σ ε and v = ε − x as in `sorakit.diffusion.flow`, all in the model's own scale.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import escape

from sorakit.errors import SorakitError, UsageError
from sorakit.generate import DEFAULT_MODEL, load_info, load_pipeline, seeded
from sorakit.nb.paths import paths
from sorakit.nb.pixels import film
from sorakit.nb.shown import Shown
from sorakit.types import Rgb
from sorakit.world import EXAMPLE, parse, render

if TYPE_CHECKING:
    from torch import Tensor

    from sorakit.pipeline import SoraPipeline

__all__ = ["Level", "NoiseSlider"]

_V_RANGE = 6.0
"""Velocities from −3 to 3 fill the picture's range; zero is mid-grey."""


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """A clip at one noise level: tensors `(1, C, T, H, W)` in the model's scale, and `pictures` of them.

    `velocity` is the true one; `guess` is what the model takes the clean clip to be; `told`: whether it was
    told the prompt; `psnr`: how near the guess is to the clip, in dB.
    """

    sigma: float
    told: bool
    clean: "Tensor"
    noise: "Tensor"
    noisy: "Tensor"
    velocity: "Tensor"
    guess: "Tensor"
    pictures: dict[str, Rgb]
    psnr: float

    def _repr_html_(self) -> str:
        rows = {
            "noisy": f"what the model is shown: z = {1 - self.sigma:.2f} x + {self.sigma:.2f} ε",
            "velocity": "the velocity v = ε − x: what has to go; mid-grey is nothing",
            "guess": f"the model's guess x̂ of the clip, PSNR {self.psnr:.1f} dB",
            "clean": "the clip x itself",
        }
        shown = "".join(
            f'<div style="margin:0 0 .5rem"><div style="font-size:.9em">{escape(text)}</div>'
            f"{film(self.pictures[name], text, height=64)}</div>"
            for name, text in rows.items()
        )
        return (
            '<div style="display:flex;flex-wrap:wrap;gap:1.2rem;line-height:1.35">'
            f"<div>{shown}</div><div>{paths(self.clean, self.noise, self.guess, self.sigma)}</div></div>"
        )

    def __repr__(self) -> str:
        who = "told the prompt" if self.told else "not told the prompt"
        said = f"guesses the clip with a PSNR of {self.psnr:.1f} dB"
        return f"noise level {self.sigma:.2f}: the model, {who}, {said}"


class NoiseSlider(Shown):
    """A slider over the noise level σ; the same without a widget: `slider.at(0.5)`.

    `seed` draws both the clip's place and the noise. Raises `UsageError` for a prompt that the model does not
    know, `ModelError` where it does not load.

    >>> NoiseSlider("a big red circle moves left on a navy background", seed=1).at(1.0).sigma
    1.0
    """

    def __init__(self, prompt: str = EXAMPLE, *, seed: int = 0, model: Path = DEFAULT_MODEL) -> None:
        scene, info = parse(prompt), load_info(model)
        info.check(scene)
        self.prompt = prompt
        self.pipe: SoraPipeline = load_pipeline(model)
        frames = render(scene, seed, *info.usual).frames
        self._clean = self.pipe.canvas.encode(frames[None], self.pipe.device)  # (1, C, T, H, W)
        self._noise = self._clean.new_empty(self._clean.shape).normal_(generator=seeded(seed))

    def at(self, sigma: float, *, told: bool = True) -> Level:
        """The clip at noise level `sigma`, 0 to 1; `told`: whether the model is told the prompt."""
        if not 0 <= sigma <= 1:
            raise UsageError(f"`sigma` must be 0 (the clip) to 1 (noise alone), got {sigma}")
        import torch  # noqa: PLC0415 - `import sorakit.nb` stays light

        from sorakit.diffusion.flow import add_noise, to_clean  # noqa: PLC0415

        level = torch.full((1,), float(sigma))
        noisy = add_noise(self._clean, self._noise, level)  # (1, C, T, H, W)
        text = self.pipe.encode_prompt([self.prompt if told else ""])
        with torch.no_grad():
            out = self.pipe.transformer(noisy, 1000 * level, *text)  # (1, C, T, H, W)
        guess = to_clean(self.pipe.transformer.prediction, out, noisy, level)
        velocity = self._noise - self._clean
        shown = {"noisy": self._seen(noisy), "guess": self._seen(guess), "clean": self._seen(self._clean)}
        shown["velocity"] = _signed(velocity)
        difference = shown["guess"].astype(float) - shown["clean"]
        psnr = float(20 * np.log10(255 / np.sqrt((difference**2).mean() + 1e-9)))
        return Level(sigma, told, self._clean, self._noise, noisy, velocity, guess, shown, psnr)

    def _seen(self, z: "Tensor") -> Rgb:
        """A clip in the model's scale as a picture `uint8 (T, H, W, 3)`."""
        canvas = self.pipe.canvas
        out: Rgb = canvas.to_rgb(canvas.decode(z))[0]
        return out

    def __repr__(self) -> str:
        return f"NoiseSlider on “{self.prompt}”: slider.at(SIGMA) with SIGMA from 0 (the clip) to 1 (noise)"

    def widget(self) -> Any:
        """A slider, a box to tell the prompt, and the pictures below: an `ipywidgets.VBox`.

        Native controls: Tab moves between them, arrow keys slide, Space ticks.
        """
        import ipywidgets  # noqa: PLC0415 - an extra; `at` works without it

        slider = ipywidgets.FloatSlider(
            value=0.5, min=0, max=1, step=0.02, description="noise σ", layout={"width": "26rem"}
        )
        told = ipywidgets.Checkbox(value=True, description="tell the model the prompt", indent=False)
        result = ipywidgets.HTML()

        def turn(_change: Any = None) -> None:
            try:
                level = self.at(slider.value, told=told.value)
                result.value = f'{level._repr_html_()}<p role="status">{escape(repr(level))}</p>'
            except (SorakitError, RuntimeError) as e:  # torch's own errors too: shown where the reader looks
                result.value = f'<p role="alert">{escape(str(e))}</p>'

        slider.observe(turn, "value")
        told.observe(turn, "value")
        turn()
        row = ipywidgets.HBox([slider, told], layout=ipywidgets.Layout(flex_flow="row wrap"))
        return ipywidgets.VBox([row, result])


def _signed(velocity: "Tensor") -> Rgb:
    """Velocities `(1, 3, T, H, W)` as pictures: mid-grey for zero, brighter or darker by the sign."""
    shade = (0.5 + velocity[0] / _V_RANGE).clamp(0, 1).mul(255)  # (3, T, H, W)
    out: Rgb = shade.round().byte().permute(1, 2, 3, 0).contiguous().numpy()
    return out
