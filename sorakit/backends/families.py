"""What each family of pipelines calls its arguments, which sizes it takes and how fast it plays.

In: a loaded pipeline and an `Asked`. Out: the keyword arguments of its `__call__`, or `UsageError` for what
it does not take: pipelines round a number of frames, or ignore a prompt, with no more than a log line.
"""

from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

from sorakit.errors import ModelError, UsageError

__all__ = ["Asked", "arguments", "check_callable", "default_of", "needs_image", "rate"]

_WORDS = {
    "prompt": ("prompt",),
    "negative_prompt": ("negative_prompt",),
    "image": ("image",),
    "frames": ("num_frames", "video_length", "frames"),  # the latter two: Latte, Sana-Video
    "height": ("height",),
    "width": ("width",),
    "steps": ("num_inference_steps",),
    "guidance": ("guidance_scale", "max_guidance_scale"),  # the latter: Stable Video Diffusion
    "fps": ("frame_rate", "fps"),  # where the model is told the rate it plays at: LTX, SVD, Cosmos
}

# Frames a second by the beginning of the class's name; the longest match counts. Where nothing else is
# said, from the example in the docstring of the pipeline in diffusers 0.42.
_RATES = {
    "Allegro": 15,
    "AnimateDiff": 8,  # the motion modules were trained at 8 (AnimateDiff, arXiv 2307.04725)
    "CogVideoX": 8,
    "ConsisID": 8,
    "EasyAnimate": 8,
    "HunyuanVideo": 24,  # sample_video.py of the authors; diffusers' example plays it slowed down, at 15
    "HunyuanVideoFramepack": 30,
    "Kandinsky5": 24,
    "Latte": 8,  # sample_t2x.py of the authors
    "Mochi": 30,  # diffusers' documentation, page "Mochi 1"
    "SanaVideo": 16,
    "SkyReelsV2": 24,
    "Wan": 16,
    "WanAnimate": 30,
}
_WAN_5B = 24
"""Wan 2.2 TI2V-5B (its card: 720p at 24); the only Wan whose pipeline has `expand_timesteps`."""

# Their autoencoders code one frame, then groups: n · group + 1 frames. Allegro's and others' do not.
_CAUSAL = ("CogVideoX", "ConsisID", "Hunyuan", "LTX", "Mochi", "SkyReels", "Wan")
_GROUPS = ("vae_scale_factor_temporal", "vae_temporal_compression_ratio", "vae_temporal_scale_factor")
_SCALES = (
    "vae_scale_factor_spatial",
    "vae_spatial_compression_ratio",
    "vae_spatial_scale_factor",
    "vae_scale_factor",
)

_MAX_VALUES = 1 << 29
"""Frames × height × width; a minute of 720p at 8 frames a second."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user asked for; None leaves it to the pipeline. `image`: a `PIL.Image`."""

    prompt: str
    negative_prompt: str | None = None
    image: Any = None
    frames: int | None = None
    height: int | None = None
    width: int | None = None
    steps: int | None = None
    guidance: float | None = None
    fps: int | None = None


def check_callable(kind: Any) -> None:
    """Raise `ModelError` when the pipeline class makes no video, or needs inputs that are not given here."""
    parameters = signature(kind.__call__).parameters
    if _name(kind, "frames") is None:
        raise ModelError(f"{kind.__name__} makes no video of a prompt or picture: it takes no `frames`")
    known = {word for words in _WORDS.values() for word in words}
    needed = {
        name
        for name, p in parameters.items()
        if p.default is Parameter.empty and p.kind is Parameter.POSITIONAL_OR_KEYWORD and name != "self"
    }
    if other := sorted(needed - known):
        raise ModelError(f"{kind.__name__} needs {', '.join(other)}, which cannot be given here")


def arguments(pipe: Any, asked: Asked) -> dict[str, Any]:
    """`asked` in the pipeline's words.

    Raises `UsageError` for an argument that it lacks or would ignore, a missing picture, and sizes that do
    not fit.
    """
    kind = type(pipe)
    _check_numbers(asked)
    _check_sizes(pipe, asked)
    _check_inputs(kind, asked)
    given = {}
    for word in _WORDS:
        value, name = getattr(asked, word), _name(kind, word)
        if name is not None and value is not None:
            given[name] = value
        elif value is not None and word == "fps":
            continue  # then the rate is only how fast the frames are played
        elif value not in (None, ""):
            raise UsageError(f"{kind.__name__} takes no {word.replace('_', ' ')}; leave it out")
    return given


def default_of(pipe: Any, word: str) -> Any:
    """The pipeline's own value of one of our words, or None where it says none."""
    name = _name(type(pipe), word)
    value = signature(type(pipe).__call__).parameters[name].default if name else None
    return None if value is Parameter.empty else value


def needs_image(kind: Any) -> bool:
    """Whether pipelines of this class start from a picture, whatever else they take."""
    image = signature(kind.__call__).parameters.get("image")
    return image is not None and (image.default is Parameter.empty or "ImageToVideo" in kind.__name__)


def rate(pipe: Any, fps: int | None) -> int:
    """Frames a second to play at: as asked, as the model is told, or as its family is known to play."""
    name = type(pipe).__name__
    if fps is not None:
        return fps
    if isinstance(told := default_of(pipe, "fps"), int | float):
        return round(told)
    if name.startswith("Wan") and pipe.config.get("expand_timesteps"):
        return _WAN_5B
    if known := [prefix for prefix in _RATES if name.startswith(prefix)]:
        return _RATES[max(known, key=len)]
    raise UsageError(f"how fast {name} plays is not known here; give `fps`")


def _name(kind: Any, word: str) -> str | None:
    parameters = signature(kind.__call__).parameters
    return next((w for w in _WORDS[word] if w in parameters), None)


def _check_numbers(asked: Asked) -> None:
    for word, least, most in (
        ("frames", 1, 4096), ("height", 1, 8192), ("width", 1, 8192), ("steps", 1, 1000),
        ("fps", 1, 240), ("guidance", 0, 100),
    ):  # fmt: skip
        value = getattr(asked, word)
        if value is not None and not least <= value <= most:
            raise UsageError(f"`{word}` must be {least} to {most}, got {value}")
    values = (asked.frames or 1) * (asked.height or 1) * (asked.width or 1)
    if values > _MAX_VALUES:
        raise UsageError(f"frames × height × width must be at most {_MAX_VALUES}, got {values}")


def _check_sizes(pipe: Any, asked: Asked) -> None:
    name, multiple = type(pipe).__name__, _multiple(pipe)
    for word in ("height", "width"):
        value = getattr(asked, word)
        if value is not None and value % multiple:
            near = max(1, round(value / multiple)) * multiple
            raise UsageError(f"`{word}` must be a multiple of {multiple} for {name}, got {value}; try {near}")
    _check_frames(pipe, name, asked.frames)


def _check_frames(pipe: Any, name: str, frames: int | None) -> None:
    if frames is None:
        return
    if name.startswith("Latte") and frames not in (1, length := pipe.transformer.config["video_length"]):
        raise UsageError(f"`frames` must be {length}, the length that this {name} learned, got {frames}")
    group = next((int(v) for a in _GROUPS if (v := getattr(pipe, a, None))), 1)
    if name.startswith(_CAUSAL) and (frames - 1) % group:
        low = (frames - 1) // group * group + 1
        raise UsageError(
            f"`frames` must be a multiple of {group} and one for {name}, got {frames}; "
            f"try {low} or {low + group}"
        )


def _multiple(pipe: Any) -> int:
    """Pixels that a side must be a multiple of: those of a latent, times latents of a patch."""
    scale = next((int(v) for a in _SCALES if (v := getattr(pipe, a, None))), 1)
    if (transformer := getattr(pipe, "transformer", None)) is not None:
        patch = transformer.config.get("patch_size") or 1
        return scale * int(patch[-1] if isinstance(patch, list | tuple) else patch)
    return scale


def _check_inputs(kind: Any, asked: Asked) -> None:
    parameters = signature(kind.__call__).parameters
    if not asked.prompt and "prompt" in parameters and _name(kind, "image") is None:
        raise UsageError(f"{kind.__name__} needs a prompt, got an empty one")
    if needs_image(kind) and asked.image is None:
        raise UsageError(f"{kind.__name__} starts from a picture; give `image` (--image FILE)")
    if not asked.negative_prompt:
        return
    if "true_cfg_scale" in parameters:
        raise UsageError(
            f"{kind.__name__} has its guidance built in and would ignore a negative prompt; leave it out"
        )
    if asked.guidance is not None and asked.guidance <= 1:
        raise UsageError(f"a negative prompt works through guidance above 1, got {asked.guidance}")
