"""What to train and how: a typed recipe, and the recipes by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sorakit.errors import UsageError
from sorakit.world.dataset import Draw
from sorakit.world.scene import Space

__all__ = ["LATENT", "RECIPES", "Recipe"]

LATENT = (4, 8)
"""Frames and pixels a side that one latent of the autoencoder stands for."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run.

    `shapes`: clip sizes (T, H, W), the first the usual one, drawn with the odds `odds`. `slots`: vectors that
    the text encoder hands on (0: one a word). `sigma`: mean and standard deviation of logit σ.
    `object_weight`, `texture_weight`: how much more the pixels of a sprite and of a textured backdrop count;
    textures are so faint that plain squared error learns them last.
    `decoy`: share of clips whose noisy input shows other looks than the caption and the target (only where
    σ > `decoy_from`). Below that level the picture gives the shape away, so without decoys the network learns
    to read it there and to ignore the word. `given`: share of clips with given frames. `probe`: weight of the
    probe's loss. `flicker`: weight of the loss of frame-to-frame differences. `autoencoder`: the packaged
    autoencoder in whose latents it works, "" for pixels; `model`'s patch is then in latents. `decay`: last
    share of the budget, with a falling learning rate. `accumulate`: batches a step, shared out among the
    processes; the gradient is that of their mean. `about`: what it makes.

    Raises `UsageError` for numbers that no run could use.
    """

    name: str
    space: Space
    shapes: tuple[tuple[int, int, int], ...] = ((16, 32, 32),)
    odds: tuple[float, ...] = (1.0,)
    length: int = 16
    slots: int = 0
    model: dict[str, Any] = field(default_factory=dict)
    autoencoder: str = ""
    batch: int = 24
    lr: float = 2e-3
    warmup: int = 60
    decay: float = 0.35
    ema: float = 0.999
    clip: float = 1.0
    text_drop: float = 0.1
    sigma: tuple[float, float] = (1.3, 1.2)
    cap: float = 0.2
    object_weight: float = 4.0
    texture_weight: float = 0.0
    decoy: float = 0.25
    decoy_from: float = 0.35
    given: float = 0.0
    probe: float = 0.0
    flicker: float = 0.0
    guidance: float = 3.0
    guidance_low: float = 0.5
    shift: float = 4.0
    steps: int = 16
    solver: str = "euler"
    prompts: int = 48
    bf16: bool = True
    seed: int = 0
    accumulate: int = 1
    about: str = ""

    def __post_init__(self) -> None:
        """Refuse what would only fail, or train nothing, much later."""
        for name in (
            "batch", "lr", "warmup", "decay", "cap", "clip", "shift", "steps", "prompts", "accumulate",
        ):  # fmt: skip
            _need(name, getattr(self, name), getattr(self, name) > 0, "more than 0")
        for name in ("seed", "slots"):
            _need(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        _need("guidance", self.guidance, 0 <= self.guidance <= 100, "0 to 100")
        for name in ("text_drop", "decoy", "given", "ema", "guidance_low"):
            _need(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "0 to 1")
        _need("solver", self.solver, self.solver in ("euler", "stochastic"), '"euler" or "stochastic"')
        some = bool(self.shapes) and all(min(s) > 0 for s in self.shapes)
        _need("shapes", self.shapes, some, "(T, H, W), each more than 0")
        patch = self.draw.patch
        _need("model.patch", patch, min(patch) > 0, "(T, H, W), each more than 0")
        whole = all(side % p == 0 for s in self.shapes for side, p in zip(s, patch, strict=True))
        _need("shapes", self.shapes, whole, f"multiples of the model's patch {patch}")
        fits = len(self.odds) == len(self.shapes) and abs(sum(self.odds) - 1) < 1e-6 and min(self.odds) >= 0
        _need("odds", self.odds, fits, f"{len(self.shapes)} shares that add up to 1, one a shape")

    @property
    def shape(self) -> tuple[int, int, int]:
        """The usual clip (T, H, W)."""
        return self.shapes[0]

    @property
    def draw(self) -> Draw:
        """How its batches are drawn."""
        pt, ph, pw = self.model.get("patch", (4, 8, 8))
        t, s = LATENT if self.autoencoder else (1, 1)
        return Draw(
            self.space, self.batch, self.shapes, self.odds, length=self.length, decoy=self.decoy,
            given=self.given, patch=(pt * t, ph * s, pw * s),
        )  # fmt: skip


def _need(name: str, got: object, fine: bool, expected: str) -> None:
    if not fine:
        raise UsageError(f"`{name}` must be {expected}, got {got}")


_SHAPES = ((16, 32, 32), (16, 32, 48), (16, 48, 32), (24, 32, 32), (8, 32, 32), (16, 24, 40))
_ODDS = (0.7, 0.07, 0.07, 0.1, 0.03, 0.03)

_FULL = Space(two=0.5, camera=0.35, cut=0.2, combinations="seen")

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "one-object": Recipe(
            "one-object",
            Space(textures=("plain",), two=0.0, camera=0.0, combinations="seen"),
            shapes=_SHAPES,
            odds=_ODDS,
            slots=4,
            model={"patch": (4, 8, 8), "joint_text": True, "given_frames": True, "keep_given": True},
            given=0.2,
            probe=0.5,
            flicker=1.0,
            about="one sprite on a plain background, 32 px, any of the tasks with given frames",
        ),
        "full-world": Recipe(
            "full-world",
            _FULL,
            shapes=_SHAPES,
            odds=_ODDS,
            length=48,
            slots=8,
            model={
                "patch": (4, 8, 8), "width": 192, "depth": 6, "heads": 6, "joint_text": True,
                "given_frames": True,
            },
            batch=32,
            warmup=200,
            given=0.2,
            probe=0.5,
            object_weight=9.0,
            texture_weight=7.0,
            about="one or two sprites, textures, camera moves and cuts, 32 px",
        ),
        "full-world-64": Recipe(
            "full-world-64",
            _FULL,
            shapes=tuple((t, 2 * h, 2 * w) for t, h, w in _SHAPES[:4]),
            odds=(0.76, 0.07, 0.07, 0.1),
            length=48,
            slots=8,
            model={
                "channels": 48, "patch": (1, 2, 2), "width": 192, "depth": 6, "heads": 6, "mean": 0.0,
                "std": 1.0, "joint_text": True, "given_frames": True,
            },
            autoencoder="autoencoder",
            batch=16,
            accumulate=2,
            warmup=200,
            sigma=(0.8, 1.2),
            given=0.2,
            probe=0.5,
            object_weight=9.0,
            texture_weight=7.0,
            guidance=2.0,
            guidance_low=0.3,
            solver="stochastic",
            about="one or two sprites, textures, camera moves and cuts, 64 px, in the autoencoder's latents",
        ),
        "tiny": Recipe(
            "tiny",
            Space(textures=("plain",), two=0.0, camera=0.0),
            slots=2,
            model={
                "width": 48, "depth": 2, "heads": 2, "text_width": 48, "joint_text": True,
                "given_frames": True,
            },
            batch=8,
            given=0.2,
            probe=0.5,
            prompts=4,
            steps=4,
            about="nothing of use: seconds a run, for tests and first notebooks",
        ),
    }
)  # fmt: skip
"""All but `tiny`, for tests and first notebooks, make weights that the package holds."""
