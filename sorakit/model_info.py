"""What a model's folder says of itself: `sorakit.json`, read and checked without torch."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sorakit.errors import ModelError, UsageError
from sorakit.model.format import FORMAT, check_format
from sorakit.world.caption import EXAMPLE
from sorakit.world.scene import Scene

__all__ = ["DEFAULT_MODEL", "WEIGHTS", "ModelInfo", "load_info", "model_folder", "packaged"]

WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the packaged models."""

DEFAULT_MODEL = WEIGHTS / "one-object"

_MOST_BYTES = 1 << 20


class ModelInfo(BaseModel):
    """`sorakit.json` in a model's folder: what it is, what it can show, and how it is best sampled."""

    model_config = ConfigDict(extra="forbid")

    format: str = Field(FORMAT, description="version of the folder's layout")
    name: str = Field(pattern=r"^[a-z0-9.-]{1,64}$")
    version: str = Field(pattern=r"^[a-z0-9.+-]{1,64}$")
    licence: str = Field(max_length=64)
    sprites: int = Field(ge=1, le=2, description="most sprites in a shot")
    shots: int = Field(ge=1, le=2, description="most shots in a clip")
    sizes: list[str]
    textures: list[str]
    camera: bool = Field(description="whether it knows camera moves")
    steps: int = Field(ge=1, le=1000)
    guidance: float = Field(ge=0, le=100)
    guidance_low: float = Field(0.0, ge=0, le=1, description="no guidance where σ is lower")
    given_frames: bool = Field(False, description="whether it can be given images and frames")
    latent: bool = Field(False, description="whether it works in an autoencoder's latents")
    frames: int | None = Field(None, ge=1, le=4096, description="frames of its usual clip")
    height: int | None = Field(None, ge=8, le=4096, description="height of its usual clip, px")
    width: int | None = Field(None, ge=8, le=4096, description="width of its usual clip, px")

    @property
    def usual(self) -> tuple[int, int, int]:
        """Its usual clip (T, H, W): 16 frames of 32 px, 64 px where it works in latents, unless it says."""
        side = 64 if self.latent else 32
        return self.frames or 16, self.height or side, self.width or side

    def check(self, scene: Scene) -> None:
        """Raise `UsageError` when `scene` is more than the model was trained to show."""
        wrong = []
        if len(scene.shots) > self.shots:
            wrong.append("cuts")
        for shot in scene.shots:
            if len(shot.sprites) > self.sprites:
                wrong.append("two sprites")
            if shot.camera and not self.camera:
                wrong.append("camera moves")
            if shot.texture not in self.textures:
                wrong.append(f"{shot.texture} backgrounds")
            wrong += [f"the size “{s.size}”" for s in shot.sprites if s.size not in self.sizes]
        if wrong:
            found = ", ".join(dict.fromkeys(wrong))
            sizes, textures = " or ".join(self.sizes), " or ".join(self.textures)
            raise UsageError(
                f"{self.name} was not trained on {found}. It shows {self.sprites} sprite(s) of size {sizes} "
                f"on a {textures} background; for example: {EXAMPLE}"
            )

    def check_given(self) -> None:
        """Raise `UsageError` when the model cannot be given frames."""
        if not self.given_frames:
            raise UsageError(
                f"{self.name} was not trained to be given images or frames; use a model whose sorakit.json "
                f"says `given_frames`{_alternatives()}"
            )


def packaged() -> tuple[str, ...]:
    """Names of the models that the package holds."""
    return tuple(sorted(p.parent.name for p in WEIGHTS.glob("*/sorakit.json")))


def model_folder(model: str | Path) -> Path:
    """The folder of a packaged model's name, or the path itself.

    >>> model_folder("one-object") == DEFAULT_MODEL
    True
    """
    return WEIGHTS / model if str(model) in packaged() else Path(model)


def load_info(folder: Path = DEFAULT_MODEL) -> ModelInfo:
    """What the model in `folder` says of itself; raises `ModelError`.

    Its parts decide whether it takes frames and whether it has latents, whatever the file says.
    """
    try:
        said: dict[str, Any] = dict(_json(folder / "sorakit.json"))
        check_format(said.get("format", FORMAT), str(folder))
        said["given_frames"] = bool(_config(folder / "transformer").get("given_frames", False))
        said["latent"] = (folder / "vae").is_dir()
        if said.get("format", FORMAT) != FORMAT:  # a later minor version may say more
            said = {k: v for k, v in said.items() if k in ModelInfo.model_fields}
        return ModelInfo.model_validate(said)
    except (OSError, ValueError, TypeError, ValidationError) as error:
        raise ModelError(f"{folder} is not a model folder of sorakit: {error}") from error


def _alternatives() -> str:
    """The packaged models that can be given frames, as the end of a sentence."""
    folders = sorted(p.parent for p in WEIGHTS.glob("*/sorakit.json"))
    names = [str(f) for f in folders if _config(f / "transformer").get("given_frames")]
    return f", such as {', '.join(names)}" if names else ""


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    return _json(path) if path.is_file() else {}


def _json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path.name} has more than {_MOST_BYTES} bytes")
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} must hold an object")
    return found
